"""Alerts on the log store, from what kube-state-metrics tells of its workloads.

The parts themselves have no metrics in Prometheus' notation. Names of the workloads are those that the
Elastic operator makes (ECK 3.5, pkg/apis/*/name.go): `logs-es-<tier>`, `logs-ls`, `logs-kb`, and
`logs-beat-filebeat` on the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, RuleGroup, Series, Severity, level
from components.monitoring.stack import MonitoredStack

AREA: Final = "logs"
_RUNBOOK: Final = "log-store"
_HOLD: Final = 15 * MINUTE
"""An update of one pod of Elasticsearch or Logstash, its volume mounted anew, takes some minutes."""
_WANTED: Final = "kube_statefulset_replicas"
_READY: Final = "kube_statefulset_status_replicas_ready"


def logs(stack: MonitoredStack, namespace: str) -> RuleGroup:
    """Alerts on the log store in `namespace`, and on the agents of the nodes."""
    return RuleGroup("logs", (), (*_store(namespace), _kibana(namespace), _shipper(stack)))


def _store(namespace: str) -> Iterator[AlertRule]:
    by = "(namespace, statefulset)"
    where = f'{{namespace="{namespace}"}}'
    found = {"namespace": namespace, "statefulset": "logs-es-hot"}
    evidence = f'{{namespace="{namespace}",statefulset="logs-es-hot"}}'

    def samples(ready: int) -> tuple[Series, ...]:
        return Series(f"{_WANTED}{evidence}", level(3)), Series(f"{_READY}{evidence}", level(ready))

    yield AlertRule(
        name="LogStoreUnavailable",
        severity=Severity.PAGE,
        area=AREA,
        expr=(f"sum by {by} ({_READY}{where}) == 0 and sum by {by} ({_WANTED}{where}) > 0"),
        hold=_HOLD,
        summary="No pod of {{ $labels.statefulset }} is ready",
        description="Logs are not taken, or cannot be searched. Nodes keep them for as long as "
        "logging.outage says; after that they stop reading.",
        runbook=_RUNBOOK,
        firing=Evidence(samples(0), true_from=0, labels=(found,)),
        silent=samples(1),
    )
    yield AlertRule(
        name="LogStoreUnavailable",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"sum by {by} ({_WANTED}{where}) - sum by {by} ({_READY}{where}) > 0",
        hold=_HOLD,
        summary="{{ $labels.statefulset }} lacks {{ $value }} pods",
        description="The others carry the load. What has no copy on them cannot be searched.",
        runbook=_RUNBOOK,
        firing=Evidence(samples(2), true_from=0, labels=(found,)),
        silent=samples(3),
    )


def _kibana(namespace: str) -> AlertRule:
    name = "kube_deployment_status_replicas_available"
    evidence = f'{name}{{namespace="{namespace}",deployment="logs-kb"}}'
    return AlertRule(
        name="KibanaUnavailable",
        severity=Severity.TICKET,
        area=AREA,
        expr=f'sum by (namespace, deployment) ({name}{{namespace="{namespace}"}}) == 0',
        hold=_HOLD,
        summary="No pod of {{ $labels.deployment }} answers",
        description="Logs are kept all the same; only Elasticsearch's API can search them.",
        runbook=_RUNBOOK,
        firing=Evidence(
            (Series(evidence, level(0)),),
            true_from=0,
            labels=({"namespace": namespace, "deployment": "logs-kb"},),
        ),
        silent=(Series(evidence, level(1)),),
    )


def _shipper(stack: MonitoredStack) -> AlertRule:
    """Whatever else is on every node is told of alike: it is missing for the same reasons."""
    namespace = stack.agents_namespace or stack.namespace
    name = "kube_daemonset_status_number_unavailable"
    found = {"namespace": namespace, "daemonset": "logs-beat-filebeat"}
    evidence = f'{name}{{namespace="{namespace}",daemonset="logs-beat-filebeat"}}'
    return AlertRule(
        name="NodeAgentsUnavailable",
        severity=Severity.TICKET,
        area=AREA,
        expr=f'sum by (namespace, daemonset) ({name}{{namespace="{namespace}"}}) > 0',
        hold=_HOLD,
        summary="{{ $labels.daemonset }} is not ready on {{ $value }} nodes",
        description="Without Filebeat a node's logs stay on it, and are lost once kubelet has rotated them "
        "away.",
        runbook=_RUNBOOK,
        firing=Evidence((Series(evidence, level(1)),), true_from=0, labels=(found,)),
        silent=(Series(evidence, level(0)),),
    )
