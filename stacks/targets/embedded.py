"""The embedded cluster, or any other that there is a kubeconfig for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pulumi

from components.common.outputs import unknown_output
from stacks.problems import Problem, SettingsError
from stacks.settings.cluster import EmbeddedCluster
from stacks.targets.target import Target, kubernetes_provider


def find_kubeconfig(cluster: EmbeddedCluster, root: Path) -> Path | None:
    """The first kubeconfig that exists: $KUBECONFIG, then the one of the settings."""
    candidates = [Path(path) for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    candidates.append(root / cluster.kubeconfig)
    return next((path for path in candidates if path.is_file()), None)


def build_embedded(cluster: EmbeddedCluster, images: Mapping[str, str], root: Path, file: str) -> Target:
    """The stack's cluster, by its kubeconfig.

    A preview without a kubeconfig plans against a cluster that is still unknown; an update without one is
    refused with a SettingsError.
    """
    path = find_kubeconfig(cluster, root)
    kubeconfig: pulumi.Input[str]
    if path is not None:
        kubeconfig = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    elif pulumi.runtime.is_dry_run():
        kubeconfig = unknown_output()
    else:
        fix = "start the embedded cluster with `make up`, or set KUBECONFIG to a cluster of your own"
        raise SettingsError(
            file, [Problem("cluster.kubeconfig", f"{cluster.kubeconfig!r}: no such file; {fix}")]
        )
    return Target(kubernetes_provider(kubeconfig, context=cluster.context), images=images)
