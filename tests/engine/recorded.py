"""A state that no update has left: what the stack's own previews say that one would leave."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from tests.engine.conftest import Project

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that it does not know yet (plugin.UnknownStringValue)."""

_MOST_PREVIEWS = 5
"""A cluster's endpoint and a node group's scaling group are told late."""

_OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "aws:ec2/eip:Eip": {"allocationId": "eipalloc-recorded"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:eks/cluster:Cluster": {
        "endpoint": "https://recorded.eks.example.com",
        "certificateAuthority": {"data": "recorded"},
    },
    "aws:eks/nodeGroup:NodeGroup": {"resources": [{"autoscalingGroups": [{"name": "recorded"}]}]},
    "aws:kms/key:Key": {"keyId": "recorded"},
    "gcp:container/cluster:Cluster": {
        "endpoint": "192.0.2.1",
        "masterAuth": {"clusterCaCertificate": "recorded"},
    },
}
"""What only a cloud can tell, of what our programs read, besides ids and ARNs."""


_SECRET_INPUTS: Mapping[str, frozenset[str]] = {
    "kubernetes:core/v1:Secret": frozenset({"data", "stringData"})
}
"""Previews do not tell them: what is recorded of them is not what the program writes."""


def install_plan_plugin(project: Project, plugin: Path, *providers: str) -> None:
    """Let the plan-only plugin stand in for providers, in the versions of their SDKs."""
    for provider in providers:
        version = importlib.metadata.version(f"pulumi-{provider}").replace(".post", "-post")
        directory = project.home / "plugins" / f"resource-{provider}-v{version}"
        directory.mkdir(parents=True)
        shutil.copy2(plugin, directory / f"pulumi-resource-{provider}")


def preview_steps(project: Project) -> list[dict[str, Any]]:
    """The steps of a preview, in the engine's order; the preview must succeed."""
    done = project.pulumi("preview", "--json", "--show-secrets", "--show-sames")
    assert done.returncode == 0, done.stdout
    steps: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("{") :])["steps"]
    return steps


def changes(project: Project) -> list[tuple[str, str]]:
    """Operations of a preview in their order, on URNs; without what stays the same, as far as is recorded."""
    steps = [step for step in preview_steps(project) if step["op"] != "same"]
    return [(step["op"], step["urn"]) for step in steps if not _of_secrets_alone(step)]


def _of_secrets_alone(step: Mapping[str, Any]) -> bool:
    secrets = _SECRET_INPUTS.get(type_of(step["urn"]), frozenset())
    reasons = set(step.get("diffReasons") or ())
    return step["op"] == "update" and bool(reasons) and reasons <= secrets


def recorded_resources(project: Project) -> list[dict[str, Any]]:
    """What the state holds."""
    resources: list[dict[str, Any]] = json.loads(project.pulumi("stack", "export").stdout)["deployment"].get(
        "resources", []
    )
    return resources


def record_preview(project: Project) -> None:
    """Make the state what an update of the project as it is would leave.

    The first preview knows no ids. The state of each one tells the next one more, until every input is known.
    """
    for _ in range(_MOST_PREVIEWS):
        states = [step["newState"] for step in preview_steps(project)]
        exported = json.loads(project.pulumi("stack", "export").stdout)
        exported["deployment"]["resources"] = _in_order([_state(state) for state in states])
        (project.root / "state.json").write_text(json.dumps(exported))
        imported = project.pulumi("stack", "import", "--file", "state.json")
        assert imported.returncode == 0, imported.stdout
        if _UNKNOWN not in json.dumps([state.get("inputs") for state in states]):
            return
    raise AssertionError(f"inputs are still unknown after {_MOST_PREVIEWS} previews: extend _OUTPUTS")


def needed_by(resource: dict[str, Any]) -> list[str]:
    """URNs of what has to be there before a resource, and cannot be deleted before it."""
    provider = resource.get("provider", "").rpartition("::")[0]
    return [urn for urn in (*resource.get("dependencies", ()), resource.get("parent"), provider) if urn]


def dependency_visits(resources: list[dict[str, Any]]) -> dict[str, int]:
    """How many steps the engine needs to find all that each resource (by URN) depends on.

    Counted as engine 3.259 goes (pkg/resource/graph, markAsDependency): down every path of dependencies anew,
    however often it has been at a resource before; but only once through what a parent depends on.
    """
    known = {item["urn"]: item for item in resources}
    edges = {urn: [other for other in _edges(item) if other in known] for urn, item in known.items()}

    @cache
    def paths(urn: str) -> int:
        return 1 + sum(paths(other) for other in edges[urn])

    def visits(urn: str) -> int:
        count, parents, seen, waiting = paths(urn), set[str](), set[str](), [urn]
        while waiting:
            reached = waiting.pop()
            if reached in seen:
                continue
            seen.add(reached)
            waiting += edges[reached]
            parent = known[reached].get("parent")
            if parent and parent not in seen | parents:
                parents.add(parent)
                count += paths(parent)
                waiting.append(parent)
        return count

    return {urn: visits(urn) for urn in known}


def _edges(resource: dict[str, Any]) -> list[str]:
    """What a resource depends on besides its parent; as often as its state says so."""
    provider = resource.get("provider", "").rpartition("::")[0]
    properties = resource.get("propertyDependencies", {}).values()
    listed = [*resource.get("dependencies", ()), *(urn for urns in properties for urn in urns or ())]
    return [urn for urn in (provider, *listed, resource.get("deletedWith")) if urn]


def _in_order(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a state has them: a preview tells of resources that do not need each other as they come."""
    known = {item["urn"]: item for item in resources}
    needs = {urn: [other for other in needed_by(item) if other in known] for urn, item in known.items()}
    return [known[urn] for urn in TopologicalSorter(needs).static_order()]


def _state(resource: dict[str, Any]) -> dict[str, Any]:
    inputs = _known(resource.get("inputs", {}))
    state = resource | {"inputs": inputs, "outputs": inputs}
    if resource["custom"]:
        name = name_of(resource["urn"])
        state["id"] = name
        if resource["type"].startswith("aws:"):
            state["outputs"] = {"arn": f"arn:aws:recorded:::{name}"} | state["outputs"]
        state["outputs"] = state["outputs"] | _OUTPUTS.get(resource["type"], {})
    if provider := state.get("provider"):
        urn = provider.rpartition("::")[0]
        state["provider"] = f"{urn}::{name_of(urn)}"
    return state


def name_of(urn: str) -> str:
    """A resource's name."""
    return urn.rpartition("::")[2]


def type_of(urn: str) -> str:
    """A resource's own type, without those of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def _known(value: Any) -> Any:
    """Without what is unknown."""
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items() if inner != _UNKNOWN}
    if isinstance(value, list):
        return [_known(inner) for inner in value if inner != _UNKNOWN]
    return value
