"""The pack stands between a program and everything it would touch, with and without a preview before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import RUNTIME, Project
from toolchain import paths

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROGRAM = """
import pulumi

class Group(pulumi.CustomResource):
    def __init__(self, name, **inputs):
        opts = pulumi.ResourceOptions(version="7.1.0")
        super().__init__("aws:ec2/securityGroup:SecurityGroup", name, inputs, opts)

Group("open", ingress=[
    {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]},
])
"""


@pytest.fixture
def gated(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    made = project(_PROGRAM)
    directory = made.home / "plugins" / "resource-aws-v7.1.0"
    directory.mkdir(parents=True)
    shutil.copy2(plan_plugin, directory / "pulumi-resource-aws")
    return made


@pytest.mark.parametrize("more", [[], ["--skip-preview"]], ids=["up", "up --skip-preview"])
def test_a_refused_update_reaches_no_provider(gated: Project, more: list[str]) -> None:
    pack = str(paths.ROOT / "policies")
    done = gated.pulumi("up", "--yes", "--policy-pack", pack, *more)
    assert done.returncode != 0, done.stdout
    assert "security-group-open" in done.stdout
    assert "[mandatory]" in done.stdout
    # What the provider says when it is asked to create anything.
    assert "only plans" not in done.stdout
    held = json.loads(gated.pulumi("stack", "export").stdout)["deployment"].get("resources") or []
    assert [one["type"] for one in held if one["custom"] and not one["type"].startswith("pulumi:")] == []


@pytest.mark.parametrize("more", [[], ["--skip-preview"]], ids=["up", "up --skip-preview"])
def test_without_the_pack_the_same_update_does_reach_it(gated: Project, more: list[str]) -> None:
    done = gated.pulumi("up", "--yes", *more)
    assert done.returncode != 0
    assert "only plans" in done.stdout


# Recorded state, judged at night

_SECRET = "canary-in-the-state"
_STATE_PROGRAM = f"""
import pulumi
pulumi.export("password", pulumi.Output.secret("{_SECRET}"))
"""


def _service(kind: str) -> dict[str, object]:
    spec = {"type": kind, "selector": {"app": "a"}, "ports": [{"port": 80}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "entry", "namespace": "a"},
        "spec": spec,
    }


@pytest.mark.parametrize(("kind", "status"), [("NodePort", 1), ("ClusterIP", 0)])
def test_recorded_state_is_judged_without_being_shown(
    tmp_path: Path, engine: Path, kind: str, status: int
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(f"name: autoglm-platform\n{RUNTIME}")
    (tmp_path / "__main__.py").write_text(_STATE_PROGRAM)
    project = Project(tmp_path, engine)
    for command in (["stack", "init", "onprem"], ["up", "--yes", "--stack", "onprem"]):
        done = project.pulumi(*command)
        assert done.returncode == 0, done.stdout
    exported = json.loads(project.pulumi("stack", "export", "--stack", "onprem").stdout)
    urn = "urn:pulumi:onprem::autoglm-platform::"
    provider = f"{urn}pulumi:providers:kubernetes::cluster"
    identity = "00000000-0000-4000-8000-000000000000"
    exported["deployment"]["resources"] += [
        {"urn": provider, "custom": True, "id": identity, "type": "pulumi:providers:kubernetes"},
        {
            "urn": f"{urn}kubernetes:core/v1:Service::entry",
            "custom": True,
            "id": "a/entry",
            "type": "kubernetes:core/v1:Service",
            "provider": f"{provider}::{identity}",
            "inputs": _service(kind),
            "outputs": _service(kind),
        },
    ]
    (tmp_path / "deployment.json").write_text(json.dumps(exported))
    done = project.pulumi("stack", "import", "--stack", "onprem", "--file", "deployment.json")
    assert done.returncode == 0, done.stdout

    folder = tmp_path / "verdict"
    judged = subprocess.run(
        ["bash", ".ci/judge-state", "onprem", str(folder)],
        cwd=paths.ROOT,
        # Neither the passphrase of the state nor the caller's own settings of the engine.
        env={key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        | {"PULUMI_BACKEND_URL": f"file://{tmp_path}/state", "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    output = judged.stdout + judged.stderr
    assert judged.returncode == status, output
    assert ("service-node-port" in output) == bool(status)
    found = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["stacks"][0]
    assert [one["rule"] for one in found["violations"]] == ["service-node-port"] * status
    told = output + "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    assert _SECRET not in told
    assert "ciphertext" not in told
    assert list(tmp_path.glob("tmp.*")) == []
