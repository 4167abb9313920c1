"""Where everything runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.common.quantities import Bytes, Millicores
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt
from components.eks.settings import EksCluster
from components.gke.settings import GkeCluster
from components.onprem.settings import OnpremCluster
from stacks.settings.amounts import ExtendedResource


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


Cluster = EmbeddedCluster | EksCluster | GkeCluster | OnpremCluster
