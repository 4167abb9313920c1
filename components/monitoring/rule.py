"""Alerting and recording rules as data, each with the samples that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from components.monitoring.durations import format_duration


class Severity(StrEnum):
    """What an alert asks of people."""

    PAGE = "page"
    """Somebody looks now."""
    TICKET = "ticket"
    """Somebody looks in working hours."""
    REPORT = "report"
    """Nobody: a summary of what has been, which people read when they like."""
    NONE = "none"
    """Nobody: it fires always, and its absence means that alerts do not arrive."""


@dataclass(frozen=True)
class Level:
    """A gauge: values one after the other, each for that many seconds, the last one until the end.

    None is no sample; where samples end, Prometheus is told so, as it is when a target or a series goes away.
    """

    steps: tuple[tuple[float | None, int], ...]

    def values(self, interval: int, count: int) -> str:
        """`count` samples in promtool's notation, `interval` seconds apart."""
        words: list[str] = []
        left, before = count, None
        for index, (value, seconds) in enumerate(self.steps):
            samples = left if index == len(self.steps) - 1 else min(seconds // interval, left)
            left -= samples
            if samples > 0 and value is None and before is not None:
                words.append("stale")
                samples -= 1
            if samples > 0:
                words.append(f"_x{samples}" if value is None else f"{value:g}+0x{samples - 1}")
            before = value
        return " ".join(words)


@dataclass(frozen=True)
class Growth:
    """A counter that grows by `per_second` from the first sample on."""

    per_second: float

    def values(self, interval: int, count: int) -> str:
        """`count` samples in promtool's notation, `interval` seconds apart."""
        return f"0+{self.per_second * interval:.10g}x{count - 1}"


def level(value: float | None) -> Level:
    """A gauge that never changes."""
    return Level(((value, 0),))


@dataclass(frozen=True)
class Series:
    """Samples of one time series."""

    selector: str
    """Name and labels, as on a /metrics page."""
    samples: Level | Growth


@dataclass(frozen=True)
class Evidence:
    """Samples under which an alert's expression becomes true, and stays it."""

    series: tuple[Series, ...]
    true_from: int
    """Seconds after the first sample at which the expression first holds."""
    labels: tuple[Mapping[str, str], ...] = ({},)
    """Labels of the alerts that fire, without those of the rule."""


@dataclass(frozen=True)
class RecordingRule:
    """A series that Prometheus computes."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As a rule file has it."""
        document: dict[str, Any] = {"record": self.name, "expr": self.expr}
        if self.labels:
            document["labels"] = dict(self.labels)
        return document


@dataclass(frozen=True)
class AlertRule:
    """An alert, with its texts and its proof."""

    name: str
    severity: Severity
    area: str
    """Part of the platform that it speaks of, e.g. `model`, `etcd`."""
    expr: str
    hold: int
    """Seconds for which the expression must be true: the rule's `for`."""
    summary: str
    """What is wrong, in a line; a template of Prometheus."""
    description: str
    """What it means for users and what is known; a template of Prometheus."""
    runbook: str
    """File in docs/runbooks, without `.md`."""
    firing: Evidence
    silent: tuple[Series, ...] | None
    """Samples close to the threshold under which it must not fire; None if it always fires."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Besides severity and area."""
    interval: int = 15
    """Seconds between samples and evaluations of the proof."""

    @property
    def key(self) -> str:
        """Distinguishes rules of the same name."""
        return "-".join([self.name, *self.labels.values(), self.severity])

    @property
    def all_labels(self) -> dict[str, str]:
        """Labels that the rule adds."""
        return {"severity": str(self.severity), "area": self.area, **self.labels}

    def document(self, runbooks: str) -> dict[str, Any]:
        """As a rule file has it; `runbooks` is the address that the runbooks lie below."""
        document: dict[str, Any] = {"alert": self.name, "expr": self.expr}
        if self.hold:
            document["for"] = format_duration(self.hold)
        document["labels"] = self.all_labels
        document["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{runbooks}/{self.runbook}.md",
        }
        return document


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated one after the other: recording rules before the alerts that use them."""

    name: str
    recording: tuple[RecordingRule, ...]
    alerts: tuple[AlertRule, ...]

    def document(self, runbooks: str) -> dict[str, Any]:
        """As a rule file has it."""
        rules = [rule.document() for rule in self.recording]
        return {"name": self.name, "rules": [*rules, *(alert.document(runbooks) for alert in self.alerts)]}
