"""Unit tests of Prometheus' own promtool, from the proof that each alert brings.

Three tests for each alert: it fires from the moment on at which its expression has held for the rule's `for`,
it does not one evaluation earlier, and it keeps silent close to its threshold. Notation: prometheus.io, "Unit
testing for rules".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.monitoring.rule import AlertRule, RuleGroup, Series

_MORE_EVALUATIONS = 12
"""After the boundary: an alert that ends at once is found, too."""


def rule_file(groups: Iterable[RuleGroup], runbooks: str) -> dict[str, Any]:
    """A file of rules, as Prometheus reads it."""
    return {"groups": [group.document(runbooks) for group in groups]}


def unit_tests(group: RuleGroup, alert: AlertRule, rules: str) -> dict[str, Any]:
    """promtool's file for one alert of a group; `rules` is the name of the file with the group."""
    interval, evidence = alert.interval, alert.firing
    boundary = evidence.true_from + alert.hold
    end = boundary + _MORE_EVALUATIONS * interval

    def expected(state: str, at: int) -> dict[str, Any]:
        return _query(alert, at, [_series(alert, labels, state) for labels in evidence.labels])

    before = []
    if alert.hold:
        before.append(expected("pending", boundary - interval))
    if evidence.true_from >= interval:
        before.append(_query(alert, evidence.true_from - interval, []))
    silent = []
    if alert.silent is not None:
        checks = [_query(alert, at, [], "firing") for at in (boundary, boundary + interval, end)]
        silent.append(_test(f"{alert.key} keeps silent", alert, alert.silent, end, checks))
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{interval}s",
        "tests": [
            _test(f"{alert.key} before the boundary", alert, evidence.series, end, before),
            _test(
                f"{alert.key} fires",
                alert,
                evidence.series,
                end,
                [expected("firing", boundary), expected("firing", boundary + interval)],
            ),
            *silent,
        ],
    }


def _test(
    name: str, alert: AlertRule, series: tuple[Series, ...], end: int, queries: list[dict[str, Any]]
) -> dict[str, Any]:
    count = end // alert.interval + 1
    return {
        "name": name,
        "interval": f"{alert.interval}s",
        "input_series": [
            {"series": one.selector, "values": one.samples.values(alert.interval, count)} for one in series
        ],
        "promql_expr_test": queries,
    }


def _query(
    alert: AlertRule, at: int, samples: list[dict[str, Any]], state: str | None = None
) -> dict[str, Any]:
    labels = {"alertname": alert.name, **alert.all_labels}
    if state is not None:
        labels["alertstate"] = state
    return {"expr": _selector("ALERTS", labels), "eval_time": f"{at}s", "exp_samples": samples}


def _series(alert: AlertRule, labels: Mapping[str, str], state: str) -> dict[str, Any]:
    every = {"alertname": alert.name, "alertstate": state, **alert.all_labels, **labels}
    return {"labels": _selector("ALERTS", every), "value": 1}


def _selector(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}"
