"""Google Compute Engine machine types: those with accelerators, and those that a system pool uses.

Source: GoogleCloudPlatform/cluster-autoscaler, GKE's own, pkg/cloudprovider/gke/machinetypes, August 2026. No
package that the tests can use has this data; what they hold it against are the numbers in the names. Compared
once with the Compute Engine listing in Cyclenerd/google-cloud-pricing-cost-calculator, also of August 2026:
vCPUs and memory agree, but for ct6e-standard-8t, which GKE runs with 180 of its 360 threads, and for ct4p,
which is not listed there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.accelerators.machine import MachineType
from components.common.quantities import GIB

LOCAL_SSD: Final = 375 * GIB
"""Size of one local SSD of Compute Engine."""


def _gpus(
    name: str, vcpus: int, memory_gib: int, device: str, gke: str, count: int, local_ssds: int = 0
) -> MachineType:
    return MachineType(
        cloud="gcp",
        name=name,
        vcpus=vcpus,
        memory=memory_gib * GIB,
        accelerator=device,
        accelerator_count=count,
        gke_accelerator=gke,
        instance_store=local_ssds * LOCAL_SSD,
        placement_group=True,
    )


def _tpus(name: str, vcpus: int, memory_gib: int, device: str, chips: int) -> MachineType:
    return MachineType("gcp", name, vcpus, memory_gib * GIB, device, chips)


def _general(family: str, vcpus: tuple[int, ...], *, compact: bool) -> Iterator[MachineType]:
    for count in vcpus:
        yield MachineType(
            "gcp", f"{family}-standard-{count}", count, count * 4 * GIB, placement_group=compact
        )


def _n1() -> Iterator[MachineType]:
    """N1 is what takes a T4: one or two with up to 48 vCPUs, four with up to 96."""
    for vcpus in (4, 8, 16, 32, 64, 96):
        counts = (1, 2, 4) if vcpus <= 48 else (4,)
        yield MachineType(
            "gcp", f"n1-standard-{vcpus}", vcpus, vcpus * 15 * GIB // 4, attachable={"T4": counts}
        )


_A100, _A100_80, _L4 = "nvidia-tesla-a100", "nvidia-a100-80gb", "nvidia-l4"
_H100, _H100_MEGA, _H200, _B200 = (
    "nvidia-h100-80gb",
    "nvidia-h100-mega-80gb",
    "nvidia-h200-141gb",
    "nvidia-b200",
)

GCE: Final = (
    *_general("e2", (2, 4, 8, 16, 32), compact=False),
    *_general("n2", (2, 4, 8, 16, 32), compact=True),
    *_general("c3", (4, 8, 22, 44), compact=True),
    *_n1(),
    _gpus("g2-standard-4", 4, 16, "L4", _L4, 1),
    _gpus("g2-standard-8", 8, 32, "L4", _L4, 1),
    _gpus("g2-standard-12", 12, 48, "L4", _L4, 1),
    _gpus("g2-standard-16", 16, 64, "L4", _L4, 1),
    _gpus("g2-standard-32", 32, 128, "L4", _L4, 1),
    _gpus("g2-standard-24", 24, 96, "L4", _L4, 2),
    _gpus("g2-standard-48", 48, 192, "L4", _L4, 4),
    _gpus("g2-standard-96", 96, 384, "L4", _L4, 8),
    _gpus("a2-highgpu-1g", 12, 85, "A100-40", _A100, 1),
    _gpus("a2-highgpu-2g", 24, 170, "A100-40", _A100, 2),
    _gpus("a2-highgpu-4g", 48, 340, "A100-40", _A100, 4),
    _gpus("a2-highgpu-8g", 96, 680, "A100-40", _A100, 8),
    _gpus("a2-megagpu-16g", 96, 1360, "A100-40", _A100, 16),
    _gpus("a2-ultragpu-1g", 12, 170, "A100-80", _A100_80, 1, local_ssds=1),
    _gpus("a2-ultragpu-2g", 24, 340, "A100-80", _A100_80, 2, local_ssds=2),
    _gpus("a2-ultragpu-4g", 48, 680, "A100-80", _A100_80, 4, local_ssds=4),
    _gpus("a2-ultragpu-8g", 96, 1360, "A100-80", _A100_80, 8, local_ssds=8),
    _gpus("a3-highgpu-1g", 26, 234, "H100-80", _H100, 1, local_ssds=2),
    _gpus("a3-highgpu-2g", 52, 468, "H100-80", _H100, 2, local_ssds=4),
    _gpus("a3-highgpu-4g", 104, 936, "H100-80", _H100, 4, local_ssds=8),
    _gpus("a3-highgpu-8g", 208, 1872, "H100-80", _H100, 8, local_ssds=16),
    _gpus("a3-megagpu-8g", 208, 1872, "H100-80", _H100_MEGA, 8, local_ssds=16),
    _gpus("a3-ultragpu-8g", 224, 2952, "H200", _H200, 8, local_ssds=32),
    _gpus("a4-highgpu-8g", 224, 3968, "B200", _B200, 8, local_ssds=32),
    _tpus("ct4p-hightpu-4t", 240, 407, "TPU-v4", 4),
    _tpus("ct5lp-hightpu-1t", 24, 48, "TPU-v5e", 1),
    _tpus("ct5lp-hightpu-4t", 112, 192, "TPU-v5e", 4),
    _tpus("ct5lp-hightpu-8t", 224, 384, "TPU-v5e", 8),
    _tpus("ct5p-hightpu-4t", 208, 448, "TPU-v5p", 4),
    _tpus("ct6e-standard-1t", 44, 176, "TPU-v6e", 1),
    _tpus("ct6e-standard-4t", 180, 720, "TPU-v6e", 4),
    _tpus("ct6e-standard-8t", 180, 1440, "TPU-v6e", 8),
)
"""All of them."""
