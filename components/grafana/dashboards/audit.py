"""The audit trail: whether it is whole, who did what, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, ValueMappingResult

from components.grafana.dashboards.page import Section, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Query,
    Step,
    single,
    time_series,
)
from components.grafana.dashboards.records import RecordQuery, count, newest, over_time, top
from components.grafana.dashboards.view import View

KEY: Final = "audit"
_ANOMALIES: Final = (
    "(sum(audit_anomalies_total) - (sum(audit_anomalies_total offset 1d) or vector(0))) or vector(0)"
)
"""A rule's counter begins with its first anomaly, which `increase` would miss; a restart keeps the counts."""


def audit(view: View) -> Dashboard:
    """The audit trail of a stack."""
    return page(
        KEY,
        "Audit",
        "Whether the audit trail is complete and unaltered, who did what, and what was refused.",
        _sections(view),
        since="now-24h",
    )


def _sections(view: View) -> Iterator[Section]:
    if view.audit_metrics:
        yield _trail(view)
        yield _collecting(view)
    if view.audit_records:
        yield _figures()
        yield _who()
        yield _records()


def _trail(view: View) -> Section:
    return Section(
        "The trail",
        [
            single(
                view,
                "Verified",
                units.NoUnit,
                Query("min(audit_verify_success)", "verified"),
                meaning="The signed chain of days was checked: edits, deletions and changes of order show.",
                steps=(Step(None, RED), Step(1, GREEN)),
                texts={
                    "0": ValueMappingResult(text="ALTERED", color=RED, index=0),
                    "1": ValueMappingResult(text="unaltered", color=GREEN, index=1),
                },
            ),
            single(
                view,
                "Since it was verified",
                units.Seconds,
                Query("time() - max(audit_verify_timestamp_seconds)", "ago"),
                meaning="Once a day, unless the job fails.",
                steps=(Step(None, GREEN), Step(129_600, RED)),
            ),
            single(
                view,
                "Since the last record",
                units.Seconds,
                Query("time() - max(audit_last_record_timestamp_seconds)", "ago"),
                meaning="Of any source. API servers are never silent for long.",
                steps=(Step(None, BLUE), Step(300, YELLOW)),
                over_time=False,
            ),
            single(
                view,
                "Anomalies, last day",
                units.NoUnit,
                Query(_ANOMALIES, "anomalies"),
                meaning="Raised by rules: bulk export at night, an unusual administrator, many refusals.",
                steps=(Step(None, GREEN), Step(1, RED)),
                decimals=0,
                over_time=False,
            ),
            single(
                view,
                "Lines that could not be read",
                units.NoUnit,
                Query("sum(increase(audit_refused_lines_total[1d]))", "lines"),
                meaning="Within a day. They are kept aside, and are no records yet.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
                decimals=0,
                over_time=False,
            ),
            single(
                view,
                "Room for records",
                units.BytesIEC,
                Query("min(audit_store_free_bytes)", "free"),
                meaning="On the volume that holds records until their day is sealed.",
                steps=(Step(None, RED), Step(268_435_456, GREEN)),
                decimals=1,
            ),
        ],
        per_line=6,
        height=4,
    )


def _collecting(view: View) -> Section:
    return Section(
        "Collecting",
        [
            time_series(
                view,
                "Records by source",
                units.CountsPerSecond,
                Query(
                    "sum by (source) (rate(audit_records_total[$__rate_interval]))",
                    "{{source}}",
                ),
                meaning="Records per second: of the API servers, the gateway and the models.",
                stacked=True,
            ),
            time_series(
                view,
                "Anomalies by rule",
                units.Short,
                Query("sum by (rule) (increase(audit_anomalies_total[1h]))", "{{rule}}"),
                meaning="Within an hour.",
                bars=True,
            ),
        ],
        per_line=2,
    )


def _figures() -> Section:
    denied, failed = RecordQuery("result:denied"), RecordQuery("result:failure")
    return Section(
        "Records",
        [
            count("Records", RecordQuery("*"), meaning="In the time range."),
            count("Denied", denied, meaning="Refused for lack of a right: status 401 or 403.", bad=True),
            count("Failed", failed, meaning="Ended with any other error."),
            count(
                "Secrets read",
                RecordQuery("source:kubernetes AND resource:secrets AND action:(get OR list OR watch)"),
                meaning="Requests to the API server for Secrets.",
            ),
            count(
                "Commands in pods",
                RecordQuery("source:kubernetes AND action:(exec OR attach OR portforward)"),
                meaning="Shells and forwarded ports: nobody should need them in production.",
                bad=True,
            ),
            count("Anomalies", RecordQuery("source:anomaly"), meaning="Raised by rules.", bad=True),
        ],
        per_line=6,
        height=4,
    )


def _who() -> Section:
    return Section(
        "Who did what",
        [
            over_time(
                "Records by result",
                RecordQuery("*"),
                "result",
                meaning="How requests ended: success, denied, failure; raised is an anomaly.",
                colours={"success": GREEN, "denied": YELLOW, "failure": "orange", "raised": RED},
            ),
            top("Users", RecordQuery("source:kubernetes"), "user", "User", meaning="With the most requests."),
            top(
                "Users who were denied",
                RecordQuery("result:denied"),
                "user",
                "User",
                meaning="With the most refusals.",
            ),
            top("Addresses", RecordQuery("*"), "ip", "Address", meaning="With the most requests."),
        ],
        per_line=4,
    )


def _records() -> Section:
    return Section(
        "Latest records",
        [
            newest(
                "Anomalies and refusals",
                RecordQuery("source:anomaly OR result:denied"),
                meaning="The newest ones. A trace id leads to the same request in other logs.",
            ),
        ],
        per_line=1,
        height=9,
    )
