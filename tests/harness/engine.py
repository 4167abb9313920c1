"""The real Pulumi engine on stack dev, as `make up` set it up."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.commands import Result, run
from tests.harness.secret_values import revealed
from toolchain import paths
from toolchain import stack as toolchain_stack

STACK = "dev"
PROJECT = "autoglm-platform"
_LONGEST = 900
"""Seconds; a rollout of the model server takes one or two minutes."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """`pulumi` with the policy pack, on stack dev; `program` is the folder of another Pulumi.yaml."""

    program: Path = paths.ROOT

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the engine: those of `.toolchain/env`, and the stack's policy levels."""
        env = {**os.environ, **toolchain_stack.environment()}
        level = toolchain_stack.LEVELS / f"{STACK}.json"
        if level.is_file():
            env["PULUMI_OPTION_POLICY_PACK_CONFIG"] = str(level)
        return env

    def run(self, *arguments: str, config_file: Path | None = None, **environment: str) -> Result:
        """A `pulumi` command on the stack."""
        command = [str(paths.BIN / "pulumi"), *arguments, "--stack", STACK, "--non-interactive"]
        if arguments[0] in ("up", "preview", "refresh", "destroy"):
            command += ["--config-file", str(config_file or settings_copy()), "--color=never"]
        return run(command, env=self.environment | environment, cwd=self.program, timeout=_LONGEST)

    def up(self, *arguments: str, config_file: Path | None = None, **environment: str) -> Result:
        """`pulumi up --yes`."""
        return self.run("up", "--yes", *arguments, config_file=config_file, **environment)

    def export(self, *flags: str) -> dict[str, Any]:
        """The stack's state."""
        document: dict[str, Any] = json.loads(self.run("stack", "export", *flags).succeeded().stdout)
        return document

    def resources(self, *flags: str) -> list[dict[str, Any]]:
        """Resources in the stack's state; what is secret is a cipher without `--show-secrets`."""
        resources: list[dict[str, Any]] = self.export(*flags)["deployment"].get("resources", [])
        return resources

    def recorded(self) -> dict[str, Any]:
        """What of the state any change of a resource would change."""
        deployment = self.export()["deployment"]
        return {key: deployment.get(key) for key in ("resources", "pending_operations")}


def settings_copy() -> Path:
    """The settings file that `make up` hands to the engine."""
    return toolchain_stack.Stack(STACK).copy


def write_settings(folder: Path, change: Callable[[Settings], None]) -> Path:
    """A settings file like the stack's own, changed: `change` gets its sections by name."""
    document = yaml.safe_load(settings_copy().read_text(encoding="utf-8"))
    sections = {
        key.removeprefix(f"{PROJECT}:"): copy.deepcopy(value) for key, value in document["config"].items()
    }
    change(sections)
    document["config"] = {f"{PROJECT}:{key}": value for key, value in sections.items()}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def manifests(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Kubernetes objects of a state, as the program wrote them, namespaces first."""
    objects = [
        _without_engine_annotations(revealed(resource["inputs"]))
        for resource in resources
        if resource["type"].startswith("kubernetes:") and not resource.get("delete")
    ]
    return sorted(objects, key=lambda item: item["kind"] != "Namespace")


def _without_engine_annotations(inputs: dict[str, Any]) -> dict[str, Any]:
    item = {key: value for key, value in copy.deepcopy(inputs).items() if not key.startswith("__")}
    annotations = item.get("metadata", {}).get("annotations", {})
    for key in [key for key in annotations if key.startswith("pulumi.com/")]:
        del annotations[key]
    return item


def registered(event_log: Path) -> Iterator[str]:
    """Types of the resources that an update or preview with `--event-log` has come to."""
    for line in event_log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if "resourcePreEvent" in event:
            yield event["resourcePreEvent"]["metadata"]["type"]
