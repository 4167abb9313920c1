"""The KubeStateMetrics component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, isolation, networks, pods
from components.common.pods import (
    container_port,
    container_security_context,
    http_probe,
    pod_security_context,
)
from components.common.workloads import deployment_spec, disruption_budget, object_metadata
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
        metadata = object_metadata(KUBE_STATE_METRICS, args.namespace, labels)
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
        disruption_budget(name, metadata, selector, opts=child)
        apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=deployment_spec(labels, selector, _pod(args), alone=True),
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
                    container_port("http", ports.KUBE_STATE_METRICS),
                    container_port("telemetry", ports.KUBE_STATE_METRICS_SELF),
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
