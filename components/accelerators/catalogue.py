"""The accelerators that the platform knows, and what it knows of each.

Sizes are bytes. `memory` is the size that the cloud or the vendor states, `usable_memory` what a process can
have of it: plans rest on the latter.
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
"""Oldest NVIDIA driver that the platform accepts, whatever the card would do with."""

PRESENT: Final = "present"
"""Value of the taint that keeps other pods off nodes with accelerators: GKE's own for GPUs and TPUs."""


@dataclass(frozen=True)
class MigProfile:
    """One way to partition an NVIDIA GPU (Multi-Instance GPU)."""

    name: str
    """As `nvidia-smi mig -lgip` names it, without the leading `MIG`, e.g. `3g.40gb`."""
    memory: int
    """Bytes of one instance."""
    max_instances: int
    """Instances of this profile alone that a card takes."""

    @property
    def resource(self) -> str:
        """Resource name under the device plugin's `mixed` strategy."""
        return f"nvidia.com/mig-{self.name}"


@dataclass(frozen=True)
class Support:
    """Whether a model is known to run on an accelerator."""

    verdict: Verdict
    reason: str
    """Evidence of what is proven, or what is missing."""

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
    """Bytes of one device that its driver reports: what an engine can plan with."""
    engine_image: str
    """Key of the engine's image in `images.references`."""
    driver_minimum: str | None = None
    """Oldest driver; None where the node image brings the only one there is."""
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
        """Key of the taint on nodes that have it: the vendor's resource name, as GKE does."""
        return self.resource


_MODELS: Final[Mapping[str, Mapping[str, Support]]] = {}


def _gpu(
    name: str,
    memory_mib: int,
    usable_mib: int,
    *,
    capability: tuple[int, int],
    cuda: str,
    driver: str = DRIVER_MINIMUM,
    mig: tuple[MigProfile, ...] = (),
    gke: tuple[str, ...] = (),
    ec2: str | None = None,
) -> Accelerator:
    return Accelerator(
        name=name,
        vendor="NVIDIA",
        kind="gpu",
        resource="nvidia.com/gpu",
        memory=memory_mib * MIB,
        usable_memory=usable_mib * MIB,
        engine_image="vllm",
        driver_minimum=driver,
        cuda_minimum=cuda,
        compute_capability=capability,
        mig_profiles={profile.name: profile for profile in mig},
        gke_types=gke,
        ec2_name=ec2,
    )


_ALL: Final = (
    _gpu("L4", 22888, 22888, capability=(8, 9), cuda="11.8", gke=("nvidia-l4",), ec2="L4"),
    _gpu(
        "H100-80",
        81920,
        81559,
        capability=(9, 0),
        cuda="11.8",
        mig=(MigProfile("1g.10gb", 9 * GIB, 7), MigProfile("3g.40gb", 39 * GIB, 2)),
        gke=("nvidia-h100-80gb", "nvidia-h100-mega-80gb"),
        ec2="H100",
    ),
    Accelerator(
        name="TPU-v5e",
        vendor="Google",
        kind="tpu",
        resource="google.com/tpu",
        memory=16 * GIB,
        usable_memory=16 * GIB,
        engine_image="vllm-tpu",
        gke_types=("tpu-v5-lite-podslice",),
    ),
)

ACCELERATORS: Final[Mapping[str, Accelerator]] = {entry.name: entry for entry in _ALL}
"""All of them, by name."""


def accelerator(name: str) -> Accelerator:
    """The accelerator of that name; raises UnknownNameError."""
    return find("accelerator", name, ACCELERATORS)


def support(model_family: str, name: str) -> Support:
    """Whether models of that family (a Hugging Face architecture) are proven on the accelerator.

    Unproven pairs need an explicit override in the settings. Raises UnknownNameError for the accelerator.
    """
    entry = accelerator(name)
    known = _MODELS.get(model_family, {}).get(entry.name)
    return known or Support("unproven", f"no evidence that {model_family} runs on {entry.name}")
