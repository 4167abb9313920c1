"""The settings of a stack, as people write them in `Pulumi.<stack>.yaml`.

Each section is one structured value under the project's namespace. `docs/settings.md` and the JSON Schema
beside it are generated from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.common.names import DnsLabel, LabelValue
from components.common.quantities import GIB, MIB, Bytes, Millicores, Resources
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt
from components.model_server.memory import Architecture
from components.model_server.vllm import VllmFlags
from components.model_store.manifest import ManifestText
from components.model_store.sources import Source

IMAGE_REFERENCE = r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}$"

ExtendedResource = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*)$")
]
LabelKey = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*)/)?[A-Za-z0-9]([A-Za-z0-9._-]*)$")]
ImageReference = Annotated[str, Field(pattern=IMAGE_REFERENCE)]


class Capacity(FrozenModel):
    """What the nodes have left for the tenant, in all. Decides whether a rollout may create before delete."""

    cpu: Millicores
    """CPU."""
    memory: Bytes
    """Memory."""
    accelerators: dict[ExtendedResource, NonNegativeInt] = Field(default_factory=dict)
    """Accelerators by resource name; what is not named is not there."""


class EmbeddedCluster(FrozenModel):
    """The single-node Kubernetes that `make up` starts on the machine, or any cluster of your own."""

    kind: Literal["embedded"]
    kubeconfig: str = ".toolchain/kubeconfig"
    """Path of the kubeconfig, relative to the project. Used unless $KUBECONFIG names another."""
    context: str | None = None
    """Context of the kubeconfig; without it, the current one."""
    nodes: PositiveInt = 1
    """Number of nodes."""
    capacity: Capacity
    """What the nodes have left for the tenant."""


# eks, gke and onprem join this as a union discriminated by `kind`.
Cluster = EmbeddedCluster


class Quota(FrozenModel):
    """Upper bounds on everything that the tenant may ask for at once; becomes a ResourceQuota."""

    cpu: Millicores
    """CPU, requests and limits alike."""
    memory: Bytes
    """Memory, requests and limits alike."""
    ephemeral_storage: Bytes
    """Node-local disk, requests and limits alike."""
    storage: Bytes
    """Persistent volumes."""
    persistent_volume_claims: PositiveInt
    """Number of volume claims."""
    pods: PositiveInt
    """Number of pods that have not ended."""
    jobs: PositiveInt = 20
    """Number of Jobs, ended ones included."""
    accelerators: dict[ExtendedResource, NonNegativeInt] = Field(
        default_factory=lambda: {"nvidia.com/gpu": 0}
    )
    """Accelerators by resource name; 0 forbids a kind."""


class ResourceAmounts(FrozenModel):
    """What one container gets: requests and limits alike."""

    cpu: Millicores
    """CPU, e.g. `1200m` or `2`."""
    memory: Bytes
    """Memory, e.g. `6Gi`."""
    ephemeral_storage: Bytes
    """Node-local disk: logs, writable layer and scratch space."""

    def resources(self) -> Resources:
        """The same as the components take it."""
        return Resources(self.cpu, self.memory, self.ephemeral_storage)


class ContainerLimits(FrozenModel):
    """Bounds of a single container; becomes a LimitRange."""

    default: ResourceAmounts
    """What a container gets that asks for nothing."""
    maximum: ResourceAmounts
    """The most that a container may ask for."""


class Tenant(FrozenModel):
    """The namespace that everything runs in."""

    namespace: DnsLabel
    """Name of the namespace."""
    trusted_clients: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)] = Field(
        default_factory=lambda: {"purpose": "trusted"}
    )
    """Labels of the namespaces whose pods may reach the API."""
    quota: Quota
    """Upper bounds on all that the tenant asks for."""
    container_limits: ContainerLimits
    """Bounds of a single container."""


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
    device: Literal["cpu", "cuda"]
    """What it computes on."""
    cpu_kv_cache_gib: PositiveInt | None = None
    """Size of the KV cache on a CPU, in GiB. Required there; on accelerators it takes what is left."""
    flags: VllmFlags
    """Flags of `vllm serve`."""


class Accelerator(FrozenModel):
    """Accelerators of one server."""

    resource: ExtendedResource
    """Kubernetes resource name, e.g. `nvidia.com/gpu`."""
    count: PositiveInt
    """Number for each server."""
    memory: Bytes
    """Memory of each."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the nodes that have them."""


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
    replicas: PositiveInt = 1
    """Number of servers."""
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


class LocalImages(FrozenModel):
    """Images that the toolchain has built and imported on this machine."""

    kind: Literal["local"]
    file: str = ".toolchain/images.json"
    """List of the images by name, with digest; relative to the project."""


class RegistryImages(FrozenModel):
    """Images in a registry."""

    kind: Literal["registry"]
    references: dict[str, ImageReference]
    """Reference with digest (`registry/name:tag@sha256:…`) by name: `vllm-cpu` or `vllm`, and `weights`."""


class Settings(FrozenModel):
    """All sections of a stack's settings."""

    cluster: Cluster
    """Where everything runs."""
    tenant: Tenant
    """Namespace, quota and who may call."""
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    """What is served. The first model's server is the stack's endpoint."""
    images: Annotated[LocalImages | RegistryImages, Field(discriminator="kind")]
    """Where container images come from."""
    data_protection: Literal["none", "protected"] = "protected"
    """`protected` refuses to delete what holds data, and keeps it if forced; `none` is for trying out."""


SCRATCH_BYTES = GIB
"""/tmp of the engine: compiled kernels and caches."""
VERIFIER_MEMORY = 256 * MIB
VERIFIER_EPHEMERAL = 256 * MIB
