"""The real engine on a state that holds protected buckets: nothing in the program's power deletes them."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import Project
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

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that it does not know yet (plugin.UnknownStringValue)."""


@pytest.fixture
def deployed(project: Callable[[str], Project], plan_plugin: Path) -> Project:
    """A stack whose state is what its own preview says that an update would leave."""
    made = project(_PROGRAM)
    version = importlib.metadata.version("pulumi-aws")
    directory = made.home / "plugins" / f"resource-aws-v{version}"
    directory.mkdir(parents=True)
    shutil.copy2(plan_plugin, directory / "pulumi-resource-aws")
    preview = made.pulumi("preview", "--json", "--show-secrets")
    assert preview.returncode == 0, preview.stdout
    steps = json.loads(preview.stdout[preview.stdout.index("{") :])["steps"]
    exported = json.loads(made.pulumi("stack", "export").stdout)
    exported["deployment"]["resources"] = [_state(step["newState"]) for step in steps]
    (made.root / "state.json").write_text(json.dumps(exported))
    imported = made.pulumi("stack", "import", "--file", "state.json")
    assert imported.returncode == 0, imported.stdout
    return made


def _state(resource: dict[str, Any]) -> dict[str, Any]:
    inputs = _known(resource.get("inputs", {}))
    state = resource | {"inputs": inputs, "outputs": inputs}
    if resource["custom"]:
        state["id"] = resource["urn"].rpartition("::")[2]
    known: dict[str, Any] = _known(state, ids=True)
    return known


def _known(value: Any, *, ids: bool = False) -> Any:
    """Without what is unknown; in references to providers, an id instead of it."""
    if isinstance(value, dict):
        return {
            key: _known(inner, ids=ids)
            for key, inner in value.items()
            if ids or not (isinstance(inner, str) and inner == _UNKNOWN)
        }
    if isinstance(value, list):
        return [_known(inner, ids=ids) for inner in value]
    return value.replace(_UNKNOWN, "aws") if isinstance(value, str) and ids else value


def resources(project: Project) -> set[str]:
    """URNs of everything of AWS in the state."""
    deployment = json.loads(project.pulumi("stack", "export").stdout)["deployment"]
    return {item["urn"] for item in deployment["resources"] if item["type"].startswith("aws:")}


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
