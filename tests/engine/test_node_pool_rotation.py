"""The real engine on a recorded cluster whose pools change: what it makes, deletes and leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import Project
from tests.engine.recorded import install_plan_plugin, preview_steps, record_preview
from tests.unit.gke.examples import plan, raw
from toolchain import paths

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROGRAM = f"""
import json
import sys
sys.path.insert(0, {str(paths.ROOT)!r})

import pulumi
import pulumi_gcp as gcp

from components.gke.component import GkePlatform, GkePlatformArgs
from components.gke.plan import plan_gke
from components.gke.settings import GkeCluster

with open("settings.json") as file:
    plan, problems = plan_gke(GkeCluster.model_validate(json.load(file)), protect=True)
assert not problems
provider = gcp.Provider("gcp", project=plan.settings.project)
GkePlatform("cluster", GkePlatformArgs(plan), pulumi.ResourceOptions(providers=[provider]))
"""


@pytest.fixture
def deployed(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    made = project(_PROGRAM)
    install_plan_plugin(made, plan_plugin, "gcp")
    write_settings(made, {})
    record_preview(made)
    return made


def write_settings(project: Project, changes: dict[str, Any]) -> None:
    (project.root / "settings.json").write_text(json.dumps(raw(changes)))


def changed(project: Project) -> list[tuple[str, str]]:
    """Operations of a preview in their order, on names of resources; without what stays the same."""
    return [
        (step["op"], step["urn"].rpartition("::")[2])
        for step in preview_steps(project)
        if step["op"] != "same"
    ]


def resource_of(pool: str, changes: dict[str, Any] | None = None) -> str:
    """Name of a pool's resource."""
    (found,) = [item.name for item in plan(changes).node_pools if item.key == pool]
    return f"cluster-pools-{found}"


def test_what_is_recorded_needs_no_change(deployed: Project) -> None:
    assert changed(deployed) == []


def test_f56_a_reshaped_pool_is_made_before_the_old_one_is_deleted(deployed: Project) -> None:
    changes = {"nodePools[1].taints": [{"key": "dedicated", "value": "others"}]}
    write_settings(deployed, changes)
    assert changed(deployed) == [("create", resource_of("l4", changes)), ("delete", resource_of("l4"))]


def test_f56_bounds_and_labels_change_in_place(deployed: Project) -> None:
    write_settings(deployed, {"nodePools[1].maxNodes": 6, "nodePools[1].labels": {"team": "others"}})
    assert changed(deployed) == [("update", resource_of("l4"))]


def test_a_pool_that_is_taken_away_deletes_nothing_else(deployed: Project) -> None:
    document = raw()
    del document["nodePools"][5]
    (deployed.root / "settings.json").write_text(json.dumps(document))
    assert changed(deployed) == [("delete", resource_of("v6e-slice"))]


def test_f55_a_protected_cluster_cannot_be_deleted(deployed: Project) -> None:
    (deployed.root / "__main__.py").write_text("")
    done = deployed.pulumi("preview")
    assert done.returncode != 0
    assert "gcp:container/cluster:Cluster::cluster-control-plane" in done.stdout
    assert "cannot be deleted" in done.stdout
