"""The accelerators that the platform knows, and what it knows of each.

Sizes are bytes. `memory` is what the cloud or the vendor states, `usable_memory` what a process finds: plans
rest on the latter, because an engine takes its share of what it finds.

Sources: stated sizes are those of EC2's DescribeInstanceTypes, and of the vendor where EC2 has no such
device. Usable sizes of NVIDIA's cards are the smallest total that PyTorch's out-of-memory messages name for
them; where nothing of the kind could be read, the vendor's GB are taken as 10^9 bytes, the smaller reading.
CUDA versions are the first whose compiler knows the compute capability (CUDA release notes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from components.accelerators.lookup import find
from components.common.quantities import GIB, MIB

Kind = Literal["gpu", "tpu", "neuron", "npu", "mlu"]
Cloud = Literal["aws", "gcp"]
Verdict = Literal["proven", "unproven"]

DRIVER_MINIMUM: Final = "535.104"
"""Oldest NVIDIA driver that the platform accepts, whatever a card would do with."""
BLACKWELL_DRIVER_MINIMUM: Final = "570.26"
"""First driver of CUDA 12.8, the first to know compute capability 10.0 (CUDA 12.8 release notes)."""

PRESENT: Final = "present"
"""Value of the taint that keeps other pods off nodes with accelerators; GKE sets it so itself."""

_GB: Final = 10**9


@dataclass(frozen=True)
class MigProfile:
    """One way to partition an NVIDIA GPU (Multi-Instance GPU)."""

    name: str
    """As `nvidia-smi mig -lgip` has it after the word MIG, e.g. `3g.40gb`."""
    memory: int
    """Bytes of one instance."""
    max_instances: int
    """Instances of this profile alone that a card takes."""
    gke: bool = True
    """Whether GKE accepts it as `gpuPartitionSize`."""

    @property
    def resource(self) -> str:
        """Resource name under the `mixed` strategy of NVIDIA's device plugin."""
        return f"nvidia.com/mig-{self.name}"


@dataclass(frozen=True)
class Support:
    """Whether a model is known to run on an accelerator."""

    verdict: Verdict
    reason: str
    """The evidence, or what speaks against it or is missing."""

    @property
    def proven(self) -> bool:
        """True if no override is needed."""
        return self.verdict == "proven"


@dataclass(frozen=True)
class Accelerator:
    """One model of accelerator."""

    name: str
    """Name in settings, e.g. `H100-80`."""
    vendor: str
    kind: Kind
    resource: str
    """Kubernetes resource of one whole device."""
    memory: int
    """Bytes of one device, as stated by cloud or vendor."""
    usable_memory: int
    """Bytes of one device that a process finds: what an engine can plan with."""
    engine_image: str
    """Key of the engine's image in `images.references`."""
    driver_minimum: str | None = None
    """Oldest driver; None where the cloud's node image brings the only one there is."""
    cuda_minimum: str | None = None
    """First CUDA toolkit that compiles for the card; None where there is no CUDA."""
    compute_capability: tuple[int, int] | None = None
    """Of NVIDIA cards, e.g. (9, 0)."""
    mig_profiles: Mapping[str, MigProfile] = field(default_factory=dict)
    """By name; empty where the card cannot be partitioned."""
    gke_types: tuple[str, ...] = ()
    """`acceleratorType` of GKE, or the value of its TPU label; empty where Google Cloud has none."""
    ec2_name: str | None = None
    """Name of the device in EC2's DescribeInstanceTypes; None where AWS has none."""

    @property
    def taint_key(self) -> str:
        """Key of the taint on nodes that have it: the resource name, as GKE and NVIDIA's plugin have it."""
        return self.resource


def _profiles(*profiles: tuple[str, int, int, bool]) -> Mapping[str, MigProfile]:
    return {name: MigProfile(name, size * MIB, count, gke) for name, size, count, gke in profiles}


