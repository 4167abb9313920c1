"""From the cluster section to what is built: pure functions, every problem collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.problems import Problem
from components.eks.settings import EksCluster

if TYPE_CHECKING:
    from components.accelerators.shapes import NodePoolShape


@dataclass(frozen=True)
class EksPlan:
    """Everything that the platform on EKS is built from, checked."""

    settings: EksCluster
    protect: bool
    """Whether what holds data is kept from deletion."""
    pools: tuple[NodePoolShape, ...]
    """What the scheduler finds: the system pool first, then each group of nodes."""
    object_storage_cidrs: tuple[str, ...]
    """Where pods reach S3, TCP 443: the subnets of the interface endpoints."""
    identity_cidrs: tuple[str, ...]
    """Where pods get the credentials of their role, TCP 80."""

    @property
    def egress_cidrs(self) -> tuple[str, ...]:
        """What a pod that reads from object storage has to reach."""
        return (*self.object_storage_cidrs, *self.identity_cidrs)


def plan_eks(settings: EksCluster, *, protect: bool) -> tuple[EksPlan | None, list[Problem]]:
    """The plan, or None with every problem; paths are relative to the cluster section."""
    problems: Sequence[Problem] = []
    raise NotImplementedError(settings, protect, problems)
