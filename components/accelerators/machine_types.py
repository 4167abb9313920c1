"""Machine types of the clouds: what a node has before the kubelet takes its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from components.accelerators.catalogue import Cloud
from components.accelerators.lookup import find
from components.common.quantities import GIB

Architecture = Literal["x86_64", "arm64"]


@dataclass(frozen=True)
class MachineType:
    """One machine type."""

    cloud: Cloud
    name: str
    vcpus: int
    memory: int
    """Bytes, as the cloud states them."""
    accelerator: str | None = None
    """Name in the catalogue."""
    accelerator_count: int = 0
    gke_accelerator: str | None = None
    """`acceleratorType` of a GKE pool of this machine type; None for TPUs, where the machine type says it."""
    attachable: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Accelerators that can be added to this machine type, and in which numbers (N1 with T4)."""
    efa_interfaces: int = 0
    """Elastic Fabric Adapters at most; 0 means that the type has none."""
    instance_store: int = 0
    """Bytes of local disks that come with the machine; they lose their content with it."""
    placement_group: bool = False
    """Whether a cluster placement group (AWS) or compact placement (Google Cloud) takes it."""
    architecture: Architecture = "x86_64"
    network_interfaces: int = 0
    """Interfaces on the default network card (AWS); the VPC CNI gives pods addresses on these."""
    addresses_per_interface: int = 0
    """IPv4 addresses of one interface (AWS)."""

    @property
    def max_pods(self) -> int:
        """Pods that the node takes by default."""
        if self.cloud == "gcp":
            return 110
        return self.network_interfaces * (self.addresses_per_interface - 1) + 2


def _aws(
    name: str,
    vcpus: int,
    memory_gib: int,
    interfaces: int,
    addresses: int,
    *,
    accelerator: tuple[str, int] | None = None,
    store_gb: int = 0,
    efa: int = 0,
    architecture: Architecture = "x86_64",
) -> MachineType:
    kind, count = accelerator or (None, 0)
    return MachineType(
        cloud="aws",
        name=name,
        vcpus=vcpus,
        memory=memory_gib * GIB,
        accelerator=kind,
        accelerator_count=count,
        efa_interfaces=efa,
        instance_store=store_gb * 10**9,
        placement_group=True,
        architecture=architecture,
        network_interfaces=interfaces,
        addresses_per_interface=addresses,
    )


_AWS: Final = (
    _aws("m7i.xlarge", 4, 16, 4, 15),
    _aws("g6.xlarge", 4, 16, 4, 15, accelerator=("L4", 1), store_gb=250),
    _aws("p5.48xlarge", 192, 2048, 2, 50, accelerator=("H100-80", 8), store_gb=30400, efa=32),
)
_GCP: Final = (
    MachineType("gcp", "e2-standard-4", 4, 16 * GIB),
    MachineType("gcp", "g2-standard-4", 4, 16 * GIB, "L4", 1, "nvidia-l4"),
    MachineType("gcp", "ct5lp-hightpu-8t", 224, 384 * GIB, "TPU-v5e", 8),
)

MACHINE_TYPES: Final[Mapping[Cloud, Mapping[str, MachineType]]] = {
    "aws": {entry.name: entry for entry in _AWS},
    "gcp": {entry.name: entry for entry in _GCP},
}
"""All of them, by cloud and name."""

def with_accelerators(machine: MachineType, accelerator: str, count: int) -> MachineType:
    """The machine with accelerators added to it; raises ValueError if it does not take them."""
    counts = machine.attachable.get(accelerator, ())
    if count not in counts:
        possible = ", ".join(f"{name}: {', '.join(map(str, n))}" for name, n in machine.attachable.items())
        raise ValueError(f"{count} {accelerator}: {machine.name} takes {possible or 'none'}")
    return replace(machine, accelerator=accelerator, accelerator_count=count)


_CLOUDS: Final[Mapping[Cloud, str]] = {"aws": "EC2 instance type", "gcp": "Google Cloud machine type"}


def machine_type(cloud: Cloud, name: str) -> MachineType:
    """The machine type of that name; raises UnknownNameError."""
    return find(_CLOUDS[cloud], name, MACHINE_TYPES[cloud])