def _unlisted(usable_mib: int, *profiles: tuple[str, int, int, bool]) -> Mapping[str, MigProfile]:
    """Profiles by eighths of the memory, where no listing of their sizes could be read.

    Published listings of other cards lie up to 4 % below the eighths; a tenth is taken off.
    """
    return _profiles(
        *((name, usable_mib * eighths // 8 * 9 // 10, count, gke) for name, eighths, count, gke in profiles)
    )


# Names and counts: NVIDIA/mig-parted, config-default.yaml. What GKE takes: GoogleCloudPlatform/
# cluster-autoscaler, machinetypes. Sizes in MiB: NVIDIA/go-nvml's fixtures for A100, a published
# `nvidia-smi mig -lgip` for H100.
_A100_40_MIG: Final = _profiles(
    ("1g.5gb", 4864, 7, True),
    ("1g.10gb", 9856, 4, False),
    ("2g.10gb", 9856, 3, True),
    ("3g.20gb", 19968, 2, True),
    ("4g.20gb", 19968, 1, False),
    ("7g.40gb", 40192, 1, True),
)
_A100_80_MIG: Final = _profiles(
    ("1g.10gb", 9856, 7, True),
    ("1g.20gb", 19968, 4, False),
    ("2g.20gb", 19968, 3, True),
    ("3g.40gb", 40192, 2, True),
    ("4g.40gb", 40192, 1, False),
    ("7g.80gb", 80384, 1, True),
)
_H100_80_MIG: Final = _profiles(
    ("1g.10gb", 9984, 7, True),
    ("1g.20gb", 20090, 4, True),
    ("2g.20gb", 20090, 3, True),
    ("3g.40gb", 40448, 2, True),
    ("4g.40gb", 40448, 1, False),
    ("7g.80gb", 72907, 1, True),  # not in that listing: nine tenths of the card
)
_H200_MIG: Final = _unlisted(
    143073,
    ("1g.18gb", 1, 7, True),
    ("1g.35gb", 2, 4, True),
    ("2g.35gb", 2, 3, True),
    ("3g.71gb", 4, 2, True),
    ("4g.71gb", 4, 1, False),
    ("7g.141gb", 8, 1, True),
)
_B200_MIG: Final = _unlisted(
    182630,
    ("1g.23gb", 1, 7, True),
    ("1g.45gb", 2, 4, True),
    ("2g.45gb", 2, 3, True),
    ("3g.90gb", 4, 2, True),
    ("4g.90gb", 4, 1, False),
    ("7g.180gb", 8, 1, True),
)


def _gpu(
    name: str,
    stated_mib: int,
    usable_gib: float,
    *,
    capability: tuple[int, int],
    cuda: str,
    driver: str = DRIVER_MINIMUM,
    mig: Mapping[str, MigProfile] | None = None,
    gke: tuple[str, ...] = (),
    ec2: str,
) -> Accelerator:
    return Accelerator(
        name=name,
        vendor="NVIDIA",
        kind="gpu",
        resource="nvidia.com/gpu",
        memory=stated_mib * MIB,
        usable_memory=int(usable_gib * GIB),
        engine_image="vllm",
        driver_minimum=driver,
        cuda_minimum=cuda,
        compute_capability=capability,
        mig_profiles=mig or {},
        gke_types=gke,
        ec2_name=ec2,
    )


def _tpu(generation: str, gigabytes: int, label: str) -> Accelerator:
    """Sizes: Cloud TPU documentation of each generation."""
    return Accelerator(
        name=f"TPU-{generation}",
        vendor="Google",
        kind="tpu",
        resource="google.com/tpu",
        memory=gigabytes * GIB,
        usable_memory=gigabytes * _GB,
        engine_image="vllm-tpu",
        gke_types=(label,),
    )


def _neuron(name: str, gibibytes: int, ec2_name: str) -> Accelerator:
    """`aws.amazon.com/neuron` is a whole device with all its cores (Neuron Kubernetes device plugin)."""
    return Accelerator(
        name=name,
        vendor="AWS",
        kind="neuron",
        resource="aws.amazon.com/neuron",
        memory=gibibytes * GIB,
        usable_memory=gibibytes * _GB,
        engine_image="vllm-neuron",
        ec2_name=ec2_name,
    )


_ALL: Final = (
    _gpu("T4", 16384, 14.56, capability=(7, 5), cuda="10.0", gke=("nvidia-tesla-t4",), ec2="T4"),
    _gpu("L4", 22888, 21.96, capability=(8, 9), cuda="11.8", gke=("nvidia-l4",), ec2="L4"),
    _gpu("A10G", 22888, 21.98, capability=(8, 6), cuda="11.1", ec2="A10G"),
    _gpu("L40S", 45776, 44.39, capability=(8, 9), cuda="11.8", ec2="L40S"),
    _gpu(
        "A100-40",
        40960,
        39.38,
        capability=(8, 0),
        cuda="11.0",
        mig=_A100_40_MIG,
        gke=("nvidia-tesla-a100",),
        ec2="A100",
    ),
    _gpu(
        "A100-80",
        81920,
        79.14,
        capability=(8, 0),
        cuda="11.0",
        mig=_A100_80_MIG,
        gke=("nvidia-a100-80gb",),
        ec2="A100",
    ),
    _gpu(
        "H100-80",
        81920,
        79.11,
        capability=(9, 0),
        cuda="11.8",
        mig=_H100_80_MIG,
        gke=("nvidia-h100-80gb", "nvidia-h100-mega-80gb"),
        ec2="H100",
    ),
    _gpu(
        "H200",
        144384,
        139.72,
        capability=(9, 0),
        cuda="11.8",
        mig=_H200_MIG,
        gke=("nvidia-h200-141gb",),
        ec2="H200",
    ),
    _gpu(
        "B200",
        183359,
        178.35,
        capability=(10, 0),
        cuda="12.8",
        driver=BLACKWELL_DRIVER_MINIMUM,
        mig=_B200_MIG,
        gke=("nvidia-b200",),
        ec2="B200",
    ),
    _tpu("v4", 32, "tpu-v4-podslice"),
    _tpu("v5e", 16, "tpu-v5-lite-podslice"),
    _tpu("v5p", 95, "tpu-v5p-slice"),
    _tpu("v6e", 32, "tpu-v6e-slice"),
    _neuron("Inferentia2", 32, "Inferentia2"),
    _neuron("Trainium", 32, "Trainium"),
    _neuron("Trainium2", 96, "Trainium2"),
    # Neither cloud has the following; memory as the vendors publish it, nothing here can check it.
    Accelerator(
        name="Ascend-910B",
        vendor="Huawei",
        kind="npu",
        resource="huawei.com/Ascend910",
        memory=64 * GIB,
        usable_memory=64 * _GB,
        engine_image="vllm-ascend",
    ),
    Accelerator(
        name="MLU370-X8",
        vendor="Cambricon",
        kind="mlu",
        resource="cambricon.com/mlu",
        memory=48 * GIB,
        usable_memory=48 * _GB,
        engine_image="vllm-mlu",
    ),
    Accelerator(
        name="MLU590",
        vendor="Cambricon",
        kind="mlu",
        resource="cambricon.com/mlu",
        memory=80 * GIB,
        usable_memory=80 * _GB,
        engine_image="vllm-mlu",
    ),
)

ACCELERATORS: Final[Mapping[str, Accelerator]] = {entry.name: entry for entry in _ALL}
"""All of them, by name."""

AUTOGLM: Final = "AutoGLM-Phone-9B"

_CUDA: Final = Support(
    "proven",
    "its publisher documents vLLM and SGLang (Open-AutoGLM README), whose CUDA builds compute bfloat16 from "
    "compute capability 8.0 on; whether it fits is planned from the memory. Not tested here on this card",
)


def _unproven(reason: str) -> Support:
    return Support("unproven", reason)


_EVIDENCE: Final[Mapping[str, Mapping[str, Support]]] = {
    AUTOGLM: {
        **dict.fromkeys(("L4", "A10G", "L40S", "A100-40", "A100-80", "H100-80", "H200"), _CUDA),
        "T4": _unproven("vLLM refuses bfloat16 below compute capability 8.0, and a T4 has 7.5"),
        "B200": _unproven(
            "no report of this model on compute capability 10.0; the engine's image has to be of CUDA 12.8 "
            "or newer"
        ),
        **dict.fromkeys(
            ("TPU-v4", "TPU-v5e", "TPU-v5p", "TPU-v6e"),
            _unproven("no evidence of GLM-4.1V on vLLM for TPU"),
        ),
        **dict.fromkeys(
            ("Inferentia2", "Trainium", "Trainium2"),
            _unproven("no evidence of GLM-4.1V on the Neuron SDK"),
        ),
        "Ascend-910B": _unproven("vllm-ascend's support matrix marks GLM-4V as not supported"),
        **dict.fromkeys(("MLU370-X8", "MLU590"), _unproven("no evidence of GLM-4.1V on vLLM for MLU")),
    }
}


def accelerator(name: str) -> Accelerator:
    """The accelerator of that name; raises UnknownNameError."""
    return find("accelerator", name, ACCELERATORS)


def support(model_family: str, device: Accelerator | str) -> Support:
    """Whether models of that family, e.g. `AutoGLM-Phone-9B`, are proven on the accelerator.

    Unproven pairs need an explicit override in the settings. Raises UnknownNameError for an unknown name.
    """
    entry = accelerator(device) if isinstance(device, str) else device
    known = _EVIDENCE.get(model_family, {}).get(entry.name)
    return known or _unproven(f"nothing is known of {model_family} on {entry.name}")
