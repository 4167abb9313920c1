"""What a machine type is: what a node has before the kubelet takes its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from components.accelerators.catalogue import Cloud

Architecture = Literal["x86_64", "arm64"]

GKE_DEFAULT_MAX_PODS: Final = 110
"""`defaultMaxPodsConstraint` of a GKE Standard cluster that says nothing else (GKE documentation)."""


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
    """`acceleratorType` of a GKE pool of this type; None for TPUs, which the machine type itself names."""
    attachable: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Accelerators that can be added to this machine type, and in which numbers (N1 with T4)."""
    efa_interfaces: int = 0
    """Elastic Fabric Adapters at most; 0 where the type has none."""
    instance_store: int = 0
    """Bytes of local disks that come with the machine; their content goes with it."""
    placement_group: bool = False
    """Whether a cluster placement group (AWS) or compact placement (Google Cloud) takes it."""
    architecture: Architecture = "x86_64"
    network_interfaces: int = 0
    """Interfaces of the default network card (AWS); the VPC CNI gives pods the addresses of these."""
    addresses_per_interface: int = 0
    """IPv4 addresses of one interface (AWS)."""

    @property
    def max_pods(self) -> int:
        """Pods that the node takes by default.

        AWS: interfaces × (addresses - 1) + 2, as nodeadm has it (awslabs/amazon-eks-ami,
        eni_max_pods.go): one address of each interface is its own, and two pods share the host's network.
        """
        if self.cloud == "gcp":
            return GKE_DEFAULT_MAX_PODS
        return self.network_interfaces * (self.addresses_per_interface - 1) + 2
