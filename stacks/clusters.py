"""The plan of a cluster, whatever its kind: what its nodes offer to pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from components.accelerators.shapes import NodePoolShape
from components.common.demand import Demand
from components.common.problems import Problem
from components.eks.plan import EksPlan, plan_eks
from components.eks.settings import EksCluster
from components.gke.plan import GkePlan, plan_gke
from components.gke.settings import GkeCluster
from components.onprem.plan import OnpremPlan, plan_onprem
from components.onprem.settings import OnpremCluster
from stacks.settings.cluster import Capacity, Cluster


@dataclass(frozen=True)
class ObjectStorage:
    """The cloud's own object store, as pods reach it."""

    kind: Literal["s3", "gcs"]
    cidrs: tuple[str, ...]
    """Networks of its private endpoints, TCP 443."""
    identity_endpoints: tuple[tuple[str, int], ...]
    """Networks and TCP ports where pods get credentials for it."""


@dataclass(frozen=True)
class ClusterPlan:
    """What can be scheduled on a cluster: described pool by pool, or as a whole."""

    pools: tuple[NodePoolShape, ...] = ()
    """Node pools; empty where only `capacity` is known."""
    capacity: Capacity | None = None
    """What all nodes have left together, for a cluster whose nodes are not described."""
    nodes: int = 1
    """Number of nodes at most."""
    below: EksPlan | GkePlan | OnpremPlan | None = None
    """Plan of what the platform makes below the components that are the same everywhere."""
    object_storage: ObjectStorage | None = None
    """Object store that pods reach without leaving private networks."""

    def pool(self, name: str) -> NodePoolShape | None:
        """The node pool of that name."""
        return next((pool for pool in self.pools if pool.name == name), None)

    def leaving(self, agents: Demand) -> ClusterPlan:
        """The same cluster with that much less on each node of its pools."""
        taken = {
            "cpu": agents.cpu,
            "memory": agents.memory,
            "ephemeral-storage": agents.ephemeral_storage,
            "pods": agents.pods,
        }
        pools = tuple(
            replace(
                pool,
                allocatable={
                    name: max(0, amount - taken.get(name, 0)) for name, amount in pool.allocatable.items()
                },
            )
            for pool in self.pools
        )
        return replace(self, pools=pools)


def plan_cluster(cluster: Cluster, *, protect: bool) -> tuple[ClusterPlan | None, list[Problem]]:
    """Plan of the cluster, or None with every problem; paths are relative to the section."""
    match cluster:
        case EksCluster():
            eks, problems = plan_eks(cluster, protect=protect)
            return (_with_pools(eks, _object_storage(eks, "s3")) if eks else None), problems
        case GkeCluster():
            gke, problems = plan_gke(cluster, protect=protect)
            return (_with_pools(gke, _object_storage(gke, "gcs")) if gke else None), problems
        case OnpremCluster():
            onprem, problems = plan_onprem(cluster, protect=protect)
            return (_with_pools(onprem) if onprem else None), problems
        case _:
            return ClusterPlan(capacity=cluster.capacity, nodes=cluster.nodes), []


def _object_storage(plan: EksPlan | GkePlan, kind: Literal["s3", "gcs"]) -> ObjectStorage:
    return ObjectStorage(kind, plan.object_storage_cidrs, plan.identity_endpoints)


def _with_pools(
    plan: EksPlan | GkePlan | OnpremPlan, object_storage: ObjectStorage | None = None
) -> ClusterPlan:
    return ClusterPlan(
        pools=plan.pools,
        nodes=sum(pool.max_nodes for pool in plan.pools),
        below=plan,
        object_storage=object_storage,
    )
