"""The node pools of a plan with what reviewers ask about: machine, capacity, disks, sharing."""

from __future__ import annotations

from dataclasses import dataclass

from components.accelerators.catalogue import Cloud
from components.accelerators.machine import MachineType
from components.accelerators.machine_types import machine_type
from components.accelerators.shapes import NodePoolShape
from components.eks.plan import EksPlan
from components.eks.settings import EksNodePool, EksSystemPool
from components.gke.plan import GkePlan
from components.gke.pools import PoolPlan
from stacks.clusters import ClusterPlan
from stacks.cost.estimate import Capacity


@dataclass(frozen=True)
class Pool:
    """A node pool in a cloud."""

    shape: NodePoolShape
    cloud: Cloud
    region: str
    machine: MachineType
    capacity: Capacity
    disk: int
    """Bytes of each node's boot disk."""
    disk_price: str
    """Key of its kind in the price table."""
    sharing: str
    """How its accelerators are shared, in words."""


def pools(cluster: ClusterPlan) -> tuple[Pool, ...]:
    """All pools that a cloud makes; none for clusters that are there already."""
    match cluster.below:
        case EksPlan() as eks:
            return tuple(_eks(eks, shape) for shape in eks.pools)
        case GkePlan() as gke:
            return tuple(_gke(gke, pool) for pool in gke.node_pools)
        case _:
            return ()


def _eks(plan: EksPlan, shape: NodePoolShape) -> Pool:
    by_name: dict[str, EksNodePool | EksSystemPool] = {pool.name: pool for pool in plan.settings.node_pools}
    pool = by_name.get(shape.name, plan.settings.system_pool)
    sharing, capacity = "exclusive", "on-demand"
    if isinstance(pool, EksNodePool):
        sharing = _in_words(pool.sharing.model_dump())
        capacity = pool.capacity.kind
    return Pool(
        shape=shape,
        cloud="aws",
        region=plan.settings.region,
        machine=machine_type("aws", shape.machine_type),
        capacity=_billed(capacity),
        disk=pool.disk,
        disk_price="ebs-gp3",
        sharing=sharing,
    )


def _gke(plan: GkePlan, pool: PoolPlan) -> Pool:
    sharing: dict[str, object] = {
        "kind": pool.sharing.kind,
        "replicas": pool.sharing.replicas,
        "profile": pool.sharing.profile,
    }
    if pool.sharing.kind != "time-slicing":
        del sharing["replicas"]
    return Pool(
        shape=pool.shape,
        cloud="gcp",
        region=plan.settings.region,
        machine=pool.machine,
        capacity=_billed(pool.capacity.kind),
        disk=pool.disk,
        disk_price=pool.disk_type,
        sharing=_in_words(sharing),
    )


def _in_words(sharing: dict[str, object]) -> str:
    """`time-slicing, replicas 4`."""
    kind = str(sharing["kind"])
    return ", ".join([kind, *(f"{k} {v}" for k, v in sharing.items() if k != "kind" and v is not None)])


def _billed(kind: str) -> Capacity:
    """How the cloud bills a kind of capacity; capacity blocks are paid like reservations."""
    match kind:
        case "spot":
            return "spot"
        case "reservation" | "capacity-block":
            return "reservation"
        case _:
            return "on-demand"
