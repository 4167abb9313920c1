"""Machine types by name, with an error that helps where a name is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from components.accelerators.catalogue import Cloud, accelerator
from components.accelerators.ec2 import EC2
from components.accelerators.gce import GCE
from components.accelerators.lookup import find
from components.accelerators.machine import Architecture, MachineType

__all__ = ["MACHINE_TYPES", "Architecture", "MachineType", "machine_type", "with_accelerators"]

MACHINE_TYPES: Final[Mapping[Cloud, Mapping[str, MachineType]]] = {
    "aws": {entry.name: entry for entry in EC2},
    "gcp": {entry.name: entry for entry in GCE},
}
"""All of them, by cloud and name."""

_NAMES: Final[Mapping[Cloud, str]] = {"aws": "EC2 instance type", "gcp": "Google Cloud machine type"}


def machine_type(cloud: Cloud, name: str) -> MachineType:
    """The machine type of that name; raises UnknownNameError."""
    return find(_NAMES[cloud], name, MACHINE_TYPES[cloud])


def with_accelerators(machine: MachineType, name: str, count: int) -> MachineType:
    """The machine with accelerators added to it, e.g. ("T4", 1).

    Raises ValueError, with the possible numbers in its text, if the machine does not take them.
    """
    if count not in machine.attachable.get(name, ()):
        possible = "; ".join(
            f"{known}: {', '.join(map(str, counts))}" for known, counts in machine.attachable.items()
        )
        raise ValueError(f"{count} {name}: {machine.name} takes {possible or 'no accelerators'}")
    return replace(
        machine,
        accelerator=name,
        accelerator_count=count,
        gke_accelerator=accelerator(name).gke_types[0],
    )
