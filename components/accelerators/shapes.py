"""Node pools as the scheduler sees them: labels, taints and what of each node pods can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from components.accelerators.catalogue import Cloud, accelerator
from components.accelerators.machine_types import MachineType
from components.common.problems import Problem
from components.common.quantities import GIB, MIB

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True)
class Taint:
    """Keeps pods without the matching toleration off a node."""

    key: str
    value: str
    effect: Effect


@dataclass(frozen=True)
class NodePoolShape:
    """A node pool of any cluster: enough to decide which pods fit."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, int]
    """Of one node, by resource: `cpu` in millicores, `memory` and `ephemeral-storage` in bytes, `pods`, and
    extended resources as counts, after partitioning or time-slicing."""
    accelerator: str | None
    """Name in the catalogue."""
    accelerator_memory: int | None
    """Bytes of one schedulable unit: a device, a MIG instance, or a device that others share."""
    min_nodes: int
    max_nodes: int
    """Of the whole pool, over all its zones."""
    zones: tuple[str, ...]
    machine_type: str


@dataclass(frozen=True)
class Sharing:
    """How pods share one accelerator."""

    kind: Literal["exclusive", "time-slicing", "mig"] = "exclusive"
    replicas: int = 1
    """Pods per device, for time-slicing."""
    profile: str | None = None
    """MIG profile, e.g. `3g.40gb`."""


EXCLUSIVE = Sharing()


@dataclass(frozen=True)
class SchedulableUnits:
    """What a node offers of its accelerators."""

    resource: str
    count: int
    memory: int
    """Bytes of one unit. Time-slicing isolates nothing: each unit sees, and can exhaust, the whole device."""


def sharing_problems(machine: MachineType, sharing: Sharing) -> list[Problem]:
    """What is wrong with sharing the machine's accelerators this way; paths relative to `sharing`."""
    problems: list[Problem] = []
    if sharing.kind == "exclusive":
        return problems
    if machine.accelerator is None:
        return [Problem("kind", f"{sharing.kind!r}: {machine.name} has no accelerator; write exclusive")]
    card = accelerator(machine.accelerator)
    if sharing.kind == "mig" and sharing.profile not in card.mig_profiles:
        known = ", ".join(card.mig_profiles) or "none: it cannot be partitioned"
        problems.append(Problem("profile", f"{sharing.profile!r}: {card.name} has {known}"))
    return problems


def schedulable_units(
    cloud: Cloud, machine: MachineType, sharing: Sharing = EXCLUSIVE
) -> SchedulableUnits | None:
    """What the node offers; None without accelerators. Sharing must have no problems."""
    if machine.accelerator is None:
        return None
    card = accelerator(machine.accelerator)
    count = machine.accelerator_count
    if sharing.kind == "mig":
        profile = card.mig_profiles[sharing.profile or ""]
        # GKE's plugin names every partition of a uniformly partitioned node like a whole GPU.
        resource = card.resource if cloud == "gcp" else profile.resource
        return SchedulableUnits(resource, count * profile.max_instances, profile.memory)
    replicas = sharing.replicas if sharing.kind == "time-slicing" else 1
    return SchedulableUnits(card.resource, count * replicas, card.usable_memory)


def eks_allocatable(
    machine: MachineType, disk: int, sharing: Sharing = EXCLUSIVE, max_pods: int | None = None
) -> dict[str, int]:
    """Allocatable of an EKS node (AL2023): `disk` is what holds pods' files, in bytes."""
    pods = max_pods or machine.max_pods
    allocatable = {
        "cpu": machine.vcpus * 1000 - 100,
        "memory": int(machine.memory * 0.925) - (255 + 11 * pods + 100) * MIB,
        "ephemeral-storage": int(disk * 0.9) - GIB,
        "pods": pods,
    }
    return allocatable | _extended("aws", machine, sharing)


def gke_allocatable(
    machine: MachineType, boot_disk: int, sharing: Sharing = EXCLUSIVE, local_ssds: int = 0
) -> dict[str, int]:
    """Allocatable of a GKE node (Container-Optimized OS); `local_ssds` of 375 GiB hold pods' files if any."""
    allocatable = {
        "cpu": machine.vcpus * 1000 - 100,
        "memory": int(machine.memory * 0.9),
        "ephemeral-storage": int(boot_disk * 0.5),
        "pods": machine.max_pods,
    }
    return allocatable | _extended("gcp", machine, sharing)


def _extended(cloud: Cloud, machine: MachineType, sharing: Sharing) -> dict[str, int]:
    units = schedulable_units(cloud, machine, sharing)
    return {units.resource: units.count} if units else {}
