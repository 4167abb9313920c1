"""docs/accelerators.md is what the catalogue says."""

from __future__ import annotations

from pathlib import Path

from components.accelerators import documentation

PAGE = Path(__file__).parents[3] / "docs" / "accelerators.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == documentation.markdown(), (
        "run `python -m components.accelerators.documentation > docs/accelerators.md`"
    )
