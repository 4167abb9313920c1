"""The kubeconfig of a cluster that is there already."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from components.common.outputs import unknown_output
from stacks.problems import Problem, SettingsError


def find_kubeconfig(configured: str, root: Path) -> Path | None:
    """The first kubeconfig that exists: $KUBECONFIG, then the one of the settings."""
    candidates = [Path(path) for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    candidates.append(root / configured)
    return next((path for path in candidates if path.is_file()), None)


def kubeconfig(configured: str, root: Path, file: str, fix: str) -> pulumi.Input[str]:
    """Path of the kubeconfig, relative to the project where it lies within.

    A preview without one plans against a cluster that is still unknown; an update without one is refused with
    a SettingsError that names the fix.
    """
    path = find_kubeconfig(configured, root)
    if path is not None:
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if pulumi.runtime.is_dry_run():
        return unknown_output()
    raise SettingsError(file, [Problem("cluster.kubeconfig", f"{configured!r}: no such file; {fix}")])
