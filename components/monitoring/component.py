"""The StackMonitoring component."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta

from components.common.labels import object_labels
from components.monitoring.monitors import pod_monitors
from components.monitoring.objects import pod_monitor, prometheus_rule
from components.monitoring.plan import MonitoringPlan


@dataclass(frozen=True)
class StackMonitoringArgs:
    """Inputs of StackMonitoring."""

    namespace: pulumi.Input[str]
    """Of the models and of etcd; a Prometheus that looks only at some namespaces must look at this one."""
    plan: MonitoringPlan


class StackMonitoring(pulumi.ComponentResource):
    """Rules and monitors of a stack, for the prometheus-operator of the cluster, whoever runs it."""

    def __init__(
        self, name: str, args: StackMonitoringArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:monitoring:StackMonitoring", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels("monitoring", name, component="monitoring")

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            return meta.v1.ObjectMetaArgs(name=object_name, namespace=args.namespace, labels=labels)

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
        self.register_outputs({})
