"""From a plan to the cluster that it is deployed to."""

from __future__ import annotations

from pathlib import Path

from components.eks.plan import EksPlan
from components.gke.plan import GkePlan
from stacks.plan import PlatformPlan
from stacks.settings.cluster import EmbeddedCluster
from stacks.targets.eks import build_eks
from stacks.targets.embedded import build_embedded
from stacks.targets.gke import build_gke
from stacks.targets.target import Target


def build_target(plan: PlatformPlan, root: Path, file: str) -> Target:
    """The plan's cluster, ready for the components on top; raises SettingsError if it cannot be reached."""
    cloud, cluster = plan.cluster.cloud, plan.settings.cluster
    if isinstance(cloud, EksPlan):
        return build_eks(plan, cloud, root)
    if isinstance(cloud, GkePlan):
        return build_gke(plan, cloud, root)
    assert isinstance(cluster, EmbeddedCluster)
    return build_embedded(cluster, plan.images, root, file)
