"""Draws the pictures of docs/dashboards.md anew: `python -m tests.artifacts.dashboards`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.artifacts.dashboards.answers import Answers, shown
from tests.artifacts.dashboards.example import SPAN, documents, prometheus
from tests.artifacts.dashboards.picture import draw
from tests.artifacts.dashboards.records import RecordStore

FOLDER: Final = Path(__file__).parents[3] / "docs" / "images" / "dashboards"


def main() -> None:
    """Writes a picture for each dashboard, and removes those of dashboards that are gone."""
    made = documents()
    for old in FOLDER.glob("*.svg"):
        if old.stem not in made:
            old.unlink()
    with prometheus() as server:
        answers = Answers(server, RecordStore(SPAN.end))
        for name, dashboard in made.items():
            span = shown(dashboard, SPAN.end)
            picture = draw(dashboard, span, lambda panel, span=span: answers.of(panel, span))
            (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
            print(f"{name}.svg: {len(picture) // 1024} KiB")


if __name__ == "__main__":
    main()
