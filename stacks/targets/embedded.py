"""The embedded cluster, or any other that there is a kubeconfig for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stacks.settings.cluster import EmbeddedCluster
from stacks.targets.kubeconfig import kubeconfig
from stacks.targets.target import Target, kubernetes_provider

_FIX = "start the embedded cluster with `make up`, or set KUBECONFIG to a cluster of your own"


def build_embedded(cluster: EmbeddedCluster, images: Mapping[str, str], root: Path, file: str) -> Target:
    """The stack's cluster, by its kubeconfig."""
    path = kubeconfig(cluster.kubeconfig, root, file, _FIX)
    return Target(kubernetes_provider(path, context=cluster.context), images=images)
