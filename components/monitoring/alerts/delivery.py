"""Alerts on monitoring itself: what is not scraped, and what is not delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, Growth, RuleGroup, Series, Severity, level
from components.monitoring.stack import (
    CERT_MANAGER,
    DCGM_EXPORTER,
    KUBE_STATE_METRICS,
    KUBELET,
    NODE_EXPORTER,
    MonitoredStack,
)

AREA: Final = "monitoring"
WATCHDOG: Final = "Watchdog"
_TYPICAL: Final = {
    KUBE_STATE_METRICS: "kube_node_status_condition",
    NODE_EXPORTER: "node_filesystem_size_bytes",
    KUBELET: "kubelet_running_pods",
    DCGM_EXPORTER: "DCGM_FI_DEV_GPU_UTIL",
    CERT_MANAGER: "certmanager_certificate_expiration_timestamp_seconds",
}
"""A metric that is always there. Who runs these exporters names their jobs, so `up` could not be asked."""


def _absent(job: str) -> str:
    """True while there is nothing of it; the result's label `job` says of what."""
    if job not in _TYPICAL:
        return f'absent(up{{job="{job}"}})'
    return f'label_replace(absent({_TYPICAL[job]}), "job", "{job}", "", "")'


def delivery(stack: MonitoredStack) -> RuleGroup:
    """Alerts on what watches."""
    return RuleGroup("monitoring", (), tuple(_alerts(stack)))


def _alerts(stack: MonitoredStack) -> Iterator[AlertRule]:
    missing = [_absent(job) for job in stack.jobs]
    present = [
        Series(f'{_TYPICAL[job]}{{instance="one"}}' if job in _TYPICAL else f'up{{job="{job}"}}', level(1))
        for job in stack.jobs
    ]
    yield AlertRule(
        name=WATCHDOG,
        severity=Severity.NONE,
        area=AREA,
        expr="vector(1)",
        hold=0,
        summary="Alerts arrive",
        description="It fires always. Whoever stops hearing of it has no monitoring.",
        runbook="monitoring",
        firing=Evidence((), true_from=0),
        silent=None,
    )
    yield AlertRule(
        name="TargetDown",
        severity=Severity.TICKET,
        area=AREA,
        expr="up == 0",
        hold=3 * MINUTE,
        summary="{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        description="It is down, unreachable, or a NetworkPolicy does not admit Prometheus.",
        runbook="monitoring",
        firing=Evidence(
            (Series('up{job="etcd",instance="etcd-0"}', level(0)),),
            true_from=0,
            labels=({"job": "etcd", "instance": "etcd-0"},),
        ),
        silent=(Series('up{job="etcd",instance="etcd-0"}', level(1)),),
    )
    yield AlertRule(
        name="MetricsMissing",
        severity=Severity.PAGE,
        area=AREA,
        expr=" or ".join(missing),
        hold=5 * MINUTE,
        summary="There are no metrics of {{ $labels.job }}",
        description="No other alert that needs them can fire.",
        runbook="monitoring",
        firing=Evidence(tuple(present[1:]), true_from=0, labels=({"job": stack.jobs[0]},)),
        silent=tuple(present),
    )
    failed = "alertmanager_notifications_failed_total"
    labels = '{instance="am-0",integration="webhook",reason="serverError"}'
    yield AlertRule(
        name="NotificationsFailing",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (integration) (rate({failed}[5m])) > 0",
        hold=5 * MINUTE,
        summary="Alertmanager cannot deliver to {{ $labels.integration }}",
        description="Messages are tried again, but nobody has them yet. Other ways still work.",
        runbook="alert-delivery",
        firing=Evidence(
            (Series(f"{failed}{labels}", Growth(0.1)),),
            true_from=15,
            labels=({"integration": "webhook"},),
        ),
        silent=(Series(f"{failed}{labels}", level(3)),),
    )
    evaluation = "prometheus_rule_evaluation_failures_total"
    group = '{instance="p-0",rule_group="etcd"}'
    yield AlertRule(
        name="RulesFailing",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (instance, rule_group) (increase({evaluation}[5m])) > 0",
        hold=5 * MINUTE,
        summary="Rules of {{ $labels.rule_group }} cannot be evaluated",
        description="Their alerts do not fire, whatever happens.",
        runbook="monitoring",
        firing=Evidence(
            (Series(f"{evaluation}{group}", Growth(0.1)),),
            true_from=15,
            labels=({"instance": "p-0", "rule_group": "etcd"},),
        ),
        silent=(Series(f"{evaluation}{group}", level(7)),),
    )
