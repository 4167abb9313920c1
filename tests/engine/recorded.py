"""A state that no update has left: what the stack's own preview says that one would leave."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

from tests.engine.conftest import Project

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that it does not know yet (plugin.UnknownStringValue)."""


def install_plan_plugin(project: Project, plugin: Path, provider: str) -> None:
    """Let the plan-only plugin stand in for a provider, in the version of its SDK."""
    version = importlib.metadata.version(f"pulumi-{provider}")
    directory = project.home / "plugins" / f"resource-{provider}-v{version}"
    directory.mkdir(parents=True)
    shutil.copy2(plugin, directory / f"pulumi-resource-{provider}")


def preview_steps(project: Project) -> list[dict[str, Any]]:
    """The steps of a preview, in the engine's order; the preview must succeed."""
    done = project.pulumi("preview", "--json", "--show-secrets")
    assert done.returncode == 0, done.stdout
    steps: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("{") :])["steps"]
    return steps


def record_preview(project: Project) -> None:
    """Make the state what an update of the project as it is would leave."""
    steps = preview_steps(project)
    exported = json.loads(project.pulumi("stack", "export").stdout)
    exported["deployment"]["resources"] = [_state(step["newState"]) for step in steps]
    (project.root / "state.json").write_text(json.dumps(exported))
    imported = project.pulumi("stack", "import", "--file", "state.json")
    assert imported.returncode == 0, imported.stdout


def _state(resource: dict[str, Any]) -> dict[str, Any]:
    inputs = _known(resource.get("inputs", {}))
    state = resource | {"inputs": inputs, "outputs": inputs}
    if resource["custom"]:
        state["id"] = _name(resource["urn"])
    if provider := state.get("provider"):
        urn = provider.rpartition("::")[0]
        state["provider"] = f"{urn}::{_name(urn)}"
    return state


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _known(value: Any) -> Any:
    """Without what is unknown."""
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items() if inner != _UNKNOWN}
    if isinstance(value, list):
        return [_known(inner) for inner in value if inner != _UNKNOWN]
    return value
