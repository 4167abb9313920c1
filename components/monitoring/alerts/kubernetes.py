"""Alerts on workloads, node pools and volumes, from kube-state-metrics and the kubelets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.common.labels import NODE_POOL
from components.monitoring.durations import MINUTE
from components.monitoring.rule import (
    AlertRule,
    Evidence,
    Level,
    RecordingRule,
    RuleGroup,
    Series,
    Severity,
    level,
)
from components.monitoring.settings import AlertThresholds, Monitoring
from components.monitoring.stack import KUBELET, MonitoredStack

AREA: Final = "kubernetes"
POOL_LABEL: Final = "label_autoglm_platform_node_pool"
"""The label of nodes as kube-state-metrics writes it, once `--metric-labels-allowlist` names it."""
LABELS_OPTION: Final = f"--metric-labels-allowlist=nodes=[{NODE_POOL}]"
"""Of kube-state-metrics."""
REQUESTED: Final = "node_pool:requested:sum"
ALLOCATABLE: Final = "node_pool:allocatable:sum"
VERIFIER: Final = "verify-weights"
"""Init container that hashes the weights before the engine starts."""
FETCH_JOBS: Final = ".+-fetch-[0-9a-f]+"
_RESOURCES: Final = 'resource!~"ephemeral_storage|pods|hugepages_.+|attachable_volumes_.+"'


def kubernetes(settings: Monitoring, stack: MonitoredStack) -> RuleGroup:
    """Alerts on what runs in the cluster."""
    pool = f"group by (node, {POOL_LABEL}) (kube_node_labels{{{POOL_LABEL}!=''}})"
    by_pool = f"sum by ({POOL_LABEL}, resource)"
    # Pods that have ended still have requests, but hold nothing.
    alive = 'max by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Running"}) > 0'
    requests = (
        f"sum by (namespace, pod, node, resource) (kube_pod_container_resource_requests{{{_RESOURCES}}})"
    )
    return RuleGroup(
        "kubernetes",
        (
            RecordingRule(
                REQUESTED,
                f"{by_pool} (({requests} and on (namespace, pod) ({alive})) "
                f"* on (node) group_left ({POOL_LABEL}) {pool})",
            ),
            RecordingRule(
                ALLOCATABLE,
                f"{by_pool} (kube_node_status_allocatable{{{_RESOURCES}}} "
                f"* on (node) group_left ({POOL_LABEL}) {pool})",
            ),
        ),
        tuple(_alerts(settings.thresholds, stack)),
    )


def _alerts(limits: AlertThresholds, stack: MonitoredStack) -> Iterator[AlertRule]:
    yield _weights_refused(stack)
    yield _weights_fetch_failed(stack)
    yield _restarts(limits, stack)
    yield _replicas(stack)
    yield _pool(limits)
    yield _node()
    yield _volume(limits)


def _weights_refused(stack: MonitoredStack) -> AlertRule:
    labels = f'namespace="{stack.namespace}",container="{VERIFIER}"'
    evidence = f'namespace="{stack.namespace}",container="{VERIFIER}",pod="phone-0",uid="1"'
    name = "kube_pod_init_container_status_terminated_reason"
    return AlertRule(
        name="WeightsRefused",
        severity=Severity.PAGE,
        area="model",
        # Between two attempts the container waits and has not ended: what counts is that it did.
        expr=f'max by (namespace, pod) (max_over_time({name}{{{labels},reason!="Completed"}}[5m])) > 0',
        hold=0,
        summary="Weights of {{ $labels.pod }} are not what was reviewed",
        description="Hashing them before the start of the engine has failed, so it does not start. Nothing "
        "unverified is served. Treat it as tampering until it is explained.",
        runbook="weights-refused",
        firing=Evidence(
            (Series(f'{name}{{{evidence},reason="Error"}}', Level(((None, 60), (1, 15), (None, 0)))),),
            true_from=60,
            labels=({"namespace": stack.namespace, "pod": "phone-0"},),
        ),
        silent=(Series(f'{name}{{{evidence},reason="Completed"}}', level(1)),),
    )


def _weights_fetch_failed(stack: MonitoredStack) -> AlertRule:
    labels = f'namespace="{stack.namespace}",job_name=~"{FETCH_JOBS}"'
    return AlertRule(
        name="WeightsFetchFailed",
        severity=Severity.TICKET,
        area="model",
        expr=f'kube_job_failed{{{labels},condition="true"}} > 0',
        hold=0,
        summary="{{ $labels.job_name }} did not bring verified weights",
        description="The version before goes on serving. The Job's last line of log gives the reason.",
        runbook="weights-refused",
        firing=Evidence(
            (
                Series(
                    f'kube_job_failed{{namespace="{stack.namespace}",job_name="phone-fetch-c2bf",'
                    'condition="true"}',
                    Level(((0, 60), (1, 0))),
                ),
            ),
            true_from=60,
            labels=({"namespace": stack.namespace, "job_name": "phone-fetch-c2bf", "condition": "true"},),
        ),
        silent=(
            Series(
                f'kube_job_failed{{namespace="{stack.namespace}",job_name="phone-fetch-c2bf",'
                'condition="false"}',
                level(1),
            ),
            Series(
                f'kube_job_failed{{namespace="{stack.namespace}",job_name="etcd-snapshot-29",'
                'condition="true"}',
                level(1),
            ),
        ),
    )


def _restarts(limits: AlertThresholds, stack: MonitoredStack) -> AlertRule:
    name = "kube_pod_container_status_restarts_total"
    limit = limits.restarts_per_minute
    evidence = f'{name}{{namespace="{stack.namespace}",pod="phone-0",container="vllm",uid="1"}}'
    return AlertRule(
        name="PodsRestarting",
        severity=Severity.PAGE,
        area=AREA,
        expr=(f'sum by (namespace) (increase({name}{{namespace="{stack.namespace}"}}[1m])) > {limit:g}'),
        hold=0,
        summary="Containers of {{ $labels.namespace }} restart {{ $value | humanize }} times a minute",
        description=f"More than {limit:g} restarts a minute: many pods at once, or many containers each.",
        runbook="pods-restarting",
        firing=Evidence(
            (Series(evidence, Level(((0, 120), (int(limit) + 1, 0)))),),
            true_from=120,
            labels=({"namespace": stack.namespace},),
        ),
        # As many as are allowed, within a minute.
        silent=(Series(evidence, Level(((0, 120), (int(limit * 0.6), 0)))),),
    )


def _replicas(stack: MonitoredStack) -> AlertRule:
    by = "(namespace, deployment)"
    where = f'{{namespace="{stack.namespace}"}}'
    evidence = f'{{namespace="{stack.namespace}",deployment="phone"}}'
    return AlertRule(
        name="ReplicasUnavailable",
        severity=Severity.TICKET,
        area="model",
        expr=(
            f"sum by {by} (kube_deployment_spec_replicas{where}) "
            f"- sum by {by} (kube_deployment_status_replicas_available{where}) > 0"
        ),
        hold=15 * MINUTE,
        summary="{{ $labels.deployment }} lacks {{ $value }} replicas",
        description="The others carry the load. A rollout that takes as long as this has usually got stuck.",
        runbook="replicas-unavailable",
        firing=Evidence(
            (
                Series(f"kube_deployment_spec_replicas{evidence}", level(3)),
                Series(f"kube_deployment_status_replicas_available{evidence}", level(2)),
            ),
            true_from=0,
            labels=({"namespace": stack.namespace, "deployment": "phone"},),
        ),
        silent=(
            Series(f"kube_deployment_spec_replicas{evidence}", level(3)),
            Series(f"kube_deployment_status_replicas_available{evidence}", level(3)),
        ),
    )


def _pool_series(requested: float) -> tuple[Series, ...]:
    """A node of eight GPUs; a pod that has ended asks for all of them, too."""
    gpu = 'node="gpu-1",resource="nvidia_com_gpu",unit="integer"'

    def pod(name: str, phase: str, count: float) -> tuple[Series, ...]:
        labels = f'namespace="autoglm",pod="{name}",uid="1"'
        return (
            Series(f'kube_pod_container_resource_requests{{{labels},container="vllm",{gpu}}}', level(count)),
            Series(f'kube_pod_status_phase{{{labels},phase="{phase}"}}', level(1)),
        )

    return (
        Series(f'kube_node_labels{{node="gpu-1",{POOL_LABEL}="gpu"}}', level(1)),
        Series(f"kube_node_status_allocatable{{{gpu}}}", level(8)),
        *pod("phone-0", "Running", requested),
        *pod("phone-fetch", "Succeeded", 8),
    )


def _pool(limits: AlertThresholds) -> AlertRule:
    return AlertRule(
        name="NodePoolNearlyFull",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"{REQUESTED} / {ALLOCATABLE} > {limits.pool_percent / 100:.4g}",
        hold=15 * MINUTE,
        summary=f"Pool {{{{ $labels.{POOL_LABEL} }}}}: {{{{ $value | humanizePercentage }}}} of "
        "{{ $labels.resource }} is taken",
        description=f"Above {limits.pool_percent:g} %, a rollout or the loss of a node may find no room.",
        runbook="node-pool-full",
        firing=Evidence(
            _pool_series(7), true_from=0, labels=({POOL_LABEL: "gpu", "resource": "nvidia_com_gpu"},)
        ),
        silent=_pool_series(6),
    )


def _node() -> AlertRule:
    name = "kube_node_status_condition"
    ready = f'{name}{{condition="Ready",status="true",node="gpu-1"}}'
    return AlertRule(
        name="NodeNotReady",
        severity=Severity.TICKET,
        area=AREA,
        expr=f'max by (node) ({name}{{condition="Ready",status="true"}}) == 0',
        hold=5 * MINUTE,
        summary="Node {{ $labels.node }} is not ready",
        description="Its pods are replaced elsewhere if there is room.",
        runbook="node-not-ready",
        firing=Evidence((Series(ready, level(0)),), true_from=0, labels=({"node": "gpu-1"},)),
        silent=(Series(ready, Level(((1, 300), (0, 240), (1, 0)))),),
    )


def _volume(limits: AlertThresholds) -> AlertRule:
    by = "(namespace, persistentvolumeclaim)"
    labels = f'{{job="{KUBELET}",namespace="autoglm",persistentvolumeclaim="data-etcd-0"}}'
    free = limits.disk_free_percent / 100
    return AlertRule(
        name="VolumeFillingUp",
        severity=Severity.TICKET,
        area=AREA,
        # A shared volume is reported by each node that has mounted it.
        expr=(
            f"min by {by} (kubelet_volume_stats_available_bytes) "
            f"/ min by {by} (kubelet_volume_stats_capacity_bytes) < {free:.4g}"
        ),
        hold=10 * MINUTE,
        summary="{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left",
        description=f"Less than {limits.disk_free_percent:g} % of the volume is free.",
        runbook="disk-full",
        firing=Evidence(
            (
                Series(f"kubelet_volume_stats_available_bytes{labels}", level(8e9)),
                Series(f"kubelet_volume_stats_capacity_bytes{labels}", level(100e9)),
            ),
            true_from=0,
            labels=({"namespace": "autoglm", "persistentvolumeclaim": "data-etcd-0"},),
        ),
        silent=(
            Series(f"kubelet_volume_stats_available_bytes{labels}", level(12e9)),
            Series(f"kubelet_volume_stats_capacity_bytes{labels}", level(100e9)),
        ),
    )
