"""The pack stands between a program and everything it would touch, with and without a preview before."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from policies import previewed
from tests.engine.conftest import RUNTIME, Project
from tests.engine.recorded import install_plan_plugin
from toolchain import paths

pytestmark = [pytest.mark.engine, pytest.mark.slow]

# The last of three violates; the engine itself makes the others, which need no provider.
_PROGRAM = """
import pathlib, time
import pulumi

class Group(pulumi.CustomResource):
    def __init__(self, name, opts, **inputs):
        super().__init__("aws:ec2/securityGroup:SecurityGroup", name, inputs, opts)

first = pulumi.Stash("first", input="1")
second = pulumi.Stash("second", input="2", opts=pulumi.ResourceOptions(depends_on=[first]))
after = pulumi.ResourceOptions(version="AWS_VERSION", depends_on=[second])
if pulumi.Config().get_bool("violates"):
    Group("open", after, ingress=[
        {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]},
    ])

def pause(_):
    pathlib.Path("made").touch()
    while not pathlib.Path("continue").exists():
        time.sleep(0.02)

if pulumi.Config().get_bool("pauses") and not pulumi.runtime.is_dry_run():
    made = second.output.apply(pause)
    pulumi.Stash("third", input=made.apply(lambda _: "3"))
""".replace("AWS_VERSION", importlib.metadata.version("pulumi-aws"))

PACKS = {"folder": str(paths.ROOT / "policies"), "program": str(paths.ROOT / "policies" / "analyzer")}
"""The pack as the engine can be given it: with a language host between, and without."""

UNPREVIEWED = "no preview has passed in this run of the engine"


@pytest.fixture(params=PACKS)
def pack(request: pytest.FixtureRequest) -> str:
    return PACKS[request.param]


@pytest.fixture
def clean(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    made = project(_PROGRAM)
    install_plan_plugin(made, plan_plugin, "aws")
    return made


@pytest.fixture
def gated(clean: Project) -> Project:
    clean.pulumi("config", "set", "violates", "true")
    return clean


def _made(project: Project) -> list[str]:
    """Names of what the state holds, beside the stack itself and its providers."""
    held = json.loads(project.pulumi("stack", "export").stdout)["deployment"].get("resources") or []
    return [one["urn"].rpartition("::")[2] for one in held if not one["type"].startswith("pulumi:p")]


def test_a_refused_update_changes_nothing(gated: Project, pack: str) -> None:
    done = gated.pulumi("up", "--yes", "--policy-pack", pack)
    assert done.returncode != 0, done.stdout
    assert "[mandatory] [severity: critical]  security-group-open" in done.stdout
    assert "Updating" not in done.stdout
    assert _made(gated) == []


@pytest.mark.parametrize("more", [[], ["--continue-on-error"], ["--refresh"], ["--target", "**"]], ids=str)
def test_an_update_without_preview_changes_nothing(gated: Project, pack: str, more: list[str]) -> None:
    done = gated.pulumi("up", "--yes", "--skip-preview", "--policy-pack", pack, *more)
    assert done.returncode != 0, done.stdout
    assert "[mandatory] [severity: critical]  update-previewed" in done.stdout
    assert f"{UNPREVIEWED}; run `pulumi up` without --skip-preview" in done.stdout
    # What the provider says when it is asked to create anything.
    assert "only plans" not in done.stdout
    assert _made(gated) == []


def test_a_clean_stack_is_previewed_and_updated(clean: Project, pack: str) -> None:
    # A preview that another process of the engine has made is none of this update's.
    assert clean.pulumi("preview", "--policy-pack", pack).returncode == 0
    refused = clean.pulumi("up", "--yes", "--skip-preview", "--policy-pack", pack)
    assert refused.returncode != 0
    assert UNPREVIEWED in refused.stdout
    assert _made(clean) == []
    for _ in ("made", "unchanged"):
        done = clean.pulumi("up", "--yes", "--policy-pack", pack)
        assert done.returncode == 0, done.stdout
        assert "update-previewed" not in done.stdout
        assert _made(clean) == ["first", "second"]


def test_an_update_by_a_saved_plan_is_previewed_again(clean: Project, pack: str) -> None:
    more = ("--policy-pack", pack)
    planned = clean.pulumi("preview", "--save-plan", "plan.json", *more, PULUMI_EXPERIMENTAL="true")
    assert planned.returncode == 0, planned.stdout
    done = clean.pulumi("up", "--yes", "--plan", "plan.json", *more, PULUMI_EXPERIMENTAL="true")
    assert done.returncode == 0, done.stdout
    assert _made(clean) == ["first", "second"]


def test_what_judges_nothing_needs_no_preview(clean: Project, pack: str) -> None:
    environment = {"PULUMI_OPTION_POLICY_PACK": pack}
    assert clean.pulumi("up", "--yes", **environment).returncode == 0
    for command in (["refresh"], ["refresh", "--run-program"], ["destroy", "--run-program"], ["destroy"]):
        done = clean.pulumi(*command, "--yes", "--skip-preview", **environment)
        assert done.returncode == 0, done.stdout
    assert _made(clean) == []


@pytest.mark.parametrize("level", ["advisory", "disabled"])
def test_only_where_the_rule_is_lowered_a_part_of_a_refused_update_is_made(
    gated: Project, pack: str, level: str
) -> None:
    levels = gated.root / "levels.json"
    lowered = {"enforcementLevel": level, "reason": "shows what the rule is for"}
    levels.write_text(json.dumps({"update-previewed": lowered}))
    more = ("--policy-pack", pack, "--policy-pack-config", str(levels))
    done = gated.pulumi("up", "--yes", "--skip-preview", *more)
    assert done.returncode != 0
    assert done.stdout.count(UNPREVIEWED) == (level == "advisory")
    assert "security-group-open" in done.stdout
    assert "only plans" not in done.stdout
    assert _made(gated) == ["first", "second"]


@pytest.mark.parametrize("more", [[], ["--skip-preview"]], ids=["up", "up --skip-preview"])
def test_without_the_pack_the_same_update_reaches_the_provider(gated: Project, more: list[str]) -> None:
    done = gated.pulumi("up", "--yes", *more)
    assert done.returncode != 0
    assert "only plans" in done.stdout


def _descendants(process: int) -> list[int]:
    found = [int(one.name) for one in Path("/proc").glob("[0-9]*")]
    parents = {one.pid: one.parent for one in map(previewed.process, found) if one}
    below = {process}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(below - {process})


def _serves_pack(process: int) -> bool:
    try:
        arguments = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return str(paths.ROOT / "policies").encode() in arguments


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_f10_a_pack_that_is_killed_in_an_update_ends_it(clean: Project, pack: str) -> None:
    clean.pulumi("config", "set", "pauses", "true")
    running = clean.start("up", "--yes", "--policy-pack", pack)
    deadline = time.monotonic() + 60
    while not (clean.root / "made").exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline, "the update has not come to its pause"
        time.sleep(0.02)
    killed = [one for one in _descendants(running.pid) if _serves_pack(one)]
    assert killed
    for one in killed:
        os.kill(one, signal.SIGKILL)
    (clean.root / "continue").touch()
    output, _ = running.communicate(timeout=120)
    assert running.returncode != 0, output
    assert _made(clean) == ["first", "second"]


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
