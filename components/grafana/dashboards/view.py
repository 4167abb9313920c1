"""What dashboards are made of: the stack, and the settings of its alerts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from grafana_foundation_sdk.models.common import DataSourceRef

from components.monitoring.catalogue import rule_groups
from components.monitoring.rule import AlertRule
from components.monitoring.settings import AlertThresholds, Monitoring
from components.monitoring.stack import MonitoredStack

METRICS_SOURCE: Final = "prometheus"
LOG_SOURCE: Final = "elasticsearch"
"""Identifiers of the data sources; dashboards name them, so they never change."""


def metrics_source() -> DataSourceRef:
    """Prometheus of the stack."""
    return DataSourceRef(type_val="prometheus", uid=METRICS_SOURCE)


def log_source() -> DataSourceRef:
    """The stack's log store."""
    return DataSourceRef(type_val="elasticsearch", uid=LOG_SOURCE)


@dataclass(frozen=True)
class View:
    """A stack as dashboards show it."""

    settings: Monitoring
    stack: MonitoredStack
    audit_metrics: bool = False
    """Whether the audit collector is scraped."""
    audit_records: bool = False
    """Whether Grafana may read the audit records in the log store."""

    @property
    def limits(self) -> AlertThresholds:
        """Where alerts begin."""
        return self.settings.thresholds

    def alert(self, name: str) -> AlertRule:
        """An alert of the stack; raises KeyError where it has none of that name."""
        return self._alerts[name]

    def runbook(self, alert: AlertRule) -> str:
        """Address of an alert's runbook."""
        return f"{self.settings.runbooks}/{alert.runbook}.md"

    @cached_property
    def _alerts(self) -> dict[str, AlertRule]:
        groups = rule_groups(self.settings, self.stack)
        return {alert.name: alert for group in reversed(groups) for alert in reversed(group.alerts)}
