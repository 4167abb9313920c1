"""The stack whose dashboards are tested and pictured, and what its Prometheus and log store hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import promql_parser as promql
import yaml

from components.grafana.dashboards.catalogue import dashboards, document, name
from components.grafana.dashboards.view import View
from components.monitoring.catalogue import rule_groups
from components.monitoring.rule import RuleGroup
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack
from tests.artifacts.dashboards.samples import Samples
from tests.harness.history import DAY, HOUR, MINUTE, MONDAY, Span
from tests.harness.prometheus import Prometheus, serve

RUNBOOKS: Final = "https://git.example.com/platform/docs/runbooks"
STACK: Final = MonitoredStack(
    namespace="autoglm",
    models={"autoglm-phone-9b": 2},
    nodes=3,
    pods=60,
    etcd_members=3,
    virtual_ips=("192.168.1.100",),
    nvidia_gpus=2,
    cert_manager=True,
)
SPAN: Final = Span(
    end=MONDAY + 2 * DAY + 18 * HOUR, days=7, dense_hours=14, dense_step=MINUTE, incident=5 * HOUR
)
"""Ends on a Wednesday at 18:00 UTC, five hours after an incident began."""
RATE_INTERVAL: Final = 4 * MINUTE
"""`$__rate_interval` is four times the interval between samples, or more."""


def view() -> View:
    """The stack with everything that can be shown."""
    settings = Monitoring.model_validate({"runbooks": RUNBOOKS})
    return View(settings, STACK, audit_metrics=True, audit_records=True)


def documents() -> dict[str, dict[str, Any]]:
    """All dashboards as Grafana reads them, by name."""
    return {name(each): json.loads(document(each)) for each in dashboards(view())}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels without the headings between them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(panel: dict[str, Any]) -> list[str]:
    """PromQL of a panel, as Grafana would send it with everything chosen."""
    return [concrete(target["expr"], DAY) for target in panel["targets"] if "expr" in target]


def concrete(expression: str, shown: int) -> str:
    """An expression with Grafana's variables replaced; `shown` is the time range in seconds."""
    text = expression.replace("$__rate_interval", f"{RATE_INTERVAL}s").replace("$__range", f"{shown}s")
    return re.sub(r"\$[a-z]+", ".+", text)


def wanted() -> frozenset[str]:
    """Names of the series that dashboards and the rules before them ask for."""
    recording = {rule.name: rule.expr for group in _groups() for rule in group.recording}
    found: set[str] = set()
    texts = [text for each in documents().values() for panel in panels(each) for text in expressions(panel)]
    texts += [alert.expr for group in _groups() for alert in group.alerts]
    texts += recording.values()
    for text in texts:
        found |= set(_selected(promql.parse(text)))
    return frozenset(found - recording.keys())


def _groups() -> tuple[RuleGroup, ...]:
    current = view()
    return rule_groups(current.settings, current.stack)


def _selected(node: Any) -> Iterator[str]:
    match node:
        case promql.VectorSelector():
            yield node.name or ""
        case promql.MatrixSelector():
            yield node.vector_selector.name or ""
        case promql.AggregateExpr():
            yield from _selected(node.expr)
        case promql.BinaryExpr():
            yield from _selected(node.lhs)
            yield from _selected(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from _selected(argument)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _selected(node.expr)


def rules() -> str:
    """Recording rules, and a series `ALERTS` for each alert, as Prometheus has it.

    Nothing evaluates alerts over the past: what would have fired is recorded, without waiting for its `for`.
    """
    made = []
    for group in _groups():
        recording = [rule.document() for rule in group.recording]
        firing = [
            {
                "record": "ALERTS",
                "expr": f"({_inlined(alert.expr, group)}) * 0 + 1",
                "labels": {"alertname": alert.name, "alertstate": "firing", **alert.all_labels},
            }
            for alert in group.alerts
        ]
        made.append({"name": group.name, "rules": [*recording, *firing]})
    return yaml.safe_dump({"groups": made}, sort_keys=False)


def _inlined(expression: str, group: RuleGroup) -> str:
    """With the expressions of the group's own series, which are recorded only when all rules are through.

    A series that an alert looks back over cannot be replaced: such an alert is not among what fires.
    """
    for rule in group.recording:
        expression = re.sub(rf"\b{rule.name}\b(?!\[)", f"({rule.expr})", expression)
    return expression


@contextmanager
def prometheus() -> Iterator[Prometheus]:
    """A real one that holds what the dashboards ask for; skips where it cannot be had."""
    samples = Samples(SPAN)
    with serve(SPAN, wanted() - samples.names(), rules(), samples.text()) as server:
        yield server
