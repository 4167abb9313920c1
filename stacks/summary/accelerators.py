"""Accelerators that the node pools of a plan bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components.accelerators.shapes import NodePoolShape


@dataclass(frozen=True)
class AcceleratorPool:
    """A node pool with accelerators."""

    pool: str
    accelerator: str
    """Name in the catalogue."""
    machine_type: str
    min_nodes: int
    max_nodes: int
    unit: str
    """What a pod asks for: the resource's name."""
    per_node: int
    """Units of a node, after partitioning or time-slicing."""
    sharing: str
    zones: tuple[str, ...]
    least: int
    """Units at the pool's smallest size."""
    most: int
    """Units at the pool's largest size."""


def accelerator_pools(
    shapes: Iterable[NodePoolShape], sharing: Mapping[str, str]
) -> tuple[AcceleratorPool, ...]:
    """The pools that have accelerators; `sharing` tells by pool how they are shared, in words."""
    return tuple(
        AcceleratorPool(
            pool=shape.name,
            accelerator=shape.accelerator,
            machine_type=shape.machine_type,
            min_nodes=shape.min_nodes,
            max_nodes=shape.max_nodes,
            unit=unit,
            per_node=count,
            sharing=sharing.get(shape.name, "exclusive"),
            zones=shape.zones,
            least=shape.min_nodes * count,
            most=shape.max_nodes * count,
        )
        for shape in shapes
        if shape.accelerator is not None
        for unit, count in shape.allocatable.items()
        if "/" in unit
    )
