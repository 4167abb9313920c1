"""TPU slices: a topology, and the machines that make it up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Generation = Literal["v4", "v5e", "v5p", "v6e"]


class TopologyError(ValueError):
    """A topology that a TPU generation or machine type lacks; the text names the nearest that it has."""


@dataclass(frozen=True)
class TpuSlice:
    """Chips joined by their own network; all its hosts are one node pool that exists as a whole or not at all."""

    generation: Generation
    topology: str
    """As the `cloud.google.com/gke-tpu-topology` label has it, e.g. `2x4`."""
    chips: int
    hosts: int
    """Nodes of the pool: a multi-host pool has exactly these."""
    chips_per_host: int
    """`google.com/tpu` of each node; a pod that uses a host asks for all of them."""
    machine_type: str
    label: str
    """Value of `cloud.google.com/gke-tpu-accelerator`."""

    @property
    def multi_host(self) -> bool:
        """More than one node: needs a leader and workers that start together."""
        return self.hosts > 1


# (generation, topology) → chips per host → machine type
_SLICES: Final[Mapping[Generation, Mapping[str, Mapping[int, str]]]] = {
    "v5e": {"2x4": {8: "ct5lp-hightpu-8t", 4: "ct5lp-hightpu-4t"}, "4x4": {4: "ct5lp-hightpu-4t"}},
}
_LABELS: Final[Mapping[Generation, str]] = {
    "v4": "tpu-v4-podslice",
    "v5e": "tpu-v5-lite-podslice",
    "v5p": "tpu-v5p-slice",
    "v6e": "tpu-v6e-slice",
}


def topology(generation: Generation, text: str, machine_type: str | None = None) -> TpuSlice:
    """The slice of that topology, e.g. ("v5e", "2x4"); raises TopologyError.

    Where two machine types make up the same topology, the one with more chips per host is taken unless
    `machine_type` names the other.
    """
    machines = _SLICES[generation].get(text)
    if machines is None:
        raise TopologyError(f"{text!r}: TPU {generation} has no such topology")
    chips = math.prod(int(side) for side in text.split("x"))
    for per_host, name in machines.items():
        if machine_type in (None, name):
            return TpuSlice(generation, text, chips, chips // per_host, per_host, name, _LABELS[generation])
    raise TopologyError(f"{text!r}: {machine_type} does not make it up; use {', '.join(machines.values())}")
