"""The report as Markdown (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from trend_report import words
from trend_report.summary import Report, Row, Section
from trend_report.trend import COLUMNS, trend

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|~&])")
_LINKS: Final = re.compile(r"(?i)(:(?=//)|www(?=\.)|@)")
"""Where GitHub makes a link of an address by itself."""
_JOINER: Final = "\u2060"
"""Nothing that is seen, and no part of an address."""


def render(report: Report) -> str:
    """The whole text."""
    return "\n".join(_lines(report)) + "\n"


def text(value: str) -> str:
    """Text that nothing in it can turn into markup, a link or another line."""
    return _LINKS.sub(lambda found: f"{found[0]}{_JOINER}", _SPECIAL.sub(r"\\\1", " ".join(value.split())))


def _lines(report: Report) -> Iterator[str]:
    yield f"# {text(report.title)}"
    yield ""
    yield f"{report.week.days}, {text(str(report.week.zone))}. **{text(words.headline(report))}**"
    for section in report.sections:
        yield ""
        yield from _section(section)
    if report.cost:
        yield ""
        yield "## Cost"
        yield ""
        yield from _rows(report.cost)
    if rows := trend(report):
        yield ""
        yield "## Earlier weeks"
        yield ""
        yield from _table(("Week", "Model", *(column.name for column in COLUMNS)), rows, right=2)
    yield ""
    yield "## About the data"
    yield ""
    for note in words.notes(report):
        yield f"- {text(note)}"


def _section(section: Section) -> Iterator[str]:
    yield f"## {text(section.title)}"
    if section.is_empty:
        yield ""
        yield words.NOTHING
        return
    if section.promises:
        yield ""
        yield from _table(
            ("Promise", "Wanted", "Reached", "", "Error budget"),
            [
                (one.name, one.wanted, one.reached, words.verdict(one), words.budget(one))
                for one in section.promises
            ],
            right=1,
        )
    yield ""
    yield from _rows(section.rows)
    if section.worst:
        yield ""
        yield "Hours that stand out:"
        yield ""
        for hour in section.worst:
            yield f"- {text(hour.when)}: {text(hour.why)}"


def _rows(rows: Sequence[Row]) -> Iterator[str]:
    yield from _table(
        ("Figure", "This week", "Week before", "Change", "Note"),
        [(row.name, row.text(row.now), row.text(row.before), _change(row), row.note) for row in rows],
        right=1,
    )


def _change(row: Row) -> str:
    found = row.change
    verdict = f" ({found.verdict})" if found.verdict != "neutral" else ""
    return f"{found}{verdict}" if found.arrow else found.text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int) -> Iterator[str]:
    """Columns from `right` on are aligned to the right, the last one is not."""
    yield f"| {' | '.join(head)} |"
    last = len(head) - 1
    yield f"|{'|'.join('---:' if right <= index < last else '---' for index in range(len(head)))}|"
    for row in rows:
        yield f"| {' | '.join(text(cell) for cell in row)} |"
