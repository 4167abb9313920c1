"""Stacks are planned on a machine that has no account, no kubeconfig and no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stacks.summary import events
from tests.harness.built import built
from toolchain import paths, pulumi_home
from toolchain import stack as toolchain_stack
from toolchain.event_log import EventLog

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CLOUDS = ("prod", "staging")
STACKS = (*CLOUDS, "onprem")


GUIDES = {"prod": "eks.md", "staging": "gke.md"}


@pytest.fixture(scope="module")
def _engine() -> None:
    built("the engine", pulumi_home.ensure)


def _without_network(command: list[str]) -> list[str]:
    """The command in a network namespace with nothing but loopback; as it is where that cannot be had."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return command
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    tried = subprocess.run([*inside, "true"], capture_output=True, check=False)
    return [*inside, *command] if tried.returncode == 0 else command


@pytest.fixture(scope="module", params=STACKS)
def planned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _engine: None
) -> tuple[str, dict[str, Any], str]:
    """Stack, summary and output of its preview, seen from an empty home."""
    folder = tmp_path_factory.mktemp(request.param)
    summary: Path = folder / "summary.json"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    # Where a machine keeps what has been downloaded and built before.
    environment |= {
        key: os.environ[key] for key in ("GOMODCACHE", "GOCACHE", "UV_CACHE_DIR") if key in os.environ
    }
    done = subprocess.run(
        _without_network(
            [
                sys.executable,
                "-m",
                "toolchain",
                "preview",
                "--stack",
                request.param,
                "--summary",
                str(summary),
            ]
        ),
        cwd=paths.ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return request.param, json.loads(summary.read_text(encoding="utf-8")), done.stdout


def test_the_whole_stack_is_planned(planned: tuple[str, dict[str, Any], str]) -> None:
    _, summary, output = planned
    assert summary["complete"]
    assert summary["errors"] == []
    operations = {name for kind in summary["changes"]["kinds"] for name in kind["counts"]}
    assert operations == {"create"}
    assert sum(kind["counts"]["create"] for kind in summary["changes"]["kinds"]) > 40
    assert "warning" not in output


def test_the_policy_pack_has_judged_everything(planned: tuple[str, dict[str, Any], str]) -> None:
    _, summary, output = planned
    verdict = summary["verdict"]
    assert list(verdict["packs"]) == ["autoglm-platform"]
    assert len(verdict["rules"]) > 50
    assert verdict["violations"] == []
    # Among advisories would be every rule that could not run on values unknown in a preview.
    assert verdict["advisories"] == []
    assert "can't run policy" not in output


def test_nothing_is_public(planned: tuple[str, dict[str, Any], str]) -> None:
    _, summary, _ = planned
    assert {way["reach"] for way in summary["exposures"]} == {"internal"}
    expected = ("virtual IP",) if planned[0] == "onprem" else ("load balancer", "API of")
    for way in expected:
        assert any(way in exposed["what"] for exposed in summary["exposures"])


def test_the_summary_tells_accelerators_cost_and_images(planned: tuple[str, dict[str, Any], str]) -> None:
    stack, summary, output = planned
    assert all(pool["least"] <= pool["most"] for pool in summary["accelerators"])
    assert {pool["unit"] for pool in summary["accelerators"]} >= {"nvidia.com/gpu"}
    if stack == "onprem":
        assert summary["cost"] is None
    else:
        assert float(summary["cost"]["high"]) > float(summary["cost"]["low"]) > 0
        assert "estimate" in summary["cost"]["title"]
    assert all(image["pinned"] for image in summary["images"])
    assert output.rstrip().endswith("The preview is complete and no policy refuses it.")
    assert f"Summary of stack {stack}" in output


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("stack", CLOUDS)
def test_the_guides_first_update_makes_everything_below_the_kubernetes_api(stack: str) -> None:
    guide = (paths.ROOT / "docs" / "guides" / GUIDES[stack]).read_text(encoding="utf-8")
    targets = [f"--target={pattern}" for pattern in re.findall(r"--target '(\S+)'", guide)]
    planned = toolchain_stack.Stack(stack)
    planned.ensure()
    environment = {**os.environ, **toolchain_stack.environment(), "PULUMI_DEBUG_COMMANDS": "true"}
    environment["PULUMI_HOME"] = str(pulumi_home.ensure_plan_home())
    del environment["PULUMI_OPTION_POLICY_PACK"]
    command = [paths.BIN / "pulumi", "preview", "--stack", stack, "--config-file", planned.copy, *targets]
    command += ["--non-interactive", "--color=never", "--suppress-progress"]
    with EventLog() as log:
        done = subprocess.run(
            [*command, "--event-log", log.path],
            cwd=paths.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    made = [one.type for one in events.read(log.lines).resources if one.operation == "create"]
    packages = {token.split(":")[0] for token in made} - {"pulumi", "autoglm"}
    assert packages == {{"prod": "aws", "staging": "gcp"}[stack]}
    assert len(made) > 50
