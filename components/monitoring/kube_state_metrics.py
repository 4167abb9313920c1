"""The KubeStateMetrics component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking, policy

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, isolation, networks, pods
from components.common.pods import container_security_context, http_probe, pod_security_context
from components.monitoring import ports
from components.monitoring.access import (
    READ,
    Right,
    cluster_role,
    service_account,
    token_mount,
    token_volume,
)
from components.monitoring.alerts.kubernetes import LABELS_OPTION
from components.monitoring.containers import requirements
from components.monitoring.plan import MonitoringPlan
from components.monitoring.stack import KUBE_STATE_METRICS, PROMETHEUS

WATCHED: Final[dict[str, tuple[str, ...]]] = {
    "": (
        *("namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods"),
        *("resourcequotas", "services"),
    ),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
}
"""By API group. No Secrets and no ConfigMaps: their names alone tell much, and nothing here asks for them."""


@dataclass(frozen=True)
class KubeStateMetricsArgs:
    """Inputs of KubeStateMetrics."""

    namespace: pulumi.Input[str]
    plan: MonitoringPlan
    image: pulumi.Input[str]


class KubeStateMetrics(pulumi.ComponentResource):
    """State of pods, workloads, nodes and volumes as metrics: one replica, for two would count twice."""

    def __init__(
        self, name: str, args: KubeStateMetricsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:monitoring:KubeStateMetrics", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels(KUBE_STATE_METRICS, KUBE_STATE_METRICS, component="monitoring")
        selector = selector_labels(KUBE_STATE_METRICS, KUBE_STATE_METRICS)
        metadata = meta.v1.ObjectMetaArgs(name=KUBE_STATE_METRICS, namespace=args.namespace, labels=labels)
        account = service_account(name, metadata, child)
        bound = cluster_role(
            name,
            f"{plan.settings.namespace}-{KUBE_STATE_METRICS}",
            labels,
            (KUBE_STATE_METRICS, args.namespace),
            [Right(group, resources, READ[1:]) for group, resources in WATCHED.items()],
            opts=child,
        )
        isolated = networking.v1.NetworkPolicy(
            name,
            metadata=metadata,
            spec=isolation(
                selector,
                ingress=[
                    Flow(
                        (pods({"app.kubernetes.io/name": PROMETHEUS}),),
                        (ports.KUBE_STATE_METRICS, ports.KUBE_STATE_METRICS_SELF),
                    )
                ],
                egress=[Flow(networks(plan.api_server_cidrs), ports.API_SERVER)],
            ),
            opts=child,
        )
        policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                unhealthy_pod_eviction_policy="AlwaysAllow",
                selector=meta.v1.LabelSelectorArgs(match_labels=selector),
            ),
            opts=child,
        )
        apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                revision_history_limit=3,
                selector=meta.v1.LabelSelectorArgs(match_labels=selector),
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels), spec=_pod(args)
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[account, bound, isolated],
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m", delete="5m"),
            ),
        )
        self.register_outputs({})


def _pod(args: KubeStateMetricsArgs) -> core.v1.PodSpecArgs:
    watched = [resource for resources in WATCHED.values() for resource in resources]
    return core.v1.PodSpecArgs(
        service_account_name=KUBE_STATE_METRICS,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        termination_grace_period_seconds=30,
        containers=[
            core.v1.ContainerArgs(
                name="kube-state-metrics",
                image=args.image,
                image_pull_policy="IfNotPresent",
                args=[
                    f"--port={ports.KUBE_STATE_METRICS}",
                    f"--telemetry-port={ports.KUBE_STATE_METRICS_SELF}",
                    f"--resources={','.join(sorted(watched))}",
                    LABELS_OPTION,
                ],
                ports=[
                    core.v1.ContainerPortArgs(
                        name="http", container_port=ports.KUBE_STATE_METRICS, protocol="TCP"
                    ),
                    core.v1.ContainerPortArgs(
                        name="telemetry", container_port=ports.KUBE_STATE_METRICS_SELF, protocol="TCP"
                    ),
                ],
                resources=requirements(args.plan.shares.kube_state_metrics),
                security_context=container_security_context(),
                startup_probe=http_probe("/livez", "http", period=5, failures=24),
                readiness_probe=http_probe("/readyz", "telemetry", period=10),
                liveness_probe=http_probe("/livez", "http", period=20),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[token_mount()],
            )
        ],
        volumes=[token_volume()],
    )
