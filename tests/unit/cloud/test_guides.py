"""The guides' commands and settings are ones that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import botocore.loaders
import pytest
from botocore import xform_name

from toolchain import paths

GUIDES = {
    stack: paths.ROOT / "docs" / "guides" / f"{name}.md"
    for stack, name in (("prod", "eks"), ("staging", "gke"))
}

# Commands of the AWS CLI that are more than one call of an API, and its options for every command.
CUSTOM = {("s3", "sync"), ("eks", "update-kubeconfig"), ("ecr", "get-login-password")}
GLOBAL = {"query", "output", "region"}
CLI_NAMES = {"s3api": "s3"}


def shell(stack: str) -> Iterator[str]:
    """Commands of the guide's shell blocks, one a line."""
    for block in re.findall(r"```sh\n(.*?)```", GUIDES[stack].read_text(encoding="utf-8"), re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def aws_commands(stack: str) -> Iterator[list[str]]:
    text = [*shell(stack), *re.findall(r"`(aws [^`]+)`", GUIDES[stack].read_text(encoding="utf-8"))]
    for line in text:
        for command in re.findall(r"(?:^|\$\(|\| )(aws [a-z].*?)(?=\)$| \| |$)", line.strip()):
            yield shlex.split(command.split("  #")[0])


def test_aws_commands_are_calls_of_its_apis() -> None:
    loader = botocore.loaders.Loader()
    seen = 0
    for _, name, command, *arguments in aws_commands("prod"):
        if (name, command) in CUSTOM:
            continue
        seen += 1
        model = loader.load_service_model(CLI_NAMES.get(name, name), "service-2")
        operations = {xform_name(operation, "-"): operation for operation in model["operations"]}
        assert command in operations, f"aws {name} {command}"
        members = model["shapes"][model["operations"][operations[command]]["input"]["shape"]]["members"]
        options = {xform_name(member, "-") for member in members} | GLOBAL
        given = {argument.removeprefix("--") for argument in arguments if argument.startswith("--")}
        assert given <= options, f"aws {name} {command}: {given - options}"
    assert seen > 10


@pytest.mark.parametrize("stack", GUIDES)
def test_targets_of_the_first_update_are_components(stack: str) -> None:
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (paths.ROOT / "components").rglob("*.py")
    )
    tokens = [token for line in shell(stack) for token in re.findall(r"--target '\*\*(\S+?)\*\*'", line)]
    assert len(tokens) >= 3
    for token in tokens:
        assert f'"{token}"' in sources


@pytest.mark.parametrize("stack", GUIDES)
def test_links_lead_somewhere(stack: str) -> None:
    guide = GUIDES[stack]
    for link in re.findall(r"\]\(([^)#]+)", guide.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (guide.parent / link).resolve().exists(), link
