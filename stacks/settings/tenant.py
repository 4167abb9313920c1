"""The namespace: quota, limits and who may call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.accelerators.settings import LabelKey
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import Bytes, Millicores
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt
from stacks.settings.amounts import ExtendedResource, ResourceAmounts


class Quota(FrozenModel):
    """Upper bounds on everything that the tenant may ask for at once; becomes a ResourceQuota."""

    cpu: Millicores
    """CPU that is asked for."""
    cpu_limits: Millicores | None = None
    """CPU limits; without it, `cpu`. More where etcd may use more than it asks for."""
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
