"""The StackMonitoring and OwnMonitoring components: what is watched, and what watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, admission, pods_in
from components.common.workloads import object_metadata
from components.monitoring import ports
from components.monitoring.alertmanager_servers import AlertmanagerArgs, AlertmanagerServers
from components.monitoring.dcgm_exporter import DcgmExporter
from components.monitoring.kube_state_metrics import KubeStateMetrics, KubeStateMetricsArgs
from components.monitoring.monitors import agent_monitors, pod_monitors, server_monitors
from components.monitoring.node_agents import NodeAgentArgs
from components.monitoring.node_exporter import NodeExporter
from components.monitoring.objects import PodMonitorSpec, pod_monitor, prometheus_rule
from components.monitoring.plan import (
    ALERTMANAGER_IMAGE,
    DCGM_EXPORTER_IMAGE,
    KUBE_STATE_METRICS_IMAGE,
    NODE_EXPORTER_IMAGE,
    PROMETHEUS_IMAGE,
    MonitoringPlan,
)
from components.monitoring.prometheus import PrometheusArgs, PrometheusServers
from components.monitoring.relay import AlertRelay, AlertRelayArgs
from components.monitoring.stack import ETCD, MODEL_SERVER, PROMETHEUS


@dataclass(frozen=True)
class StackMonitoringArgs:
    """Inputs of StackMonitoring."""

    namespace: pulumi.Input[str]
    """Of the models and of etcd; a Prometheus that looks only at some namespaces must look at this one."""
    plan: MonitoringPlan


class StackMonitoring(pulumi.ComponentResource):
    """Rules and monitors of a stack, for the prometheus-operator of the cluster, whoever runs it; and the
    way in for Prometheus, by the labels of its pods: nobody else gets in by it."""

    def __init__(
        self, name: str, args: StackMonitoringArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:monitoring:StackMonitoring", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        existing = plan.settings.existing
        labels = {
            **(existing.object_labels if existing else {}),
            **object_labels("monitoring", name, component="monitoring"),
        }

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, args.namespace, labels)

        for group in plan.groups:
            prometheus_rule(
                f"{name}-{group.name}",
                metadata(group.name),
                group,
                runbooks=plan.settings.runbooks,
                opts=child,
            )
        for monitor in pod_monitors(plan.stack, plan.settings.scrape_interval):
            pod_monitor(f"{name}-{monitor.name}", metadata(monitor.name), monitor, opts=child)
        for target, port in _targets(plan):
            networking.v1.NetworkPolicy(
                f"{name}-scrape-{target}",
                metadata=metadata(f"{target}-scrape"),
                spec=admission(
                    {"app.kubernetes.io/name": target}, Flow((pods_in(*_prometheus(plan)),), (port,))
                ),
                opts=child,
            )
        self.register_outputs({})


def _targets(plan: MonitoringPlan) -> list[tuple[str, int]]:
    """Names and ports of the stack's own targets."""
    found = [(MODEL_SERVER, ports.MODEL_SERVER)] if plan.stack.models else []
    return [*found, *([(ETCD, ports.ETCD_METRICS)] if plan.stack.etcd_members is not None else [])]


def _prometheus(plan: MonitoringPlan) -> tuple[str, Mapping[str, str]]:
    """Namespace and labels of the pods that scrape."""
    existing = plan.settings.existing
    if existing is not None:
        return existing.namespace, existing.pod_labels
    return plan.settings.namespace, selector_labels(PROMETHEUS, "platform")


@dataclass(frozen=True)
class OwnMonitoringArgs:
    """Inputs of OwnMonitoring."""

    namespace: pulumi.Input[str]
    service_account: pulumi.Input[str]
    """Of pods that ask nothing of the Kubernetes API."""
    agents_namespace: pulumi.Input[str]
    agents_service_account: pulumi.Input[str]
    """The same, of what runs on nodes."""
    images: Mapping[str, pulumi.Input[str]]
    """References by name."""
    plan: MonitoringPlan


class OwnMonitoring(pulumi.ComponentResource):
    """Prometheus, Alertmanager, the alert relay and the exporters of a stack."""

    url: pulumi.Output[str]
    """Base URL of Prometheus inside the cluster."""

    def __init__(
        self, name: str, args: OwnMonitoringArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:monitoring:OwnMonitoring", name, None, opts)
        plan, exporters, images = args.plan, args.plan.settings.exporters, args.images
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels("monitoring", name, component="monitoring")
        agents = (args.agents_namespace, args.agents_service_account)

        prometheus = PrometheusServers(
            "prometheus",
            PrometheusArgs(args.namespace, plan, images[PROMETHEUS_IMAGE], args.agents_namespace),
            child,
        )
        self.url = prometheus.url
        AlertmanagerServers(
            "alertmanager", AlertmanagerArgs(args.namespace, plan, images[ALERTMANAGER_IMAGE]), child
        )
        if plan.robots:
            AlertRelay("alert-relay", AlertRelayArgs(args.namespace, args.service_account, plan), child)
        if exporters.kube_state_metrics == "own":
            KubeStateMetrics(
                "kube-state-metrics",
                KubeStateMetricsArgs(args.namespace, plan, images[KUBE_STATE_METRICS_IMAGE]),
                child,
            )
        if exporters.node_exporter == "own":
            NodeExporter("node-exporter", NodeAgentArgs(*agents, plan, images[NODE_EXPORTER_IMAGE]), child)
        if plan.gpu_pools:
            DcgmExporter("dcgm-exporter", NodeAgentArgs(*agents, plan, images[DCGM_EXPORTER_IMAGE]), child)

        def monitor(namespace: pulumi.Input[str], spec: PodMonitorSpec) -> None:
            pod_monitor(
                f"{name}-{spec.name}", object_metadata(spec.name, namespace, labels), spec, opts=child
            )

        for spec in server_monitors(plan):
            monitor(args.namespace, spec)
        for spec in agent_monitors(plan):
            monitor(args.agents_namespace, spec)
        self.register_outputs({"url": self.url})
