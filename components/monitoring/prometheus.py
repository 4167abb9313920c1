"""The PrometheusServers component: Prometheus, run by prometheus-operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, core, meta, networking

from components.common.labels import PART_OF, object_labels, selector_labels
from components.common.network_policies import Flow, isolation, networks, pods, pods_in
from components.common.outputs import known_after
from components.common.pods import NON_ROOT_ID
from components.common.quantities import format_bytes
from components.common.workloads import disruption_budget, object_metadata, service_spec
from components.monitoring import ports
from components.monitoring.access import (
    Right,
    cluster_role,
    role,
    service_account,
    token_mount_document,
    token_volume_document,
)
from components.monitoring.durations import format_duration
from components.monitoring.objects import API_VERSION
from components.monitoring.plan import RELAY_NAME, MonitoringPlan
from components.monitoring.scraping import scrape_configs_text
from components.monitoring.stack import (
    ALERTMANAGER,
    DCGM_EXPORTER,
    ETCD,
    KUBE_STATE_METRICS,
    MODEL_SERVER,
    PROMETHEUS,
)

NAME: Final = "prometheus"
"""Of its Service, account and Secret."""
INSTANCE: Final = "platform"
"""Of the Prometheus object: prometheus-operator names pods and Services after it."""
_SCRAPE_CONFIGS: Final = "prometheus-scrape-configs"
_FILE: Final = "scrape-configs.yaml"
SELECTOR: Final = selector_labels(PROMETHEUS, INSTANCE)
"""Labels that prometheus-operator gives to the pods."""
CLIENTS: Final = ("grafana", "trend-report")
"""Names (`app.kubernetes.io/name`) of what may ask it, in its namespace."""


@dataclass(frozen=True)
class PrometheusArgs:
    """Inputs of PrometheusServers."""

    namespace: pulumi.Input[str]
    plan: MonitoringPlan
    image: pulumi.Input[str]
    agents_namespace: pulumi.Input[str] | None = None
    """Of the exporters on nodes."""


class PrometheusServers(pulumi.ComponentResource):
    """Prometheus with its rights, volume, NetworkPolicy, disruption budget and Service.

    It looks for pods in the namespaces of the plan and nowhere else, and takes rules and monitors of this
    platform only (label `app.kubernetes.io/part-of`).
    """

    url: pulumi.Output[str]
    """Base URL inside the cluster."""

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:monitoring:PrometheusServers", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels(PROMETHEUS, INSTANCE, component="monitoring")

        def metadata(object_name: str, namespace: pulumi.Input[str] | None = None) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, args.namespace if namespace is None else namespace, labels)

        account = service_account(name, metadata(NAME), child)
        holder = (NAME, args.namespace)
        rights: list[pulumi.Resource] = [
            account,
            cluster_role(
                name,
                f"{plan.settings.namespace}-{NAME}",
                labels,
                holder,
                [Right("", ("nodes",)), Right("", ("nodes/metrics",), ("get",))],
                paths=("/metrics",),
                opts=child,
            ),
        ]
        # The API server's addresses are in namespace default.
        for namespace in (*plan.watched_namespaces, "default"):
            rights.append(
                role(
                    f"{name}-{namespace}",
                    metadata(f"{plan.settings.namespace}-{NAME}", namespace),
                    f"{plan.settings.namespace}-{NAME}",
                    holder,
                    [
                        Right("", ("pods", "services")),
                        Right("discovery.k8s.io", ("endpointslices",)),
                    ],
                    opts=child,
                )
            )
        isolated = networking.v1.NetworkPolicy(
            name, metadata=metadata(NAME), spec=_isolation(args), opts=child
        )
        disruption_budget(name, metadata(NAME), SELECTOR, opts=child)
        configs = core.v1.Secret(
            name,
            metadata=metadata(_SCRAPE_CONFIGS),
            type="Opaque",
            string_data={_FILE: scrape_configs_text(plan.settings.scrape_interval)},
            opts=child,
        )
        service = core.v1.Service(
            name,
            # prometheus-operator makes the pods behind it.
            metadata=object_metadata(NAME, args.namespace, labels, await_ready=False),
            # A dashboard asks several questions: replicas differ in the last samples.
            spec=service_spec(SELECTOR, "web", ports.PROMETHEUS, session_affinity="ClientIP"),
            opts=child,
        )
        apiextensions.CustomResource(
            name,
            api_version=API_VERSION,
            kind="Prometheus",
            metadata=metadata(INSTANCE),
            spec=_spec(args, labels),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*rights, isolated, configs]),
        )
        self.url = known_after(f"http://{NAME}.{plan.settings.namespace}.svc:{ports.PROMETHEUS}", service)
        self.register_outputs({"url": self.url})


def _spec(args: PrometheusArgs, labels: Mapping[str, str]) -> dict[str, Any]:
    plan, settings = args.plan, args.plan.settings
    interval = format_duration(settings.scrape_interval)
    ours = {"matchLabels": {"app.kubernetes.io/part-of": PART_OF}}
    namespaces = {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "In",
                "values": sorted(plan.watched_namespaces),
            }
        ]
    }
    selectors = {
        f"{kind}{part}": value
        for kind in ("podMonitor", "serviceMonitor", "probe", "rule")
        for part, value in (("Selector", ours), ("NamespaceSelector", namespaces))
    }
    server = settings.prometheus
    return {
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "version": server.version,
        "replicas": server.replicas,
        **selectors,
        "additionalScrapeConfigs": {"name": _SCRAPE_CONFIGS, "key": _FILE},
        "scrapeInterval": interval,
        "evaluationInterval": interval,
        "retention": format_duration(server.retention),
        "retentionSize": f"{plan.sizing.samples}B",
        "walCompression": True,
        "storage": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    **({"storageClassName": server.storage_class} if server.storage_class else {}),
                    "resources": {"requests": {"storage": format_bytes(plan.sizing.volume)}},
                }
            }
        },
        "resources": plan.shares.prometheus.document(),
        "serviceAccountName": NAME,
        "serviceDiscoveryRole": "EndpointSlice",
        "automountServiceAccountToken": False,
        "volumes": [token_volume_document()],
        "volumeMounts": [token_mount_document()],
        "securityContext": pod_security_document(),
        "enableServiceLinks": False,
        "podMetadata": {"labels": dict(labels)},
        "topologySpreadConstraints": [spread_document(SELECTOR)],
        "alerting": {
            "alertmanagers": [
                {
                    "namespace": settings.namespace,
                    "name": f"{ALERTMANAGER}-operated",
                    "port": "web",
                    "apiVersion": "v2",
                }
            ]
        },
        "externalLabels": {"stack": plan.stack.name},
        "replicaExternalLabelName": "replica",
        "enforcedBodySizeLimit": "32MB",
        "terminationGracePeriodSeconds": 120,
    }


def pod_security_document() -> dict[str, Any]:
    """Pod level of the restricted standard, as prometheus-operator's objects have it; what it asks of
    containers, prometheus-operator sets by itself."""
    return {
        "runAsNonRoot": True,
        "runAsUser": NON_ROOT_ID,
        "runAsGroup": NON_ROOT_ID,
        "fsGroup": NON_ROOT_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def spread_document(selector: Mapping[str, str]) -> dict[str, Any]:
    """Replicas on different nodes where there are several."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector)},
    }


