"""Which pods fit on which node pools: asked before anything is created, not by a pod that stays Pending.

First-fit decreasing on whole nodes. It may call a crowded pool full that a perfect packing would still
serve, and never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.accelerators.shapes import NodePoolShape, Taint
from components.common.quantities import GIB, format_bytes, format_millicores

NODE_AGENTS: Final[Mapping[str, int]] = {"cpu": 500, "memory": GIB, "ephemeral-storage": 2 * GIB}
"""Left on each node for DaemonSets: network, proxy, storage and device plugins ask for 180 to 400m and 300 to
700 Mi together in the clouds' defaults; their logs and images take some disk."""

_REPELLING: Final = ("NoSchedule", "NoExecute")
_MOST_PODS: Final = 1000
"""More pods than this are not counted one by one."""


@dataclass(frozen=True)
class Pods:
    """Identical pods."""

    amounts: Mapping[str, int]
    """What one asks for: `cpu` in millicores, `memory` and `ephemeral-storage` in bytes, others by number."""
    count: int
    pool: str | None = None
    """Node pool that they are bound to; None: any pool without taints."""


def tolerated(pool: NodePoolShape) -> tuple[Taint, ...]:
    """Taints that a pod bound to the pool has to tolerate."""
    return tuple(taint for taint in pool.taints if taint.effect in _REPELLING)


def open_pools(pools: Sequence[NodePoolShape]) -> tuple[NodePoolShape, ...]:
    """Pools that take any pod."""
    return tuple(pool for pool in pools if not tolerated(pool))


def candidates(pods: Pods, pools: Sequence[NodePoolShape]) -> tuple[NodePoolShape, ...]:
    """Pools that the pods may run on, sizes aside."""
    if pods.pool is None:
        return open_pools(pools)
    return tuple(pool for pool in pools if pool.name == pods.pool)


def available(pool: NodePoolShape) -> dict[str, int]:
    """What one node of the pool has for pods that are no agents of the node."""
    return {
        name: max(0, amount - NODE_AGENTS.get(name, 0)) for name, amount in sorted(pool.allocatable.items())
    }


def excess(amounts: Mapping[str, int], pool: NodePoolShape) -> tuple[str, ...]:
    """Resources of which one pod asks for more than an empty node of the pool has."""
    room = available(pool)
    return tuple(name for name, amount in amounts.items() if amount > room.get(name, 0))


def pods_that_fit(pods: Pods, others: Sequence[Pods], pools: Sequence[NodePoolShape]) -> int:
    """How many of the pods fit, at the pools' largest size, beside the others; at most 1000 are counted."""
    free = {pool.name: [available(pool) for _ in range(pool.max_nodes)] for pool in pools}
    for other in sorted(others, key=_size, reverse=True):
        for _ in range(other.count):
            _put(other, candidates(other, pools), free)
    fitting = 0
    while fitting < _MOST_PODS and _put(pods, candidates(pods, pools), free):
        fitting += 1
    return fitting


def _size(pods: Pods) -> tuple[int, int, int]:
    """Those with accelerators first, then the larger ones."""
    accelerators = sum(amount for name, amount in pods.amounts.items() if "/" in name)
    return accelerators, pods.amounts.get("memory", 0), pods.amounts.get("cpu", 0)


def _put(pods: Pods, pools: Sequence[NodePoolShape], free: Mapping[str, list[dict[str, int]]]) -> bool:
    """Take one pod's share from the first node that has it."""
    for pool in pools:
        for node in free[pool.name]:
            if all(amount <= node.get(name, 0) for name, amount in pods.amounts.items()):
                for name, amount in pods.amounts.items():
                    if amount:
                        node[name] -= amount
                return True
    return False


def describe(pool: NodePoolShape) -> str:
    """What one node has for pods, e.g. `30500m CPU, 118Gi memory, 4 nvidia.com/gpu`."""
    room = available(pool)
    parts = [f"{format_millicores(room.get('cpu', 0))} CPU", f"{room.get('memory', 0) // GIB}Gi memory"]
    parts += [f"{amount} {name}" for name, amount in room.items() if "/" in name and amount]
    return ", ".join(parts)


def amount_text(name: str, amount: int) -> str:
    """An amount as people write it."""
    if name == "cpu":
        return format_millicores(amount)
    return format_bytes(amount) if name in ("memory", "ephemeral-storage") else str(amount)
