"""The Kubernetes provider of a stack: explicit, so that nothing lands in whichever is current."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from components.common.outputs import unknown_output
from stacks.problems import Problem, SettingsError
from stacks.settings import EmbeddedCluster


def find_kubeconfig(cluster: EmbeddedCluster, root: Path) -> Path | None:
    """The first kubeconfig that exists: $KUBECONFIG, then the one of the settings."""
    candidates = [Path(path) for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    candidates.append(root / cluster.kubeconfig)
    return next((path for path in candidates if path.is_file()), None)


def cluster_provider(cluster: EmbeddedCluster, root: Path, file: str) -> kubernetes.Provider:
    """Provider of the stack's cluster.

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
    return kubernetes.Provider(
        "cluster",
        kubeconfig=kubeconfig,
        context=cluster.context,
        # Without it the cluster is known by its kubeconfig, and a moved file would replace everything.
        cluster_identifier=pulumi.get_stack(),
        enable_server_side_apply=True,
    )
