"""The real engine on a state that holds protected buckets: nothing in the program's power deletes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conftest import Project
from tests.engine.recorded import install_plan_plugin, record_preview, recorded_resources
from toolchain import paths

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROGRAM = f"""
import sys
sys.path.insert(0, {str(paths.ROOT)!r})

import pulumi
import pulumi_aws as aws

from components.common.accounts import AwsAccount
from components.object_storage.plan import plan_buckets
from components.object_storage.s3 import S3Buckets, S3BucketsArgs
from components.object_storage.settings import Buckets

ADMINISTRATORS = ("arn:aws:iam::111122223333:role/platform-deploy",)
account = AwsAccount("aws", "111122223333", "eu-central-1")
plan, problems = plan_buckets(
    Buckets(), account=account, stack="test", protect=True, key_administrators=ADMINISTRATORS
)
provider = aws.Provider("aws", region=account.region)
opts = pulumi.ResourceOptions(providers=[provider])
S3Buckets("buckets", S3BucketsArgs(plan, account, ADMINISTRATORS), opts)
"""


@pytest.fixture
def deployed(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    made = project(_PROGRAM)
    install_plan_plugin(made, plan_plugin, "aws")
    record_preview(made)
    return made


def resources(project: Project) -> set[str]:
    """URNs of everything of AWS in the state."""
    return {item["urn"] for item in recorded_resources(project) if item["type"].startswith("aws:")}


@pytest.mark.parametrize("force", [(), ("--skip-preview",)], ids=["", "skip-preview"])
def test_f55_destroying_protected_buckets_is_refused_as_a_whole(
    deployed: Project, force: tuple[str, ...]
) -> None:
    before = resources(deployed)
    assert len([urn for urn in before if "aws:s3/bucket:Bucket::" in urn]) == 3
    done = deployed.pulumi("destroy", "--yes", *force)
    assert done.returncode != 0
    assert "cannot be deleted" in done.stdout
    assert resources(deployed) == before


def test_f55_a_program_that_forgot_protected_buckets_is_refused_in_preview(deployed: Project) -> None:
    before = resources(deployed)
    (deployed.root / "__main__.py").write_text("")
    done = deployed.pulumi("preview")
    assert done.returncode != 0
    assert "cannot be deleted" in done.stdout
    assert resources(deployed) == before
