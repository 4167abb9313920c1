"""Node pools as the scheduler sees them: labels, taints and what of each node pods can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from components.accelerators import reservation
from components.accelerators.catalogue import PRESENT, Accelerator, Cloud, MigProfile, accelerator
from components.accelerators.gce import LOCAL_SSD
from components.accelerators.lookup import nearest
from components.accelerators.machine import MachineType
from components.accelerators.tpu import TpuSlice
from components.common.problems import Problem

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

ACCELERATOR_LABEL: Final = "autoglm-platform/accelerator"
"""Name in the catalogue, on nodes of either cloud; pools carry it because their settings do."""
MIN_TIME_SLICES: Final = 2
MAX_TIME_SLICES: Final = 48
"""`maxSharedClientsPerGpu` of GKE (GoogleCloudPlatform/cluster-autoscaler, gpu.go); held to on EKS too."""


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


EXCLUSIVE: Final = Sharing()


@dataclass(frozen=True)
class SchedulableUnits:
    """What a node offers of its accelerators."""

    resource: str
    count: int
    memory: int
    """Bytes of one unit. Time-slicing isolates nothing: each unit sees, and can exhaust, the whole device."""


def sharing_problems(machine: MachineType, sharing: Sharing) -> list[Problem]:
    """What is wrong with sharing the machine's accelerators this way; paths relative to `sharing`."""
    problems = []
    if sharing.kind != "mig" and sharing.profile is not None:
        problems.append(Problem("profile", f"{sharing.profile!r}: only for kind mig; remove it"))
    if sharing.kind != "time-slicing" and sharing.replicas != 1:
        problems.append(Problem("replicas", f"{sharing.replicas}: only for kind time-slicing; remove it"))
    if sharing.kind == "exclusive":
        return problems
    if machine.accelerator is None:
        return [Problem("kind", f"{sharing.kind!r}: {machine.name} has no accelerator; write exclusive")]
    card = accelerator(machine.accelerator)
    if card.kind != "gpu":
        problems.append(Problem("kind", f"{sharing.kind!r}: {card.name} cannot be shared; write exclusive"))
    elif sharing.kind == "mig":
        problems.extend(_mig_problems(machine.cloud, card, sharing.profile))
    elif not MIN_TIME_SLICES <= sharing.replicas <= MAX_TIME_SLICES:
        problems.append(
            Problem("replicas", f"{sharing.replicas}: write {MIN_TIME_SLICES} to {MAX_TIME_SLICES}")
        )
    return problems


def _mig_problems(cloud: Cloud, card: Accelerator, profile: str | None) -> list[Problem]:
    usable = [name for name, known in card.mig_profiles.items() if known.gke or cloud == "aws"]
    if not usable:
        return [Problem("kind", f"'mig': {card.name} cannot be partitioned; write exclusive or time-slicing")]
    if profile is None:
        return [Problem("profile", f"missing: {card.name} has {', '.join(usable)}; write one")]
    if profile not in usable:
        where = " on GKE" if profile in card.mig_profiles else ""
        choice = ", ".join(nearest(profile, usable, count=len(usable)))
        return [
            Problem("profile", f"{profile!r}: not a profile of {card.name}{where}; write one of {choice}")
        ]
    return []


def _profile(card: Accelerator, sharing: Sharing) -> MigProfile:
    if sharing.profile is None or sharing.profile not in card.mig_profiles:
        raise ValueError(f"{sharing.profile!r}: {card.name} has no such profile; ask sharing_problems first")
    return card.mig_profiles[sharing.profile]


def schedulable_units(
    cloud: Cloud, machine: MachineType, sharing: Sharing = EXCLUSIVE
) -> SchedulableUnits | None:
    """What the node offers; None without accelerators.

    Raises ValueError for a sharing in which `sharing_problems` finds one.
    """
    if machine.accelerator is None:
        return None
    card = accelerator(machine.accelerator)
    count = machine.accelerator_count
    if sharing.kind == "mig":
        profile = _profile(card, sharing)
        # GKE's plugin offers each partition under the name of a whole GPU.
        resource = card.resource if cloud == "gcp" else profile.resource
        return SchedulableUnits(resource, count * profile.max_instances, profile.memory)
    slices = sharing.replicas if sharing.kind == "time-slicing" else 1
    return SchedulableUnits(card.resource, count * slices, card.usable_memory)


