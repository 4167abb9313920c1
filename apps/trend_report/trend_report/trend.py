"""Earlier weeks, from the files of figures that their reports have left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from trend_report import numbers
from trend_report.numbers import NO_DATA, Format
from trend_report.summary import Report

SHOWN_WEEKS: Final = 12
Values = Mapping[str, Mapping[str, float | None]]
"""By section and key of the figure."""


@dataclass(frozen=True)
class Column:
    """A figure that is followed over many weeks."""

    key: str
    name: str
    show: Format


COLUMNS: Final = (
    Column("latency_p99", "Answers P99", numbers.seconds),
    Column("first_token_p95", "First token P95", numbers.seconds),
    Column("availability", "Availability", numbers.availability),
    Column("answers", "Requests", numbers.count),
    Column("generated", "Tokens generated", numbers.count),
)


def values(report: Report) -> dict[str, dict[str, float | None]]:
    """What is kept of a report, for those of later weeks."""
    found = {section.title: {row.key: row.now for row in section.rows} for section in report.sections}
    if report.cost:
        found["Cost"] = {row.key: row.now for row in report.cost}
    return found


def trend(report: Report) -> list[tuple[str, ...]]:
    """Rows of a table: week, model and the columns, latest first; none without an earlier report."""
    if not report.before:
        return []
    weeks: dict[str, Values] = {**report.before, report.week.name: values(report)}
    models = [section.title for section in report.sections if section.promises]
    rows = []
    for week in sorted(weeks, reverse=True)[:SHOWN_WEEKS]:
        for model in models:
            known = weeks[week].get(model, {})
            rows.append((week, model, *(_shown(known.get(one.key), one.show) for one in COLUMNS)))
    return rows


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return NO_DATA if value is None else show(value)
