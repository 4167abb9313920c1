"""What must hold for the Dockerfiles of our apps. Docker itself is needed only to build them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from components.common.pods import NON_ROOT_ID
from components.container_image.plan import FOLDERS
from components.container_image.settings import App
from tests.unit.container_image.dockerfile import Instruction, instructions, stages
from toolchain.images import apt_list

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "apps").glob("*/Dockerfile"))
WITH_REQUIREMENTS = {"audit", "weights"}
STANDARD_LIBRARY = {"alert_relay", "log_setup", "trend_report"}
DEBIAN = "virtual_ip"


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.parent.name)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def dockerfile(path: Path) -> list[Instruction]:
    return instructions(path)


def read(app: str) -> str:
    return (ROOT / "apps" / app / "Dockerfile").read_text()


def test_every_app_has_one_and_can_be_named_in_the_settings() -> None:
    folders = {path.parent.name for path in (ROOT / "apps").glob("*/tests")} | {DEBIAN}
    assert {path.parent.name for path in DOCKERFILES} == folders == set(FOLDERS.values())
    assert set(FOLDERS) == set(get_args(App))


def test_images_come_by_digest_from_build_arguments(dockerfile: list[Instruction]) -> None:
    assert dockerfile[0] == ("ARG", "BASE")
    arguments = {rest for word, rest in dockerfile if word == "ARG"}
    for (_, rest), *_ in stages(dockerfile):
        base = rest.split()[0]
        assert base == "scratch" or base.strip("${}") in arguments
    # None has a default, which would be an image that nobody pinned.
    assert not [argument for argument in arguments if "=" in argument]


def test_none_names_a_host(path: Path) -> None:
    text = "".join(file.read_text() for file in path.parent.glob("*") if file.is_file())
    assert not re.search(r"https?://|\b[a-z0-9-]+\.(io|com|org|net|dev)\b", text)


def test_it_runs_as_the_user_that_the_pods_have(dockerfile: list[Instruction]) -> None:
    assert ("USER", f"{NON_ROOT_ID}:{NON_ROOT_ID}") in stages(dockerfile)[-1]


def test_packages_are_wheels_pinned_by_hash(path: Path, dockerfile: list[Instruction]) -> None:
    installs = [rest for word, rest in dockerfile if word == "RUN" and re.search(r"\bpip\b", rest)]
    assert bool(installs) == (path.parent.name in WITH_REQUIREMENTS)
    assert (path.parent / "requirements.txt").exists() == bool(installs)
    for line in installs:
        assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(line.split())


def test_nothing_is_downloaded_or_compiled_besides(path: Path, dockerfile: list[Instruction]) -> None:
    assert not [word for word, _ in dockerfile if word == "ADD"]
    runs = [rest for word, rest in dockerfile if word == "RUN"]
    if path.parent.name == DEBIAN:
        (download,) = [run for run in runs if "apt-get" in run]
        runs.remove(download)
        update, fetch, check = download.split(" && ")
        assert update == "apt-get -q update"
        assert fetch.startswith("apt-get -q download $(sed ")
        assert check == "sha256sum --check --strict --quiet /build/packages.sha256"
    assert not re.search(r"\b(curl|wget|apt|apt-get|apk|gcc|make|git)\b", " ".join(runs))


def test_the_final_stage_only_copies(dockerfile: list[Instruction]) -> None:
    assert {word for word, _ in stages(dockerfile)[-1]} <= {
        "FROM",
        "COPY",
        "ENV",
        "USER",
        "ENTRYPOINT",
        "CMD",
    }


def test_apps_on_the_standard_library_have_the_same() -> None:
    texts = {read(app).replace(app, "APP").replace(app.replace("_", "-"), "APP") for app in STANDARD_LIBRARY}
    assert len(texts) == 1
    # etcd's tools differ by the programs that they call.
    common = instructions(ROOT / "apps/log_setup/Dockerfile")
    renamed = [(word, rest.replace("log_setup", "etcd_tools")) for word, rest in common]
    etcd = instructions(ROOT / "apps/etcd/Dockerfile")
    assert [item for item in etcd if item in renamed] == renamed
    assert [item for item in etcd if item not in renamed] == [
        ("ARG", "ETCD"),
        ("FROM", "${ETCD} AS etcd"),
        ("COPY", "--from=etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl /usr/local/bin/"),
    ]


def test_debian_packages_are_those_of_the_lock_file() -> None:
    assert apt_list.LIST.read_text() == apt_list.render(), (
        "write it anew: python3 -m toolchain.images.apt_list"
    )