def accelerator_taints(machine: MachineType) -> tuple[Taint, ...]:
    """Keeps other pods off nodes with accelerators. GKE sets it itself; elsewhere the pool has to."""
    if machine.accelerator is None:
        return ()
    return (Taint(accelerator(machine.accelerator).taint_key, PRESENT, "NoSchedule"),)


def accelerator_labels(
    machine: MachineType, sharing: Sharing = EXCLUSIVE, tpu_slice: TpuSlice | None = None
) -> dict[str, str]:
    """Labels that say what a node has: ours on either cloud, and those that GKE sets itself."""
    if machine.accelerator is None:
        return {}
    labels = {ACCELERATOR_LABEL: machine.accelerator}
    if machine.gke_accelerator:
        labels["cloud.google.com/gke-accelerator"] = machine.gke_accelerator
        if sharing.profile:
            labels["cloud.google.com/gke-gpu-partition-size"] = sharing.profile
        if sharing.kind == "time-slicing":
            labels["cloud.google.com/gke-gpu-sharing-strategy"] = "time-sharing"
            labels["cloud.google.com/gke-max-shared-clients-per-gpu"] = str(sharing.replicas)
    if tpu_slice:
        labels["cloud.google.com/gke-tpu-accelerator"] = tpu_slice.label
        labels["cloud.google.com/gke-tpu-topology"] = tpu_slice.topology
    return labels


def eks_allocatable(
    machine: MachineType,
    disk: int,
    sharing: Sharing = EXCLUSIVE,
    max_pods: int | None = None,
    images: int = 0,
) -> dict[str, int]:
    """Allocatable of an EKS node (AL2023).

    `disk` is what holds the files of pods, in bytes: the root volume, or `machine.instance_store` where a
    RAID of the local disks does. `max_pods` only if the node's configuration sets it. `images` are bytes of
    container images on the same disk, which the kubelet does not count but pods cannot have.
    """
    pods = machine.max_pods if max_pods is None else max_pods
    allocatable = {
        "cpu": machine.vcpus * 1000 - reservation.cpu_reserved(machine.vcpus * 1000),
        "memory": reservation.eks_memory(machine.memory, pods),
        "ephemeral-storage": reservation.eks_ephemeral_storage(disk) - images,
        "pods": pods,
    }
    return _at_least_zero(allocatable) | _extended("aws", machine, sharing)


def gke_allocatable(
    machine: MachineType,
    boot_disk: int,
    sharing: Sharing = EXCLUSIVE,
    local_ssds: int = 0,
    images: int = 0,
) -> dict[str, int]:
    """Allocatable of a GKE node (Container-Optimized OS), 110 pods at most.

    `boot_disk` holds the files of pods, in bytes, unless there are `local_ssds` of 375 GiB for them. `images`
    as for EKS; GKE's own reservation of disk is meant for them, so that 0 will mostly do.
    """
    storage = (
        reservation.gke_local_ssds(local_ssds, LOCAL_SSD)
        if local_ssds
        else reservation.gke_boot_disk(boot_disk)
    )
    allocatable = {
        "cpu": machine.vcpus * 1000 - reservation.cpu_reserved(machine.vcpus * 1000),
        "memory": reservation.gke_memory(machine.memory),
        "ephemeral-storage": storage - images,
        "pods": machine.max_pods,
    }
    return _at_least_zero(allocatable) | _extended("gcp", machine, sharing)


def _at_least_zero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, amount) for name, amount in amounts.items()}


def _extended(cloud: Cloud, machine: MachineType, sharing: Sharing) -> dict[str, int]:
    units = schedulable_units(cloud, machine, sharing)
    return {units.resource: units.count} if units else {}
