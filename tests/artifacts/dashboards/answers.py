"""What a panel gets for its queries: from Prometheus, or from the example's records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.artifacts.dashboards.example import concrete
from tests.artifacts.dashboards.records import RecordStore, most
from tests.harness.history import DAY, HOUR
from tests.harness.prometheus import Prometheus

POINTS: Final = 144
"""Of each line."""


@dataclass(frozen=True)
class Line:
    """A series with its name in the legend."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Time in seconds, and value."""

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class TimeRange:
    """What a dashboard shows."""

    start: int
    end: int

    @property
    def seconds(self) -> int:
        """Its length."""
        return self.end - self.start


def shown(dashboard: dict[str, Any], end: int) -> TimeRange:
    """The time range that a dashboard shows at first."""
    match = re.fullmatch(r"now-(\d+)([hd])", dashboard["time"]["from"])
    assert match is not None, dashboard["time"]
    return TimeRange(end - int(match[1]) * {"h": HOUR, "d": DAY}[match[2]], end)


@dataclass(frozen=True)
class Answers:
    """Both data sources."""

    prometheus: Prometheus
    records: RecordStore

    def of(self, panel: dict[str, Any], span: TimeRange) -> list[Line]:
        """All series of a panel, in the order of its queries."""
        lines = [line for target in panel["targets"] for line in self._target(target, span)]
        # What is no number, such as a quantile of nothing, is not drawn.
        return [line for line in lines if line.points]

    def _target(self, target: dict[str, Any], span: TimeRange) -> Iterator[Line]:
        if "expr" not in target:
            yield from self._records(target, span)
            return
        expression = concrete(target["expr"], span.seconds)
        if target.get("instant"):
            for one in self.prometheus.query(expression, at=span.end):
                yield _line(target, one["metric"], [one["value"]])
            return
        step = max(60, span.seconds // POINTS)
        for one in self.prometheus.query_range(expression, span.start, span.end, step):
            yield _line(target, one["metric"], one["values"])

    def _records(self, target: dict[str, Any], span: TimeRange) -> Iterator[Line]:
        found = self.records.matching(target["query"], span.start, span.end)
        terms = next((one for one in target["bucketAggs"] if one["type"] == "terms"), None)
        times = any(one["type"] == "date_histogram" for one in target["bucketAggs"])
        if target["metrics"][0]["type"] == "raw_data":
            for one in reversed(found[-int(target["metrics"][0]["settings"]["size"]) :]):
                labels = {name: "" if value is None else str(value) for name, value in one.items()}
                yield Line("", labels, ((one["@timestamp"], 1.0),))
            return
        values = most(found, terms["field"], int(terms["settings"]["size"])) if terms else [("", len(found))]
        for value, count in values:
            labels = {terms["field"]: value} if terms else {}
            if not times:
                yield Line(value, labels, ((span.end, count),))
                continue
            mine = [one for one in found if not terms or str(one[terms["field"]]) == value]
            yield Line(value, labels, _histogram([one["@timestamp"] for one in mine], span))


def _histogram(times: list[float], span: TimeRange) -> tuple[tuple[float, float], ...]:
    width = span.seconds // 48
    counts = [0] * 49
    for time in times:
        counts[int((time - span.start) // width)] += 1
    return tuple((span.start + index * width, float(count)) for index, count in enumerate(counts[:48]))


def _line(target: dict[str, Any], labels: Mapping[str, str], values: list[list[Any]]) -> Line:
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), target["legendFormat"])
    points = tuple((float(time), float(value)) for time, value in values)
    return Line(name, labels, tuple((time, value) for time, value in points if value == value))
