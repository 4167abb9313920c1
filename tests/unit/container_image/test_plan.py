"""References, tags that follow from sources, and what is wrong with bad settings of images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.common.accounts import AwsAccount, GcpProject
from components.container_image.plan import (
    Reference,
    context_of,
    image_problems,
    parse_reference,
    source_files,
    source_tag,
)
from components.container_image.settings import ImageBuild, RegistryRepositories

ROOT = Path(__file__).resolve().parents[3]
DIGEST = f"sha256:{'0' * 64}"
ACCOUNT = AwsAccount("aws", "111122223333", "eu-central-1")
PROJECT = GcpProject("example-project", "444455556666", "europe-west4")
ECR = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/autoglm"
BUILD = ImageBuild.model_validate({"base": f"python:3.11-slim-bookworm@{DIGEST}"})
REPOSITORIES = RegistryRepositories()


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        (f"registry.example/autoglm/weights@{DIGEST}", "registry.example/autoglm/weights"),
        (f"registry.example:5000/weights:0.1.0@{DIGEST}", "registry.example:5000/weights"),
        (f"weights@{DIGEST}", "weights"),
    ],
)
def test_a_reference_has_a_repository_and_a_digest(text: str, repository: str) -> None:
    assert parse_reference(text) == Reference(repository, DIGEST)


def test_a_reference_without_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="has no digest"):
        parse_reference("registry.example/weights:latest")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the app's context that a test may change."""
    shutil.copytree(
        ROOT / context_of("weights"),
        tmp_path / context_of("weights"),
        ignore=shutil.ignore_patterns("__pycache__", "tests"),
    )
    return tmp_path


def test_the_tag_is_the_same_for_the_same_sources_wherever_they_lie(sources: Path) -> None:
    assert source_tag(sources, "weights", BUILD) == source_tag(ROOT, "weights", BUILD)


@pytest.mark.parametrize("file", ["Dockerfile", "requirements.txt", "weights/cli.py"])
def test_the_tag_follows_from_every_source(sources: Path, file: str) -> None:
    before = source_tag(sources, "weights", BUILD)
    with (sources / context_of("weights") / file).open("a") as source:
        source.write("\n# changed\n")
    assert source_tag(sources, "weights", BUILD) != before


@pytest.mark.parametrize(
    "change", [{"base": f"python:3.11-slim@sha256:{'1' * 64}"}, {"platform": "linux/arm64"}]
)
def test_the_tag_follows_from_base_and_platform(change: dict[str, str]) -> None:
    other = ImageBuild.model_validate({"base": BUILD.base, **change})
    assert source_tag(ROOT, "weights", other) != source_tag(ROOT, "weights", BUILD)


def test_the_context_is_exactly_what_the_tag_covers() -> None:
    """What `.dockerignore` lets through, and no caches, tests or secrets of the machine."""
    folder = ROOT / context_of("weights")
    assert (folder / ".dockerignore").read_text().split() == [
        "*",
        "!requirements.txt",
        "!weights",
        "**/__pycache__",
    ]
    passed = {
        path.relative_to(folder)
        for path in (folder / "weights").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(source_files(ROOT, "weights")) == passed | {Path("Dockerfile"), Path("requirements.txt")}


def problems(references: dict[str, str], account: Any = ACCOUNT, **changes: Any) -> list[tuple[str, str]]:
    repositories = RegistryRepositories.model_validate(changes) if changes else REPOSITORIES
    found = image_problems(references, BUILD, repositories, account)
    return [(problem.path, problem.message) for problem in found]


@pytest.mark.parametrize(
    ("account", "host"),
    [(ACCOUNT, ECR), (PROJECT, "europe-west4-docker.pkg.dev/example-project/autoglm")],
)
def test_references_to_the_stacks_own_repositories_are_fine(account: Any, host: str) -> None:
    references = {"weights": f"{host}/weights:0.1.0@{DIGEST}", "other": f"registry.example/x@{DIGEST}"}
    assert problems(references, account) == []


def test_a_build_needs_to_know_where_to_push() -> None:
    ((path, message),) = problems({})
    assert path == "build.apps[0]"
    assert message.endswith("add references.weights")


def test_a_reference_to_another_repository_than_the_stacks_is_refused() -> None:
    elsewhere = "999999999999.dkr.ecr.eu-central-1.amazonaws.com/autoglm/weights"
    ((path, message),) = problems({"weights": f"{elsewhere}@{DIGEST}"})
    assert path == "references.weights"
    assert message.startswith(f"'{elsewhere}': not the repository")
    assert f"write {ECR}/weights@sha256:…" in message


def test_a_repository_listed_twice_is_refused() -> None:
    found = problems({"weights": f"{ECR}/weights@{DIGEST}"}, names=["weights", "vllm", "weights"])
    assert [path for path, _ in found] == ["repositories.names[2]"]


@pytest.mark.parametrize(
    "build",
    [
        {"base": "python:3.11-slim-bookworm"},
        {"base": f"python:3.11@{DIGEST}", "apps": ["vllm"]},
        {"base": f"python:3.11@{DIGEST}", "apps": []},
        {"base": f"python:3.11@{DIGEST}", "registryPassword": "x"},
    ],
)
def test_a_build_from_anything_unpinned_or_with_a_password_is_refused(build: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ImageBuild.model_validate(build)
