"""From a plan to the cluster that it is deployed to."""

from __future__ import annotations

from pathlib import Path

from components.eks.plan import EksPlan
from components.gke.plan import GkePlan
from components.onprem.plan import OnpremPlan
from stacks.plan import PlatformPlan
from stacks.settings.cluster import EmbeddedCluster
from stacks.targets.eks import build_eks
from stacks.targets.embedded import build_embedded
from stacks.targets.gke import build_gke
from stacks.targets.onprem import build_onprem
from stacks.targets.target import Target


def build_target(plan: PlatformPlan, root: Path, file: str) -> Target:
    """The plan's cluster, ready for the components on top; raises SettingsError if it cannot be reached."""
    below, cluster = plan.cluster.below, plan.settings.cluster
    if isinstance(below, EksPlan):
        return build_eks(plan, below, root)
    if isinstance(below, GkePlan):
        return build_gke(plan, below, root)
    if isinstance(below, OnpremPlan):
        return build_onprem(plan, below, root, file)
    assert isinstance(cluster, EmbeddedCluster)
    return build_embedded(cluster, plan.images, root, file)
