"""The GrafanaServer component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, Peer, isolation, pods, pods_elsewhere, pods_in
from components.common.outputs import known_after
from components.common.pods import (
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    requirements,
    scratch_volume,
    spread,
)
from components.common.quantities import MIB, Resources
from components.common.volumes import secret_volume
from components.common.workloads import (
    deployment_spec,
    disruption_budget,
    object_metadata,
    scrape_annotations,
    service_spec,
)
from components.grafana.configuration import (
    ADMIN_KEYS,
    ADMIN_SECRET,
    CONFIGURATION,
    DASHBOARDS,
    DATA,
    LOG_STORE_KEYS,
    LOG_STORE_SECRET,
    PORT,
)
from components.grafana.plan import NAME, DataSource, GrafanaPlan
from components.monitoring.objects import PodMonitorSpec, pod_monitor

DIGEST: Final = "autoglm-platform/configuration"
"""Annotation of the pods: digest of what Grafana reads at start."""
DATABASE: Final = 256 * MIB
"""Sessions and Grafana's copy of the dashboards; some 10 MiB in practice."""
SAMPLES: Final = 10_000
"""Of Grafana's own metrics, at which its page is dropped."""


@dataclass(frozen=True)
class GrafanaServerArgs:
    """Inputs of a GrafanaServer."""

    namespace: pulumi.Input[str]
    """Prometheus'; the Secrets that the settings name are there."""
    service_account: pulumi.Input[str]
    plan: GrafanaPlan


class GrafanaServer(pulumi.ComponentResource):
    """Grafana with the stack's dashboards: Deployment, Service, ConfigMaps, disruption budget, NetworkPolicy.

    It keeps nothing: a pod that goes away takes sessions with it, and nothing else.
    """

    address: pulumi.Output[str]
    """Base URL inside the cluster."""
    dashboards: pulumi.Output[dict[str, str]]
    """Paths of the dashboards' pages, by name."""

    def __init__(
        self, name: str, args: GrafanaServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:grafana:GrafanaServer", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        selector = selector_labels(NAME, NAME)
        labels = object_labels(NAME, NAME, component="dashboards")

        def metadata(object_name: str = NAME) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, args.namespace, labels)

        guard = networking.v1.NetworkPolicy(name, metadata=metadata(), spec=_isolation(plan), opts=child)
        disruption_budget(name, metadata(), selector, opts=child)
        files = core.v1.ConfigMap(
            name,
            metadata=metadata(),
            data={_key(path): text for path, text in plan.files.items()},
            opts=child,
        )
        pages = [
            core.v1.ConfigMap(
                f"{name}-{dashboard}",
                metadata=metadata(_page(dashboard)),
                data={f"{dashboard}.json": text},
                opts=child,
            )
            for dashboard, text in plan.dashboards.items()
        ]
        service = core.v1.Service(
            name,
            # The Deployment reports readiness; waiting for endpoints would report a failure twice.
            metadata=object_metadata(NAME, args.namespace, labels, await_ready=False),
            spec=service_spec(
                selector,
                "http",
                PORT,
                # Sessions are in each replica's own database.
                session_affinity="ClientIP" if plan.settings.replicas > 1 else "None",
            ),
            opts=child,
        )
        server = apps.v1.Deployment(
            name,
            metadata=metadata(),
            spec=deployment_spec(
                labels,
                selector,
                _pod(args, selector),
                replicas=plan.settings.replicas,
                annotations={DIGEST: plan.digest, **scrape_annotations(PORT)},
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[guard, files, *pages],
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m", delete="5m"),
            ),
        )
        pod_monitor(
            name,
            metadata(),
            PodMonitorSpec(
                name=NAME,
                match_labels=selector,
                port="http",
                interval=plan.scrape_interval,
                sample_limit=SAMPLES,
            ),
            opts=child,
        )
        self.address = known_after(f"http://{NAME}.{plan.namespace}.svc:{PORT}", service)
        self.dashboards = known_after(dict(plan.paths), server)
        self.register_outputs({"address": self.address, "dashboards": self.dashboards})


def _key(path: str) -> str:
    """A path as the key of a ConfigMap, which has no slashes."""
    return path.replace("/", "_")


def _page(dashboard: str) -> str:
    return f"{NAME}-{dashboard}"


def _isolation(plan: GrafanaPlan) -> networking.v1.NetworkPolicySpecArgs:
    """Browsers' way in, Prometheus both ways, and the log store."""
    clients = (pods_elsewhere(plan.settings.clients),) if plan.settings.clients else ()
    asked = [plan.prometheus, *([plan.logs] if plan.logs is not None else [])]
    return isolation(
        selector_labels(NAME, NAME),
        ingress=[Flow((*clients, pods(plan.prometheus_labels)), ("http",))],
        egress=[Flow((_peer(source),), (source.port,)) for source in asked],
    )


def _peer(source: DataSource) -> Peer:
    if source.namespace is None:
        return pods(source.pod_labels)
    return pods_in(source.namespace, source.pod_labels)


def _pod(args: GrafanaServerArgs, selector: dict[str, str]) -> core.v1.PodSpecArgs:
    plan = args.plan
    resources = plan.settings.resources
    store = plan.settings.log_store if plan.logs is not None else None
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        termination_grace_period_seconds=30,
        topology_spread_constraints=[spread(selector)],
        containers=[
            core.v1.ContainerArgs(
                name=NAME,
                image=plan.image,
                image_pull_policy="IfNotPresent",
                ports=[container_port("http", PORT)],
                resources=requirements(
                    Resources(resources.cpu, resources.memory, resources.ephemeral_storage)
                ),
                security_context=container_security_context(),
                # The first start makes the database: some 600 migrations.
                startup_probe=http_probe("/api/health", "http", period=5, failures=36),
                readiness_probe=http_probe("/api/health", "http", period=10),
                liveness_probe=http_probe("/api/health", "http", period=30),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    mount("configuration", CONFIGURATION),
                    mount("dashboards", DASHBOARDS),
                    mount("admin", ADMIN_SECRET),
                    *([mount("log-store", LOG_STORE_SECRET)] if store is not None else []),
                    core.v1.VolumeMountArgs(name="data", mount_path=DATA),
                    core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                ],
            )
        ],
        volumes=[
            core.v1.VolumeArgs(
                name="configuration",
                config_map=core.v1.ConfigMapVolumeSourceArgs(
                    name=NAME,
                    default_mode=0o444,
                    items=[core.v1.KeyToPathArgs(key=_key(path), path=path) for path in plan.files],
                ),
            ),
            core.v1.VolumeArgs(
                name="dashboards",
                projected=core.v1.ProjectedVolumeSourceArgs(
                    default_mode=0o444,
                    sources=[
                        core.v1.VolumeProjectionArgs(
                            config_map=core.v1.ConfigMapProjectionArgs(name=_page(dashboard))
                        )
                        for dashboard in plan.dashboards
                    ],
                ),
            ),
            secret_volume("admin", plan.settings.admin_secret_name, ADMIN_KEYS),
            *([secret_volume("log-store", store.secret_name, LOG_STORE_KEYS)] if store is not None else []),
            scratch_volume("data", DATABASE),
            scratch_volume("tmp", 32 * MIB),
        ],
    )
