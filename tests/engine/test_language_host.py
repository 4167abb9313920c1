"""Programs and policy packs in Python run as with the official host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import RUNTIME, Project

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROGRAM = """
import pulumi

class Part(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("trial:index:Part", name)
        self.register_outputs({})

config = pulumi.Config()
Part(config.get("part") or "good")
pulumi.export("secret", config.get_secret("password"))
print("printed by the program")
"""

_PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def names(args, report):
    if args.name == "bad":
        report("the name is bad")

policy = ResourceValidationPolicy("names", "Parts have good names", names)
PolicyPack("trial-pack", [policy], enforcement_level=EnforcementLevel.MANDATORY)
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    directory = tmp_path / "pack"
    directory.mkdir()
    (directory / "PulumiPolicy.yaml").write_text(f"description: trial\n{RUNTIME}")
    (directory / "__main__.py").write_text(_PACK)
    return directory


def test_program_gets_its_settings_and_keeps_secrets(project: Callable[[str], Project]) -> None:
    trial = project(_PROGRAM)
    assert trial.pulumi("config", "set", "--secret", "password", "hunter2").returncode == 0
    up = trial.pulumi("up", "--yes")
    assert up.returncode == 0, up.stdout
    assert "printed by the program" in up.stdout
    assert "hunter2" not in up.stdout + trial.pulumi("stack", "export").stdout
    again = trial.pulumi("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout


def test_policy_pack_refuses_before_anything_changes(project: Callable[[str], Project], pack: Path) -> None:
    trial = project(_PROGRAM)
    good = trial.pulumi("up", "--yes", "--policy-pack", str(pack))
    assert good.returncode == 0, good.stdout
    trial.pulumi("config", "set", "part", "bad")
    bad = trial.pulumi("up", "--yes", "--policy-pack", str(pack))
    assert bad.returncode != 0
    assert "the name is bad" in bad.stdout
    assert "::trial:index:Part::good" in trial.pulumi("stack", "export").stdout


def test_broken_policy_pack_fails_closed(project: Callable[[str], Project], pack: Path) -> None:
    (pack / "__main__.py").write_text("raise ValueError('broken pack')\n")
    done = project(_PROGRAM).pulumi("up", "--yes", "--policy-pack", str(pack))
    assert done.returncode != 0
    assert "created" not in done.stdout


def test_exception_shows_the_users_own_frames(project: Callable[[str], Project]) -> None:
    done = project("def inner():\n    raise ValueError('boom')\n\ninner()\n").pulumi("preview")
    assert done.returncode != 0
    assert "ValueError: boom" in done.stdout
    assert "runpy" not in done.stdout
