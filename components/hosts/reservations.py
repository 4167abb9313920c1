"""What a bare-metal node keeps for itself. The kubelet is told so, and the plan counts with it."""

from __future__ import annotations

import math
from typing import Final

from components.accelerators.reservation import cpu_reserved
from components.common.quantities import GIB, MIB, format_bytes, format_millicores

KUBE_RESERVED_MEMORY: Final = GIB
"""kubelet and container runtime with 110 pods: nodeadm's formula for EKS gives 255 MiB + 11 MiB for each."""
SYSTEM_RESERVED_MEMORY: Final = GIB
SYSTEM_RESERVED_CPU: Final = 200
"""Millicores: journal, SSH, drivers' daemons; and keepalived, which must not wait for a processor."""
KUBE_RESERVED_STORAGE: Final = GIB
EVICTION_MEMORY: Final = 500 * MIB
EVICTION_STORAGE: Final = 0.1
"""Of the file system, the kubelet's default."""
MAX_PODS: Final = 110


def allocatable(cpu: int, memory: int, disk: int) -> dict[str, int]:
    """What pods can have of a node: `cpu` in millicores, the others in bytes; never below 0."""
    amounts = {
        "cpu": cpu - cpu_reserved(cpu) - SYSTEM_RESERVED_CPU,
        "memory": memory - KUBE_RESERVED_MEMORY - SYSTEM_RESERVED_MEMORY - EVICTION_MEMORY,
        "ephemeral-storage": disk - KUBE_RESERVED_STORAGE - math.ceil(disk * EVICTION_STORAGE),
    }
    return {name: max(0, amount) for name, amount in amounts.items()} | {"pods": MAX_PODS}


def kubelet_fields(cpu: int) -> dict[str, object]:
    """The same as fields of a KubeletConfiguration, for a node with that many millicores."""
    return {
        "maxPods": MAX_PODS,
        "kubeReserved": {
            "cpu": format_millicores(cpu_reserved(cpu)),
            "memory": format_bytes(KUBE_RESERVED_MEMORY),
            "ephemeral-storage": format_bytes(KUBE_RESERVED_STORAGE),
        },
        "systemReserved": {
            "cpu": format_millicores(SYSTEM_RESERVED_CPU),
            "memory": format_bytes(SYSTEM_RESERVED_MEMORY),
        },
        "evictionHard": {
            "memory.available": format_bytes(EVICTION_MEMORY),
            "nodefs.available": f"{EVICTION_STORAGE:.0%}",
            "imagefs.available": "15%",
            "nodefs.inodesFree": "5%",
        },
    }
