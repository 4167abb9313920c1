"""TPU slices: a topology, and the machines that make it up.

Sources: AI-Hypercomputer/xpk, system_characteristics.py, for the topologies of several hosts;
GoogleCloudPlatform/cluster-autoscaler, machinetypes, for those of one. Larger slices of v5p exist, up to 6144
chips; nothing that the platform serves needs them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from components.accelerators.catalogue import ACCELERATORS
from components.accelerators.machine_types import MACHINE_TYPES

Generation = Literal["v4", "v5e", "v5p", "v6e"]
GENERATIONS: Final[tuple[Generation, ...]] = get_args(Generation)


class TopologyError(ValueError):
    """A topology that a TPU generation or machine type lacks; the text names the nearest that it has."""


@dataclass(frozen=True)
class TpuSlice:
    """Chips joined by a network of their own; its hosts are one node pool that exists as a whole or not."""

    generation: Generation
    topology: str
    """As the label `cloud.google.com/gke-tpu-topology` has it, e.g. `2x4`."""
    chips: int
    hosts: int
    """Nodes of the pool: a slice of several hosts has exactly these."""
    chips_per_host: int
    """`google.com/tpu` of each node; a pod that uses a host asks for all of them."""
    machine_type: str
    label: str
    """Value of `cloud.google.com/gke-tpu-accelerator`."""

    @property
    def multi_host(self) -> bool:
        """More than one node: needs a leader and workers that start together."""
        return self.hosts > 1


def _machines(generation: Generation) -> Mapping[int, str]:
    """Machine type by its number of chips."""
    return {
        machine.accelerator_count: machine.name
        for machine in MACHINE_TYPES["gcp"].values()
        if machine.accelerator == f"TPU-{generation}"
    }


def _flat() -> dict[str, tuple[int, ...]]:
    """v5e and v6e: a host of 1, 4 or 8 chips alone, or hosts of 4 chips together."""
    several = dict.fromkeys(("4x4", "4x8", "8x8", "8x16", "16x16"), (4,))
    return {"1x1": (1,), "2x2": (4,), "2x4": (8, 4), **several}


def _cubic(*topologies: str) -> dict[str, tuple[int, ...]]:
    """v4 and v5p: hosts of 4 chips."""
    return dict.fromkeys(topologies, (4,))


# Generation → topology → chips per host that make it up, the preferred number first.
_TOPOLOGIES: Final[Mapping[Generation, Mapping[str, tuple[int, ...]]]] = {
    "v4": _cubic(
        *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8"),
        *("8x8x8", "8x8x12", "8x8x16", "8x16x16"),
    ),
    "v5e": _flat(),
    "v5p": _cubic(
        *("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x4x12", "4x8x8", "4x4x20", "4x8x12"),
        *(
            "4x4x28",
            "8x8x8",
            "4x12x12",
            "4x8x20",
            "4x4x44",
            "8x8x12",
            "4x4x52",
            "4x8x28",
            "4x12x20",
            "8x8x16",
        ),
    ),
    "v6e": _flat(),
}


def topologies(generation: Generation) -> tuple[str, ...]:
    """All topologies of a generation that are known here, smallest first."""
    return tuple(sorted(_TOPOLOGIES[generation], key=lambda text: (_chips(text), text)))


def topology(generation: Generation, text: str, machine_type: str | None = None) -> TpuSlice:
    """The slice of that topology, e.g. ("v5e", "2x4"); raises TopologyError.

    Where machines of different size make up the same topology, the one with more chips per host is taken,
    unless `machine_type` names the other.
    """
    hosts = _TOPOLOGIES[generation].get(text)
    if hosts is None:
        raise TopologyError(
            f"{text!r}: TPU {generation} has no such topology; nearest are "
            f"{', '.join(_nearest(text, topologies(generation)))}"
        )
    machines = {size: _machines(generation)[size] for size in hosts}
    for size, name in machines.items():
        if machine_type in (None, name):
            return _slice(generation, text, size, name)
    raise TopologyError(_misfit(generation, text, str(machine_type), machines.values()))


def slice_on(machine_type: str, text: str) -> TpuSlice:
    """The slice of that topology on machines of that type; raises TopologyError.

    The generation is the machine type's own, e.g. v5e of `ct5lp-hightpu-4t`.
    """
    machine = MACHINE_TYPES["gcp"].get(machine_type)
    for generation in GENERATIONS:
        if machine and machine.accelerator == f"TPU-{generation}":
            return topology(generation, text, machine_type)
    known = ", ".join(name for generation in GENERATIONS for name in _machines(generation).values())
    raise TopologyError(f"{text!r}: {machine_type} has no TPU; TPU machine types are {known}")


def _slice(generation: Generation, text: str, size: int, machine_type: str) -> TpuSlice:
    chips = _chips(text)
    (label,) = ACCELERATORS[f"TPU-{generation}"].gke_types
    return TpuSlice(generation, text, chips, chips // size, size, machine_type, label)


def _misfit(generation: Generation, text: str, machine_type: str, fitting: Iterable[str]) -> str:
    possible = [
        known
        for known in topologies(generation)
        for size in _TOPOLOGIES[generation][known]
        if _machines(generation)[size] == machine_type
    ]
    fix = f"it is made up of {' or '.join(fitting)}"
    if possible:
        fix += f"; {machine_type} makes up {', '.join(_nearest(text, possible))}"
    return f"{text!r}: not a topology of {machine_type}; {fix}"


def _chips(text: str) -> int:
    return math.prod(int(side) for side in text.split("x"))


def _nearest(text: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Those with the same sides in another order first, then by number of chips."""
    names = tuple(known)
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})*", text):
        return names[:count]
    sides = sorted(text.split("x"))

    def distance(name: str) -> tuple[bool, float]:
        return sorted(name.split("x")) != sides, abs(math.log(_chips(name) / _chips(text)))

    return tuple(sorted(names, key=distance)[:count])
