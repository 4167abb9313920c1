"""Which pods fit on which node pools: asked before anything is created, not by a pod that stays Pending.

Counted is what finds a node however the scheduler has spread the others. A crowded pool may be called full
that a perfect packing would still serve, never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.accelerators.shapes import NodePoolShape, Taint
from components.common.quantities import GIB, format_bytes, format_millicores

NODE_AGENTS: Final[Mapping[str, int]] = {"cpu": 500, "memory": GIB, "ephemeral-storage": 2 * GIB, "pods": 10}
"""Left on each node for DaemonSets of the cluster itself; the platform's own have been taken off before
(stacks/plan.py). Network, proxy, storage and device plugins ask for 180 to 400m and 300 to 700 Mi together in
the clouds' defaults; their logs and images take some disk. They are four to eight pods."""

_REPELLING: Final = ("NoSchedule", "NoExecute")
_MOST_PODS: Final = 1000
"""More pods than this are not counted one by one."""


@dataclass(frozen=True)
class Pods:
    """Identical pods."""

    amounts: Mapping[str, int]
    """What one asks for: `cpu` in millicores, `memory` and `ephemeral-storage` in bytes, others by number;
    `pods` is itself, where the nodes' number of pods is to count."""
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
    """How many of the pods find a node, at the pools' largest size, wherever the others are; at most 1000.

    The scheduler takes pods in any order, spreads them over nodes, and moves none to make room for a larger
    one.
    """
    fitting = 0
    for pool in candidates(pods, pools):
        room = available(pool)
        slots = _slots(pods.amounts, room)
        here = [other for other in others if pool in candidates(other, pools)]
        fitting += max(0, slots * pool.max_nodes - _lost(pods.amounts, room, slots, here, pool.max_nodes))
    return min(fitting, _MOST_PODS)


def _slots(one: Mapping[str, int], room: Mapping[str, int]) -> int:
    """Pods of that size that an empty node takes."""
    return min((room.get(name, 0) // amount for name, amount in one.items() if amount), default=_MOST_PODS)


def _lost(
    one: Mapping[str, int], room: Mapping[str, int], slots: int, others: Sequence[Pods], nodes: int
) -> int:
    """Places of the pods that others can take at most: the least of three bounds, each of them valid."""
    count = sum(other.count for other in others)
    # A pod takes a place for each that its amounts begin to fill.
    by_pod = sum(
        other.count
        * max((-(-other.amounts.get(name, 0) // amount) for name, amount in one.items() if amount), default=0)
        for other in others
    )
    # Nobody is harmed on a node that none of them is on.
    by_node = min(count, nodes) * slots
    # Of a resource, the first place on a node costs what is left over and one unit, each further one what a
    # pod asks for.
    by_amount = 0
    for name, amount in one.items():
        if not amount:
            continue
        total = sum(other.count * other.amounts.get(name, 0) for other in others)
        first = room.get(name, 0) - slots * amount + 1
        by_amount += max(
            (
                harmed + min((total - harmed * first) // amount, harmed * (slots - 1))
                for harmed in range(1, min(count, nodes, total // first) + 1)
            ),
            default=0,
        )
    return min(by_pod, by_node, by_amount)


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
