"""A cloud is planned without credentials, and never touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import Project

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROGRAM = """
import pulumi

class Vpc(pulumi.CustomResource):
    arn: pulumi.Output[str]

    def __init__(self, name, **inputs):
        opts = pulumi.ResourceOptions(version="7.1.0")
        super().__init__("aws:ec2/vpc:Vpc", name, {"arn": None, **inputs}, opts)

first = Vpc("first", cidrBlock="10.0.0.0/16")
Vpc("second", cidrBlock="10.1.0.0/16", tags={"peer": first.arn})
first.arn.apply(lambda arn: print("ARN IS KNOWN", arn))
"""


@pytest.fixture
def clouds(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    made = project(_PROGRAM)
    directory = made.home / "plugins" / "resource-aws-v7.1.0"
    directory.mkdir(parents=True)
    shutil.copy2(plan_plugin, directory / "pulumi-resource-aws")
    return made


def test_preview_needs_no_credentials_and_invents_no_outputs(clouds: Project) -> None:
    done = clouds.pulumi("preview")
    assert done.returncode == 0, done.stdout
    assert "3 to create" in done.stdout
    assert "ARN IS KNOWN" not in done.stdout
    assert "warning" not in done.stdout


def test_update_is_refused_with_the_way_out(clouds: Project) -> None:
    done = clouds.pulumi("up", "--yes")
    assert done.returncode != 0
    assert "resource-aws-v7.1.0 only plans" in done.stdout
    assert "install the provider's own plugin" in done.stdout
    assert "aws:ec2/vpc:Vpc::first" not in clouds.pulumi("stack", "export").stdout
