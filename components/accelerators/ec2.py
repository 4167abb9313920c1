"""EC2 instance types: those with accelerators, and those that a system pool uses.

Source: EC2's DescribeInstanceTypes; the tests compare every value with moto's copy of its answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.accelerators.machine import Architecture, MachineType
from components.common.quantities import GIB


def _type(
    name: str,
    vcpus: int,
    memory_gib: int,
    network: tuple[int, int],
    *,
    device: tuple[str, int] | None = None,
    store_gb: int = 0,
    efa: int = 0,
    architecture: Architecture = "x86_64",
) -> MachineType:
    accelerator, count = device or (None, 0)
    return MachineType(
        cloud="aws",
        name=name,
        vcpus=vcpus,
        memory=memory_gib * GIB,
        accelerator=accelerator,
        accelerator_count=count,
        efa_interfaces=efa,
        instance_store=store_gb * 10**9,
        placement_group=True,
        architecture=architecture,
        network_interfaces=network[0],
        addresses_per_interface=network[1],
    )


def _general(family: str, gib_per_vcpu: int, architecture: Architecture = "x86_64") -> Iterator[MachineType]:
    """Sizes that all recent general-purpose and compute families have alike."""
    for size, vcpus, network in (
        ("large", 2, (3, 10)),
        ("xlarge", 4, (4, 15)),
        ("2xlarge", 8, (4, 15)),
        ("4xlarge", 16, (8, 30)),
        ("8xlarge", 32, (8, 30)),
    ):
        yield _type(f"{family}.{size}", vcpus, vcpus * gib_per_vcpu, network, architecture=architecture)


EC2: Final = (
    *_general("m6i", 4),
    *_general("m7i", 4),
    *_general("m7g", 4, "arm64"),
    *_general("c6i", 2),
    *_general("c7i", 2),
    *_general("r7i", 8),
    # NVIDIA T4
    _type("g4dn.xlarge", 4, 16, (3, 10), device=("T4", 1), store_gb=125),
    _type("g4dn.2xlarge", 8, 32, (3, 10), device=("T4", 1), store_gb=225),
    _type("g4dn.4xlarge", 16, 64, (3, 10), device=("T4", 1), store_gb=225),
    _type("g4dn.8xlarge", 32, 128, (4, 15), device=("T4", 1), store_gb=900, efa=1),
    _type("g4dn.16xlarge", 64, 256, (4, 15), device=("T4", 1), store_gb=900, efa=1),
    _type("g4dn.12xlarge", 48, 192, (8, 30), device=("T4", 4), store_gb=900, efa=1),
    _type("g4dn.metal", 96, 384, (15, 50), device=("T4", 8), store_gb=1800, efa=1),
    # NVIDIA A10G
    _type("g5.xlarge", 4, 16, (4, 15), device=("A10G", 1), store_gb=250),
    _type("g5.2xlarge", 8, 32, (4, 15), device=("A10G", 1), store_gb=450),
    _type("g5.4xlarge", 16, 64, (8, 30), device=("A10G", 1), store_gb=600),
    _type("g5.8xlarge", 32, 128, (8, 30), device=("A10G", 1), store_gb=900, efa=1),
    _type("g5.16xlarge", 64, 256, (8, 30), device=("A10G", 1), store_gb=1900, efa=1),
    _type("g5.12xlarge", 48, 192, (15, 50), device=("A10G", 4), store_gb=3800, efa=1),
    _type("g5.24xlarge", 96, 384, (15, 50), device=("A10G", 4), store_gb=3800, efa=1),
    _type("g5.48xlarge", 192, 768, (7, 50), device=("A10G", 8), store_gb=7600, efa=1),
    # NVIDIA L4
    _type("g6.xlarge", 4, 16, (4, 15), device=("L4", 1), store_gb=250),
    _type("g6.2xlarge", 8, 32, (4, 15), device=("L4", 1), store_gb=450),
    _type("g6.4xlarge", 16, 64, (8, 30), device=("L4", 1), store_gb=600),
    _type("g6.8xlarge", 32, 128, (8, 30), device=("L4", 1), store_gb=900, efa=1),
    _type("g6.16xlarge", 64, 256, (15, 50), device=("L4", 1), store_gb=1880, efa=1),
    _type("g6.12xlarge", 48, 192, (8, 30), device=("L4", 4), store_gb=3760, efa=1),
    _type("g6.24xlarge", 96, 384, (15, 50), device=("L4", 4), store_gb=3760, efa=1),
    _type("g6.48xlarge", 192, 768, (15, 50), device=("L4", 8), store_gb=7520, efa=1),
    _type("gr6.4xlarge", 16, 128, (8, 30), device=("L4", 1), store_gb=600),
    _type("gr6.8xlarge", 32, 256, (8, 30), device=("L4", 1), store_gb=900, efa=1),
    # NVIDIA L40S
    _type("g6e.xlarge", 4, 32, (4, 15), device=("L40S", 1), store_gb=250),
    _type("g6e.2xlarge", 8, 64, (4, 15), device=("L40S", 1), store_gb=450),
    _type("g6e.4xlarge", 16, 128, (8, 30), device=("L40S", 1), store_gb=600),
    _type("g6e.8xlarge", 32, 256, (8, 30), device=("L40S", 1), store_gb=900, efa=1),
    _type("g6e.16xlarge", 64, 512, (15, 50), device=("L40S", 1), store_gb=1900, efa=1),
    _type("g6e.12xlarge", 48, 384, (10, 30), device=("L40S", 4), store_gb=3800, efa=1),
    _type("g6e.24xlarge", 96, 768, (10, 50), device=("L40S", 4), store_gb=3800, efa=2),
    _type("g6e.48xlarge", 192, 1536, (10, 50), device=("L40S", 8), store_gb=7600, efa=4),
    # NVIDIA A100, H100, H200, B200
    _type("p4d.24xlarge", 96, 1152, (15, 50), device=("A100-40", 8), store_gb=8000, efa=4),
    _type("p4de.24xlarge", 96, 1152, (15, 50), device=("A100-80", 8), store_gb=8000, efa=4),
    _type("p5.4xlarge", 16, 256, (4, 30), device=("H100-80", 1), store_gb=3800, efa=1),
    _type("p5.48xlarge", 192, 2048, (2, 50), device=("H100-80", 8), store_gb=30400, efa=32),
    _type("p5e.48xlarge", 192, 2048, (2, 50), device=("H200", 8), store_gb=30400, efa=32),
    _type("p5en.48xlarge", 192, 2048, (4, 50), device=("H200", 8), store_gb=30400, efa=16),
    _type("p6-b200.48xlarge", 192, 2048, (4, 50), device=("B200", 8), store_gb=30400, efa=8),
    # AWS Inferentia and Trainium
    _type("inf2.xlarge", 4, 16, (4, 15), device=("Inferentia2", 1)),
    _type("inf2.8xlarge", 32, 128, (8, 30), device=("Inferentia2", 1)),
    _type("inf2.24xlarge", 96, 384, (15, 50), device=("Inferentia2", 6)),
    _type("inf2.48xlarge", 192, 768, (15, 50), device=("Inferentia2", 12)),
    _type("trn1.2xlarge", 8, 32, (4, 15), device=("Trainium", 1), store_gb=474),
    _type("trn1.32xlarge", 128, 512, (5, 50), device=("Trainium", 16), store_gb=7600, efa=8),
    _type("trn1n.32xlarge", 128, 512, (5, 50), device=("Trainium", 16), store_gb=7600, efa=16),
    _type("trn2.3xlarge", 12, 128, (2, 15), device=("Trainium2", 1), store_gb=470, efa=1),
    _type("trn2.48xlarge", 192, 2048, (2, 50), device=("Trainium2", 16), store_gb=7600, efa=16),
)
"""All of them."""
