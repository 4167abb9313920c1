"""References, tags that follow from sources, and what is wrong with bad settings of images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from components.common.accounts import AwsAccount, GcpProject
from components.container_image.plan import (
    FOLDERS,
    Reference,
    build_arguments,
    context_of,
    image_problems,
    parse_reference,
    source_files,
    source_tag,
)
from components.container_image.settings import App, ImageBuild, RegistryRepositories
from stacks.problems import SettingsError
from tests.unit.container_image.dockerfile import context_files
from tests.unit.examples import settings

ROOT = Path(__file__).resolve().parents[3]
DIGEST = f"sha256:{'0' * 64}"
ACCOUNT = AwsAccount("aws", "111122223333", "eu-central-1")
PROJECT = GcpProject("example-project", "444455556666", "europe-west4")
ECR = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/autoglm"
BUILD = ImageBuild.model_validate({"base": f"python:3.11-slim-bookworm@{DIGEST}"})
ARGUMENTS = {"BASE": BUILD.base}
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


def tag(root: Path, app: App = "weights", **arguments: str) -> str:
    return source_tag(root, app, "linux/amd64", ARGUMENTS | arguments)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the apps' contexts that a test may change."""
    for app in get_args(App):
        shutil.copytree(
            ROOT / context_of(app),
            tmp_path / context_of(app),
            ignore=shutil.ignore_patterns("__pycache__", "tests"),
        )
    return tmp_path


@pytest.mark.parametrize("app", get_args(App))
def test_the_tag_is_the_same_for_the_same_sources_wherever_they_lie(sources: Path, app: App) -> None:
    assert tag(sources, app) == tag(ROOT, app)


@pytest.mark.parametrize(
    ("app", "file"),
    [
        ("weights", "Dockerfile"),
        ("weights", "requirements.txt"),
        ("weights", "weights/cli.py"),
        ("trend-report", "trend_report/page.css"),
        ("etcd-tools", "etcd_tools/cli.py"),
        ("virtual-ip", "packages.sha256"),
        ("virtual-ip", "assemble.sh"),
        ("virtual-ip", "etc/protocols"),
    ],
)
def test_the_tag_follows_from_every_source(sources: Path, app: App, file: str) -> None:
    before = tag(sources, app)
    with (sources / context_of(app) / file).open("a") as source:
        source.write("\n# changed\n")
    assert tag(sources, app) != before


def test_the_tag_follows_from_what_is_built_on_and_the_platform() -> None:
    before = tag(ROOT)
    assert tag(ROOT, BASE=f"python:3.11-slim@sha256:{'1' * 64}") != before
    assert tag(ROOT, ETCD=f"etcd@{DIGEST}") != before
    assert source_tag(ROOT, "weights", "linux/arm64", ARGUMENTS) != before


def test_only_etcds_tools_are_built_with_another_image() -> None:
    references = {"etcd": f"registry.example/etcd@{DIGEST}"}
    for app in get_args(App):
        added = {"ETCD": references["etcd"]} if app == "etcd-tools" else {}
        assert build_arguments(app, BUILD, references) == ARGUMENTS | added


@pytest.mark.parametrize("app", get_args(App))
def test_the_context_is_exactly_what_the_tag_covers(app: App) -> None:
    """What `.dockerignore` lets through, and no caches, tests or secrets of the machine."""
    assert {*source_files(ROOT, app)} == context_files(ROOT / context_of(app)) | {Path("Dockerfile")}
    names = {path.parts[0] for path in source_files(ROOT, app)} - {"Dockerfile"}
    modules = {path.parent.name for path in (ROOT / context_of(app)).glob("*/__main__.py")}
    assert modules <= names
    assert names - modules <= {"requirements.txt", "packages.sha256", "assemble.sh", "etc"}


def test_an_image_is_made_of_its_apps_folder() -> None:
    assert context_of("alert-relay") == "apps/alert_relay"
    assert context_of("etcd-tools") == "apps/etcd"
    assert set(FOLDERS) == set(get_args(App))


def problems(
    references: dict[str, str], account: Any = ACCOUNT, build: ImageBuild = BUILD, **changes: Any
) -> list[tuple[str, str]]:
    repositories = RegistryRepositories.model_validate(changes) if changes else REPOSITORIES
    found = image_problems(references, build, repositories, account)
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


def building(*apps: str, platform: str = "linux/amd64") -> ImageBuild:
    return ImageBuild.model_validate({"base": BUILD.base, "apps": apps, "platform": platform})


def test_all_apps_can_be_built_at_once() -> None:
    references = {name: f"registry.example/{name}@{DIGEST}" for name in (*get_args(App), "etcd")}
    assert problems(references, None, building(*get_args(App))) == []


def test_etcds_tools_need_to_know_which_etcd() -> None:
    references = {"etcd-tools": f"registry.example/etcd-tools@{DIGEST}"}
    ((path, message),) = problems(references, None, building("etcd-tools"))
    assert path == "build.apps[0]"
    assert message.endswith("add references.etcd")


def test_the_virtual_ip_is_not_built_for_another_platform_than_its_packages() -> None:
    references = {"virtual-ip": f"registry.example/virtual-ip@{DIGEST}"}
    ((path, message),) = problems(references, None, building("virtual-ip", platform="linux/arm64"))
    assert path == "build.apps[0]"
    assert "locked for linux/amd64, and build.platform is linux/arm64" in message


def test_an_app_listed_twice_is_refused() -> None:
    references = {"audit": f"registry.example/audit@{DIGEST}"}
    found = problems(references, None, building("audit", "audit"))
    assert found == [("build.apps[1]", "'audit': listed twice; remove one")]


@pytest.mark.parametrize(
    ("app", "fix"),
    [
        ("alert_relay", "did you mean alert-relay?"),
        ("vllm", "use one of weights, audit, alert-relay, trend-report, log-setup, etcd-tools, virtual-ip"),
    ],
)
def test_a_stack_is_told_which_apps_there_are(app: str, fix: str) -> None:
    images = {"kind": "registry", "references": {}, "build": {"base": BUILD.base, "apps": [app]}}
    with pytest.raises(SettingsError) as refused:
        settings({"images": images})
    assert f"images.build.apps[0]: '{app}': not a choice; {fix}" in str(refused.value)


@pytest.mark.parametrize("app", ["alert_relay", "etcd", "probe", "vllm"])
def test_an_unknown_app_is_refused_with_those_that_there_are(app: str) -> None:
    with pytest.raises(ValidationError) as refused:
        building(app)
    assert all(f"'{known}'" in str(refused.value) for known in get_args(App))


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