def _isolation(args: PrometheusArgs) -> networking.v1.NetworkPolicySpecArgs:
    """Dashboards and reports ask it; it asks what it scrapes, the API server and Alertmanager."""
    plan = args.plan
    name = "app.kubernetes.io/name"
    egress = [
        Flow((pods_in(plan.stack.namespace, {name: MODEL_SERVER}),), (ports.MODEL_SERVER,)),
        Flow(networks(plan.node_cidrs), (ports.KUBELET, ports.NODE_EXPORTER)),
        Flow(networks(plan.api_server_cidrs), ports.API_SERVER),
        Flow((pods({name: ALERTMANAGER}),), (ports.ALERTMANAGER,)),
        Flow((pods({name: PROMETHEUS}),), (ports.PROMETHEUS,)),
        Flow((pods({name: KUBE_STATE_METRICS}),), (ports.KUBE_STATE_METRICS, ports.KUBE_STATE_METRICS_SELF)),
        *(Flow((pods_in(one.namespace, {name: one.name}),), (one.port,)) for one in plan.scraped),
    ]
    if plan.robots:
        egress.append(Flow((pods({name: RELAY_NAME}),), (ports.ALERT_RELAY,)))
    if plan.stack.etcd_members is not None:
        egress.append(Flow((pods_in(plan.stack.namespace, {name: ETCD}),), (ports.ETCD_METRICS,)))
    if args.agents_namespace is not None and plan.gpu_pools:
        egress.append(Flow((pods_in(args.agents_namespace, {name: DCGM_EXPORTER}),), (ports.DCGM_EXPORTER,)))
    return isolation(
        SELECTOR,
        ingress=[Flow(tuple(pods({name: client}) for client in (*CLIENTS, PROMETHEUS)), (ports.PROMETHEUS,))],
        egress=egress,
    )
