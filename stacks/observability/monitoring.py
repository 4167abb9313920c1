"""Metrics and alerts of a stack: what the other sections say of it, and what is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.accelerators.catalogue import accelerator
from components.common.names import AGENTS_NAMESPACE
from components.common.problems import Problem, below
from components.eks.plan import EksPlan
from components.etcd.plan import EtcdPlan
from components.gke.plan import GkePlan
from components.monitoring.plan import MonitoringPlan, plan_monitoring
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack, Scraped
from components.onprem.plan import OnpremPlan
from stacks.clusters import ClusterPlan
from stacks.settings import Settings

PODS_PER_NODE = 30
"""Expected on average, for the sizing of Prometheus; nodes with a GPU or eight run few."""


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
        cert_manager=(etcd is not None or settings.logging is not None)
        and settings.cluster.kind != "embedded",
        model_scheme=observed.model_scheme,
        name=observed.stack,
        agents_namespace=AGENTS_NAMESPACE,
        gpu_pools=tuple(pool.name for pool in nvidia),
        node_cidrs=_node_cidrs(cluster),
        scraped=observed.scraped,
        audit_collectors=settings.audit.collectors if settings.audit else 0,
        audit_receiver=settings.audit is not None and settings.audit.source == "logs",
        logging_namespace=settings.logging.namespace if settings.logging else None,
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
