"""What watches: targets, alerts, rules, storage and the way of alerts to people."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Query,
    Step,
    rows_of,
    single,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.alerts.delivery import WATCHDOG
from components.monitoring.sizing import active_series

KEY: Final = "monitoring"


def monitoring(view: View) -> Dashboard:
    """Monitoring of a stack, seen by itself."""
    return page(
        KEY,
        "Monitoring",
        "Alerts that fire, what is scraped, and whether Prometheus and Alertmanager do their work.",
        [_now(view), _alerts(view), _scraping(view), _delivery(view)],
    )


def _firing(severity: str = ".+") -> str:
    return f'ALERTS{{alertstate="firing",alertname!="{WATCHDOG}",severity=~"{severity}"}}'


def _now(view: View) -> Section:
    planned = active_series(view.stack)
    return Section(
        "Now",
        [
            single(
                view,
                "Pages firing",
                units.NoUnit,
                Query(f"count({_firing('page')}) or vector(0)", "pages"),
                meaning="Alerts that somebody looks at now.",
                steps=(Step(None, GREEN), Step(1, RED)),
            ),
            single(
                view,
                "Tickets firing",
                units.NoUnit,
                Query(f"count({_firing('ticket')}) or vector(0)", "tickets"),
                meaning="Alerts that somebody looks at in working hours.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
            ),
            single(
                view,
                "Targets down",
                units.NoUnit,
                Query("count(up == 0) or vector(0)", "down"),
                meaning="What should be scraped and cannot be.",
                steps=(Step(None, GREEN), Step(1, RED)),
                alert=view.alert("TargetDown"),
            ),
            single(
                view,
                "Series",
                units.Short,
                Query("max(prometheus_tsdb_head_series)", "series"),
                meaning=f"In memory; volume and memory are planned for {planned}.",
                steps=(Step(None, BLUE), Step(planned, YELLOW)),
                decimals=1,
            ),
            single(
                view,
                "Rules failing",
                units.NoUnit,
                Query("sum(increase(prometheus_rule_evaluation_failures_total[5m]))", "failures"),
                meaning="Evaluations that failed within five minutes: their alerts do not fire.",
                steps=(Step(None, GREEN), Step(1, RED)),
                decimals=0,
                alert=view.alert("RulesFailing"),
            ),
            single(
                view,
                "Messages failing",
                units.NoUnit,
                Query("sum(increase(alertmanager_notifications_failed_total[5m]))", "failures"),
                meaning="Messages that could not be delivered within five minutes.",
                steps=(Step(None, GREEN), Step(1, RED)),
                decimals=0,
                alert=view.alert("NotificationsFailing"),
            ),
        ],
        per_line=6,
        height=4,
    )


def _alerts(view: View) -> Section:
    return Section(
        "Alerts",
        [
            rows_of(
                "Firing alerts",
                units.NoUnit,
                Query(
                    f"count by (alertname, severity, area, namespace, model, pod, instance) ({_firing()})",
                    "",
                ),
                meaning="What is wrong, at the end of the time range.",
                columns={
                    "alertname": "Alert",
                    "severity": "Severity",
                    "area": "Area",
                    "model": "Model",
                    "pod": "Pod",
                    "instance": "Target",
                },
                value=None,
            ),
            time_series(
                view,
                "Alerts over time",
                units.Short,
                Query(f"count by (alertname) ({_firing()})", "{{alertname}}"),
                meaning="How many of each fired.",
                stacked=True,
            ),
        ],
        per_line=2,
    )


def _scraping(view: View) -> Section:
    return Section(
        "Scraping and storage",
        [
            time_series(
                view,
                "Targets by job",
                units.Short,
                Query("sum by (job) (up)", "{{job}}"),
                meaning="Targets that were scraped.",
                stacked=True,
                runbooks=[view.alert("TargetDown"), view.alert("MetricsMissing")],
            ),
            time_series(
                view,
                "Samples stored",
                units.CountsPerSecond,
                Query(
                    "sum by (instance) (rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))",
                    "{{instance}}",
                ),
                meaning="Per second, of each replica of Prometheus.",
            ),
            time_series(
                view,
                "Series in memory",
                units.Short,
                Query("max by (instance) (prometheus_tsdb_head_series)", "{{instance}}"),
                meaning=f"Volume and memory are planned for {active_series(view.stack)}.",
            ),
            time_series(
                view,
                "Storage",
                units.BytesIEC,
                Query("max by (instance) (prometheus_tsdb_storage_blocks_bytes)", "{{instance}} blocks"),
                Query("max by (instance) (prometheus_tsdb_retention_limit_bytes)", "{{instance}} at most"),
                meaning="Samples on disk, and the size at which the oldest ones go.",
            ),
        ],
        per_line=4,
    )


def _by_group(operator: str, expression: str) -> str:
    """By a group's name, without the file that the group is in."""
    return f'{operator} by (group) (label_replace({expression}, "group", "$1", "rule_group", ".*;(.+)"))'


def _delivery(view: View) -> Section:
    sent, failed = (
        f"sum by (integration) (increase(alertmanager_notifications_{what}[10m])) > 0"
        for what in ("total", "failed_total")
    )
    return Section(
        "Rules and delivery",
        [
            time_series(
                view,
                "Time to evaluate rules",
                units.Seconds,
                Query(_by_group("max", "prometheus_rule_group_last_duration_seconds"), "{{group}}"),
                meaning="Of each group; a group that takes longer than its interval misses evaluations.",
                runbooks=[view.alert("RulesFailing")],
            ),
            time_series(
                view,
                "Missed evaluations",
                units.Short,
                Query(
                    _by_group("sum", "increase(prometheus_rule_group_iterations_missed_total[10m])"),
                    "{{group}}",
                ),
                meaning="Within ten minutes.",
            ),
            time_series(
                view,
                "Messages by way",
                units.Short,
                Query(sent, "{{integration}} sent"),
                Query(failed, "{{integration}} failed"),
                meaning="Messages of Alertmanager within ten minutes, of the ways that had any.",
                bars=True,
                runbooks=[view.alert("NotificationsFailing")],
            ),
            time_series(
                view,
                "Time to deliver, P99",
                units.Seconds,
                Query(
                    "histogram_quantile(0.99, sum by (integration, le) "
                    "(rate(alertmanager_notification_latency_seconds_bucket[1h])))",
                    "{{integration}}",
                ),
                meaning="Until the other side has taken a message; of an hour, for there are few.",
            ),
        ],
        per_line=4,
    )
