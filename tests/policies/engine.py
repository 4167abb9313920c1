"""The real engine with the pack, in a copy of the program: nothing of the user's state or cluster is used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from toolchain import paths, pulumi_home, python_env
from toolchain.errors import ToolchainError
from toolchain.images import definitions

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLCHAIN: Final = ROOT / ".toolchain"
PACK: Final = ROOT / "policies"
_PROGRAM: Final = (
    "__main__.py",
    "Pulumi.yaml",
    "Pulumi.dev.yaml",
    "Pulumi.staging.yaml",
    "Pulumi.prod.yaml",
    "Pulumi.onprem.yaml",
    "versions.yaml",
    "pyproject.toml",
    "stacks",
    "components",
    "policies",
    "apps",
)
_TIMEOUT_SECONDS: Final = 300


@cache
def pulumi() -> str:
    """The engine's command with its plugins, built if need be; skips the test where it cannot be had."""
    try:
        return str(pulumi_home.ensure().resolve())
    except ToolchainError as error:
        pytest.skip(f"the engine cannot be had here: {error}")


def environment(home: Path, backend: Path) -> dict[str, str]:
    """Variables for the engine: own state, no pack of the user's shell, no cluster."""
    foreign = ("PULUMI_", "KUBE", "AWS_", "GOOGLE_", "CLOUDSDK_", "DOCKER_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    backend.mkdir(parents=True, exist_ok=True)
    command = Path(pulumi()).parent
    return own | {
        "PATH": os.pathsep.join([str(command), os.environ.get("PATH", "")]),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "NO_COLOR": "1",
        **python_env.BYTE_CODE,
    }


def run(arguments: list[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """One run of the engine."""
    return subprocess.run(
        [pulumi(), *arguments, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )


@dataclass(frozen=True)
class Verdict:
    """One violation as the engine reports it."""

    rule: str
    urn: str
    level: str
    message: str


def analyze_run(
    resources: list[dict[str, Any]], folder: Path, levels: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A run of `pulumi policy analyze` over recorded state."""
    state = folder / "state.json"
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}
    deployment = {"manifest": manifest, "resources": resources}
    state.write_text(json.dumps({"version": 3, "deployment": deployment}), encoding="utf-8")
    env = environment(folder / "home", folder / "backend")
    options = ["--file", str(state), "--policy-pack", str(PACK), "--json"]
    options += ["--policy-pack-config", str(levels)] if levels else []
    return run(["policy", "analyze", *options], folder, env)


def analyze(resources: list[dict[str, Any]], folder: Path, levels: Path | None = None) -> list[Verdict]:
    """What the pack says of recorded state, through `pulumi policy analyze`."""
    done = analyze_run(resources, folder, levels)
    verdicts: list[Verdict] = []
    for line in done.stdout.splitlines():
        event = json.loads(line).get("policyEvent") if line.startswith("{") else None
        if event:
            verdicts.append(
                Verdict(
                    event["policyName"],
                    event.get("resourceUrn", ""),
                    event["enforcementLevel"],
                    event["message"],
                )
            )
    refused = any(one.level == "mandatory" for one in verdicts)
    assert bool(done.returncode) == refused, done.stdout + done.stderr
    return verdicts


class Program:
    """A copy of the program with a state of its own and no cluster."""

    def __init__(self, folder: Path, stack: str = "dev") -> None:
        self.folder = folder / "program"
        self.folder.mkdir()
        self.stack = stack
        for name in _PROGRAM:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.folder / name)
        # A salt belongs to one machine's passphrase; `pulumi` adds it where it is run by hand.
        settings = self.folder / f"Pulumi.{stack}.yaml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(
            re.sub(r"(?m)^(encryptionsalt|secretsprovider):.*\n?", "", text), encoding="utf-8"
        )
        toolchain = self.folder / ".toolchain"
        toolchain.mkdir()
        (toolchain / "venv").symlink_to(TOOLCHAIN / "venv")
        digest = "sha256:" + "0123456789abcdef" * 4
        versions = {
            **dict.fromkeys((*definitions.IMAGES, *definitions.ON_REQUEST), "1"),
            "vllm-cpu": self._engine_version(),
        }
        images = {
            name: {"reference": f"autoglm.local/{name}@{digest}", "version": version}
            for name, version in versions.items()
        }
        (toolchain / "images.json").write_text(json.dumps({"images": images}), encoding="utf-8")
        pulumi()
        self.env = environment(paths.PULUMI_HOME, folder / "backend")
        self.env["PULUMI_OPTION_POLICY_PACK"] = "policies"
        self.env["PULUMI_OPTION_POLICY_PACK_CONFIG"] = f"policies/levels/{stack}.json"
        done = run(["stack", "init", stack], self.folder, self.env)
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _engine_version() -> str:
        for line in (ROOT / "versions.yaml").read_text(encoding="utf-8").splitlines():
            if line.strip().startswith("vllm:"):
                return line.partition(":")[2].strip()
        raise AssertionError("versions.yaml: no vllm")

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the copy; the text to change has to be there."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file}: {old!r} is not there"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The engine in the copy."""
        return run([*arguments], self.folder, self.env)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The engine in the copy, not waited for."""
        return subprocess.Popen(
            [pulumi(), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def resources(self) -> list[dict[str, Any]]:
        """What the stack's state holds."""
        done = self.run("stack", "export", "--stack", self.stack)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["deployment"].get("resources") or []
