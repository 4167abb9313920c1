"""Metrics and alerts of a stack: what the other sections say of it, and what is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.accelerators.catalogue import accelerator
from components.common.problems import Problem, below
from components.common.quantities import GIB, MIB, Resources
from components.eks.plan import EksPlan
from components.etcd.plan import EtcdPlan
from components.gke.plan import GkePlan
from components.monitoring.component import (
    OwnMonitoring,
    OwnMonitoringArgs,
    StackMonitoring,
    StackMonitoringArgs,
)
from components.monitoring.plan import MonitoringPlan, plan_monitoring
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack, Scraped
from components.onprem.plan import OnpremPlan
from components.tenant_namespace.component import ContainerLimits, Quota, TenantNamespace, TenantNamespaceArgs
from stacks.clusters import ClusterPlan
from stacks.settings import Settings
from stacks.targets.target import Target

PODS_PER_NODE = 30
"""Expected on average, for the sizing of Prometheus; nodes with a GPU or eight run few."""
AGENTS_NAMESPACE = "node-agents"
"""Of what runs on every node and needs its paths or network."""


@dataclass(frozen=True)
class Observed:
    """What monitoring has to know of other sections, which the settings alone do not tell."""

    stack: str
    etcd: EtcdPlan | None = None
    model_scheme: str = "http"
    scraped: tuple[Scraped, ...] = ()
    """What of other sections brings monitors."""


def plan_stack_monitoring(
    settings: Settings, cluster: ClusterPlan, images: Mapping[str, str], observed: Observed
) -> tuple[MonitoringPlan | None, list[Problem]]:
    """The plan; None without the section, or with every problem that it has."""
    section: Monitoring | None = settings.monitoring
    if section is None:
        return None, []
    plan, problems = plan_monitoring(
        section,
        _monitored(settings, cluster, observed),
        images=images,
        protect=settings.data_protection == "protected",
    )
    if section.namespace == settings.tenant.namespace:
        problems.append(
            Problem("namespace", f"{section.namespace!r}: is the tenant's; choose one of its own")
        )
    return (None if problems else plan), list(below("monitoring", problems))


def _monitored(settings: Settings, cluster: ClusterPlan, observed: Observed) -> MonitoredStack:
    nvidia = [
        pool
        for pool in cluster.pools
        if pool.accelerator is not None and accelerator(pool.accelerator).vendor == "NVIDIA"
    ]
    etcd = observed.etcd
    return MonitoredStack(
        namespace=settings.tenant.namespace,
        models={model.name: model.replicas for model in settings.models},
        nodes=cluster.nodes,
        pods=PODS_PER_NODE * cluster.nodes,
        etcd_members=etcd.settings.members if etcd else None,
        virtual_ips=_virtual_ips(cluster),
        nvidia_gpus=sum(
            pool.max_nodes * sum(n for name, n in pool.allocatable.items() if name.startswith("nvidia.com/"))
            for pool in nvidia
        ),
        # The controller of the embedded cluster serves no metrics.
        cert_manager=etcd is not None and settings.cluster.kind != "embedded",
        model_scheme=observed.model_scheme,
        name=observed.stack,
        agents_namespace=AGENTS_NAMESPACE,
        gpu_pools=tuple(pool.name for pool in nvidia),
        node_cidrs=_node_cidrs(cluster),
        scraped=observed.scraped,
    )


def _virtual_ips(cluster: ClusterPlan) -> tuple[str, ...]:
    if not isinstance(cluster.below, OnpremPlan):
        return ()
    onprem = cluster.below.settings
    found = [onprem.virtual_ip.address]
    if onprem.hosts is not None:
        found.append(onprem.hosts.control_plane.virtual_ip.address)
    return tuple(str(one).partition("/")[0] for one in found)


def _node_cidrs(cluster: ClusterPlan) -> tuple[str, ...]:
    """Networks of nodes and control plane, where the platform makes them."""
    if isinstance(cluster.below, EksPlan | GkePlan):
        return (str(cluster.below.settings.network.cidr),)
    return ()


def monitoring_namespace(plan: MonitoringPlan, pod_security_version: str) -> TenantNamespaceArgs:
    """The namespace of Prometheus and Alertmanager, with a quota from what they ask for."""
    demand = plan.demand
    return TenantNamespaceArgs(
        namespace=plan.settings.namespace,
        pod_security_version=pod_security_version,
        labels=plan.settings.namespace_labels,
        quota=Quota(
            cpu=demand.cpu,
            cpu_limits=demand.cpu_limits,
            memory=demand.memory,
            ephemeral_storage=demand.ephemeral_storage,
            storage=demand.storage,
            persistent_volume_claims=demand.claims,
            pods=demand.pods,
            jobs=20,
        ),
        container_limits=ContainerLimits(
            default=Resources(cpu=100, memory=64 * MIB, ephemeral_storage=64 * MIB),
            maximum=Resources(
                cpu=max(2_000, demand.largest.cpu_limit),
                memory=max(2 * GIB, demand.largest.memory),
                ephemeral_storage=2 * GIB,
            ),
        ),
        # Samples are kept twice and for days: the namespace can be made anew.
        protect=False,
    )


def build_stack_monitoring(
    plan: MonitoringPlan,
    *,
    target: Target,
    tenant: TenantNamespace,
    agents: TenantNamespace | None,
    pod_security_version: str,
    after: tuple[pulumi.Resource, ...] = (),
) -> dict[str, Any]:
    """Deploy it; `after` are resources that bring prometheus-operator.

    :param agents: namespace of agents of nodes; None only where the cluster has a Prometheus already.
    """
    opts = target.options_after(*after)
    StackMonitoring("monitoring", StackMonitoringArgs(tenant.name, plan), opts)
    if not plan.own:
        return {}
    if agents is None:
        raise ValueError("monitoring: node exporter needs the namespace of agents")
    namespace = TenantNamespace("monitoring", monitoring_namespace(plan, pod_security_version), opts)
    own = OwnMonitoring(
        "monitoring",
        OwnMonitoringArgs(
            namespace=namespace.name,
            service_account=namespace.service_account,
            agents_namespace=agents.name,
            agents_service_account=agents.service_account,
            images=target.images,
            plan=plan,
        ),
        opts,
    )
    return {"prometheus": own.url}
