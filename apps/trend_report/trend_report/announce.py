"""The summary for the chat: an alert, so that it takes the way that alerts take (Alertmanager's API v2)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trend_report import http, numbers, words
from trend_report.errors import ReportError, Unreachable
from trend_report.summary import Report, Row, Section

NAME: Final = "WeeklyReport"
SEVERITY: Final = "report"
"""Alertmanager routes it to the receivers of reports; one that knows no such severity makes it a ticket."""
LASTS: Final = timedelta(minutes=30)
"""Longer than any group waits, shorter than the time after which a message is sent again."""
_TOLD: Final = ("latency_p99", "first_token_p95", "availability", "generated")
_COST: Final = ("cost_per_million_token_low", "cost_per_million_token_high")


def alert(report: Report, now: datetime) -> dict[str, Any]:
    """The alert that carries the summary."""
    started = now.astimezone(UTC)
    return {
        "labels": {
            "alertname": NAME,
            "severity": SEVERITY,
            "area": "report",
            "stack": report.stack,
            "week": report.week.name,
        },
        "annotations": {
            "summary": f"{report.title}: {words.headline(report)}",
            "description": description(report),
        },
        "startsAt": started.isoformat(),
        "endsAt": (started + LASTS).isoformat(),
    }


def description(report: Report) -> str:
    """The figures that matter most, in a line for each model and one for the cost."""
    lines = [_model(section) for section in report.sections if section.promises and not section.is_empty]
    cost = {row.key: row for row in report.cost}
    low, high = (cost.get(key) for key in _COST)
    if low is not None and low.now is not None:
        told = low.text(low.now) + (f" to {high.text(high.now)}" if high is not None else "")
        lines.append(f"Cost per million tokens: {told}{_since(low)}.")
    return " ".join(lines) or "There is no data for this week."


def _model(section: Section) -> str:
    rows = {row.key: row for row in section.rows}
    told = ", ".join(f"{rows[key].name} {rows[key].text(rows[key].now)}{_since(rows[key])}" for key in _TOLD)
    missed = [promise.name for promise in section.promises if promise.kept is False]
    return f"{section.title}: {told}." + (f" Missed: {', '.join(missed)}." if missed else "")


def _since(row: Row) -> str:
    found: numbers.Change = row.change
    return f" ({found})" if found.arrow in ("▲", "▼") else ""


def send(urls: Sequence[str], message: dict[str, Any], wait: http.Wait = time.sleep) -> list[str]:
    """Tell every Alertmanager, as Prometheus does: among themselves they agree on who sends.

    :return: those that were not reached, and why.
    :raises Unreachable: none of them was.
    """
    body = json.dumps([message]).encode()
    silent, told = [], 0
    for url in http.addresses(urls):
        try:
            http.post(f"{url}/api/v2/alerts", body, "application/json", wait=wait)
            told += 1
        except ReportError as error:
            silent.append(str(error))
    if urls and not told:
        raise Unreachable("; ".join(silent))
    return silent
