"""Draws the pictures of docs/dashboards.md anew: `python -m tests.artifacts.dashboards`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.artifacts.dashboards.answers import Answers, shown
from tests.artifacts.dashboards.example import SPAN, documents, prometheus
from tests.artifacts.dashboards.picture import draw
from tests.artifacts.dashboards.records import RecordStore

FOLDER: Final = Path(__file__).parents[3] / "docs" / "images" / "dashboards"


def pictures(answers: Answers) -> Iterator[tuple[str, str]]:
    """Name and SVG of each dashboard."""
    for name, dashboard in documents().items():
        span = shown(dashboard, SPAN.end)
        yield name, draw(dashboard, span, lambda panel, span=span: answers.of(panel, span))


def main() -> None:
    """Writes a picture for each dashboard, and removes those of dashboards that are gone."""
    with prometheus() as server:
        made = dict(pictures(Answers(server, RecordStore(SPAN.end))))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        if old.stem not in made:
            old.unlink()
    for name, picture in made.items():
        (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
        print(f"{name}.svg: {len(picture.encode()) // 1024} KiB")


if __name__ == "__main__":
    main()
