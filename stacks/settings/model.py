"""One model: its weights, its engine and its servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.accelerators.settings import LabelKey
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import GIB, MIB, Bytes
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt
from components.model_server.memory import Architecture
from components.model_server.vllm import VllmFlags
from components.model_store.manifest import ManifestText
from components.model_store.sources import Source
from stacks.settings.amounts import ExtendedResource, ResourceAmounts

SCRATCH_BYTES = GIB
"""/tmp of the engine: compiled kernels and caches."""
VERIFIER_MEMORY = 256 * MIB
VERIFIER_EPHEMERAL = 256 * MIB


class Weights(FrozenModel):
    """Size and shape of the weights; the memory plan rests on it."""

    size: Bytes | None = None
    """All files together. Give this, or `parameters`."""
    parameters: PositiveInt | None = None
    """Number of parameters, stored as `dtype`."""
    dtype: Literal["bfloat16", "float16", "float32", "fp8"] = "bfloat16"
    """Type of the stored parameters."""
    architecture: Architecture
    """What decides the size of the KV cache."""


class Storage(FrozenModel):
    """The volume that holds the published versions of a model."""

    size: Bytes
    """Capacity of the volume: room for `keepVersions` versions and the one being fetched."""
    storage_class: DnsLabel | None = None
    """Storage class; without it, the cluster's default."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """ReadWriteMany lets servers on several nodes mount it."""
    keep_versions: Annotated[int, Field(strict=True, ge=2)] = 2
    """Published versions that stay: the current one and those to return to."""


class Fetch(FrozenModel):
    """The Job that fetches, verifies and publishes the weights."""

    workers: PositiveInt = 4
    """Files transferred or hashed at once."""
    mib_per_second: PositiveInt = 20
    """Slowest transfer rate that is put up with, in MiB/s; decides the Job's deadline."""
    resources: ResourceAmounts = Field(
        default_factory=lambda: ResourceAmounts.model_validate(
            # What the platform gives to jobs.
            {"cpu": "300m", "memory": "384Mi", "ephemeralStorage": "256Mi"}
        )
    )
    """Of the Job's container."""


class VllmEngine(FrozenModel):
    """vLLM."""

    kind: Literal["vllm"]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] | None = None
    """Version of the image; without it, the one in versions.yaml."""
    device: Literal["cpu", "cuda", "tpu"]
    """What it computes on."""
    cpu_kv_cache_gib: PositiveInt | None = None
    """Size of the KV cache on a CPU, in GiB. Required there; on accelerators it takes what is left."""
    flags: VllmFlags
    """Flags of `vllm serve`."""


class Accelerator(FrozenModel):
    """Accelerators of one server."""

    count: PositiveInt
    """Number for each server."""
    resource: ExtendedResource | None = None
    """Kubernetes resource name, e.g. `nvidia.com/gpu`; with `nodePool`, the pool's."""
    memory: Bytes | None = None
    """Memory of each; with `nodePool`, the pool's."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the nodes that have them; with `nodePool`, the pool's."""
    allow_unproven: bool = False
    """Serve on an accelerator that this model has not been shown to run on, see docs/accelerators.md."""


class RolloutSettings(FrozenModel):
    """How many pods may be added and missing during an update."""

    max_surge: NonNegativeInt
    """Pods beyond `replicas`."""
    max_unavailable: NonNegativeInt
    """Pods of `replicas` that may be missing."""


class Timing(FrozenModel):
    """How a server ends without cutting off its clients."""

    pre_stop_seconds: PositiveInt = 15
    """Between removal from the Service and SIGTERM."""
    drain_seconds: PositiveInt = 45
    """For running requests to finish after SIGTERM."""
    termination_grace_period_seconds: PositiveInt = 75
    """Until SIGKILL; more than the two together."""


class Startup(FrozenModel):
    """How long a server may take to start."""

    load_mib_per_second: PositiveInt = 100
    """Slowest rate at which weights are read from their volume, in MiB/s."""
    budget_seconds: PositiveInt | None = None
    """Until the first answer, else the container is restarted; by default planned from the weights' size."""


class Model(FrozenModel):
    """One model: where its weights come from, how they are checked, and the engine that serves them."""

    name: DnsLabel
    """Name of the model and of its Service."""
    served_model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] | None = None
    """`model` in requests; without it, `name`."""
    revision: LabelValue
    """Pinned version: the commit on a hub, or a name that never moves."""
    source: Source
    """Where the weights come from."""
    sha256_sums: ManifestText
    """SHA256SUMS of all files: the only content that is ever served."""
    weights: Weights
    """Size and shape."""
    storage: Storage
    """Volume of the published versions."""
    fetch: Fetch = Field(default_factory=Fetch)
    """The fetch Job."""
    engine: VllmEngine
    """The engine."""
    family: str = "AutoGLM-Phone-9B"
    """Model that this one is a version of; decides on which accelerators it is proven to run."""
    replicas: PositiveInt = 1
    """Number of servers."""
    node_pool: DnsLabel | None = None
    """Node pool of the cluster that the servers run on; without it, any pool that has no taints."""
    resources: ResourceAmounts
    """Of each server's engine."""
    accelerator: Accelerator | None = None
    """Accelerators of each server."""
    rollout: RolloutSettings | None = None
    """Surge of an update; without it, planned from the room that quota and cluster leave."""
    timing: Timing = Field(default_factory=Timing)
    """Graceful end."""
    startup: Startup = Field(default_factory=Startup)
    """Start."""
