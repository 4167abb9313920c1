"""What exporters on nodes have in common."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, meta

from components.common.labels import object_labels, selector_labels
from components.common.workloads import KEPT_REVISIONS, object_metadata
from components.monitoring.plan import MonitoringPlan


@dataclass(frozen=True)
class NodeAgentArgs:
    """Inputs of an exporter on nodes."""

    namespace: pulumi.Input[str]
    """Of agents of nodes: its pod security standard admits the node's network, paths and devices."""
    service_account: pulumi.Input[str]
    plan: MonitoringPlan
    image: pulumi.Input[str]


def agent_labels(name: str) -> dict[str, str]:
    """Of an exporter's objects and pods."""
    return object_labels(name, name, component="monitoring")


def daemon_set(
    resource: str,
    name: str,
    args: NodeAgentArgs,
    pod: core.v1.PodSpecArgs,
    *,
    max_unavailable: str | None = None,
    opts: pulumi.ResourceOptions,
) -> apps.v1.DaemonSet:
    """One pod on every node that the pod's spec admits.

    :param max_unavailable: nodes that an update may do at a time; one by one without it.
    """
    labels = agent_labels(name)
    rollout = None
    if max_unavailable is not None:
        rollout = apps.v1.DaemonSetUpdateStrategyArgs(
            type="RollingUpdate",
            rolling_update=apps.v1.RollingUpdateDaemonSetArgs(max_unavailable=max_unavailable),
        )
    return apps.v1.DaemonSet(
        resource,
        # On a node that is down it never becomes ready, and that must not hold an update.
        metadata=object_metadata(name, args.namespace, labels, await_ready=False),
        spec=apps.v1.DaemonSetSpecArgs(
            revision_history_limit=KEPT_REVISIONS,
            selector=meta.v1.LabelSelectorArgs(match_labels=selector_labels(name, name)),
            update_strategy=rollout,
            template=core.v1.PodTemplateSpecArgs(metadata=meta.v1.ObjectMetaArgs(labels=labels), spec=pod),
        ),
        opts=opts,
    )
