"""What a node keeps for itself: the formulas that the clouds publish.

The results are from below. Where a cloud's figure depends on something that is not known before the node is
there, the larger reservation is taken: a pod that fits here fits there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.common.quantities import GIB, MIB

EVICTION_MEMORY: Final = 100 * MIB
"""`evictionHard: memory.available`, on EKS (nodeadm's kubelet configuration) and on GKE alike."""
EVICTION_STORAGE: Final = 0.1
"""`evictionHard: nodefs.available`, 10 % on both."""

EKS_HYPERVISOR_SHARE: Final = 0.075
"""Of the memory that EC2 states, what a node may not see of it: Karpenter's default
(aws/karpenter-provider-aws, vm-memory-overhead-percent), larger than what is seen on large machines."""
EKS_FILE_SYSTEM_SHARE: Final = 0.01
"""Of a disk, allowed for partition table and XFS's own structures."""
EKS_EPHEMERAL_RESERVED: Final = GIB
"""`kubeReserved: ephemeral-storage` of nodeadm."""


@dataclass(frozen=True)
class Bracket:
    """A rate for what lies above a threshold, up to the next bracket's."""

    above: int
    rate: float


_CPU_BRACKETS: Final = (Bracket(0, 0.06), Bracket(1000, 0.01), Bracket(2000, 0.005), Bracket(4000, 0.0025))
"""Millicores; the same on EKS (nodeadm, getCPUMillicoresToReserve) and on GKE (cpuReservedMillicores)."""
_GKE_MEMORY_BRACKETS: Final = (
    Bracket(0, 0.25),
    Bracket(4000, 0.2),
    Bracket(8000, 0.1),
    Bracket(16000, 0.06),
    Bracket(128_000, 0.02),
)
"""MiB, with thresholds in thousands (GoogleCloudPlatform/cluster-autoscaler, reserved.go, memoryReservedMiB).
GKE 1.37 and newer may reserve less, never more."""


def progressive(amount: int, brackets: Sequence[Bracket]) -> int:
    """The sum over all brackets of their rate times what of the amount lies in them, rounded down."""
    total = 0.0
    for index, bracket in enumerate(brackets):
        end = brackets[index + 1].above if index + 1 < len(brackets) else amount
        total += max(0, min(amount, end) - bracket.above) * bracket.rate
    return int(total + 1e-9)


def cpu_reserved(millicores: int) -> int:
    """Millicores that the kubelet and the container runtime keep, on both clouds."""
    return progressive(millicores, _CPU_BRACKETS)


def eks_memory(stated: int, pods: int) -> int:
    """Bytes for pods of the memory that EC2 states: nodeadm reserves 255 MiB and 11 MiB for each pod."""
    return stated - math.ceil(stated * EKS_HYPERVISOR_SHARE) - (255 + 11 * pods) * MIB - EVICTION_MEMORY


def eks_ephemeral_storage(disk: int) -> int:
    """Bytes for pods of a disk, or of the RAID of all instance-store disks."""
    capacity = disk - math.ceil(disk * EKS_FILE_SYSTEM_SHARE)
    return capacity - EKS_EPHEMERAL_RESERVED - math.ceil(capacity * EVICTION_STORAGE)


def gke_memory(stated: int) -> int:
    """Bytes for pods of the memory that Google states, with Container-Optimized OS.

    The kernel's share: kubernetes/autoscaler, gce_reserved.go, CalculateKernelReserved.
    """
    kernel = stated // 64 + 16 * MIB + (64 * MIB if stated > 3 * GIB else 0)
    kernel += (8 * MIB if stated <= 8 * GIB else 0) + min(math.ceil(stated * 0.00175), 248 * MIB)
    return stated - kernel - progressive(stated // MIB, _GKE_MEMORY_BRACKETS) * MIB - EVICTION_MEMORY


def gke_boot_disk(disk: int) -> int:
    """Bytes for pods of a boot disk with Container-Optimized OS.

    The system's share: gce_reserved.go, CalculateOSReservedEphemeralStorage. What GKE reserves on top, the
    smaller of half the disk and 6 GiB + 35 %, 100 GiB at most: reserved.go,
    PredictKubeReservedEphemeralStorage.
    """
    system = math.ceil(disk * 0.015635) + math.ceil(4.148 * GIB) + min(100 * MIB, math.ceil(disk * 0.001))
    size = disk // GIB
    reserved = min(int(size * 0.5), 6 + int(size * 0.35), 100) * GIB
    capacity = disk - system
    return capacity - reserved - math.ceil(capacity * EVICTION_STORAGE)


def gke_local_ssds(count: int, size: int) -> int:
    """Bytes for pods of local SSDs that hold their files, each of `size` bytes.

    Reserved: 50, 75 or 100 GiB for one, two or more (reserved.go). The file system takes up to 7 GiB of each
    disk where they are few, and less than 4 GiB where there are more than eight (measured: gce_reserved.go).
    """
    capacity = count * (size - (7 if count <= 8 else 4) * GIB)
    reserved = {1: 50, 2: 75}.get(count, 100) * GIB
    return capacity - reserved - math.ceil(capacity * EVICTION_STORAGE)
