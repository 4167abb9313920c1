"""What goes into the images, and what does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolchain.images import definitions, rootfs

LOCKED = [definitions.REQUIREMENTS_VLLM, definitions.REQUIREMENTS_WEIGHTS]


@pytest.mark.parametrize("requirements", LOCKED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_package_is_pinned_by_hash_and_no_index_is_named(requirements: Path) -> None:
    text = requirements.read_text(encoding="utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert packages
    assert all("==" in package and "--hash=sha256:" in package for package in packages)
    assert "://" not in text
    assert "--index-url" not in text


def test_no_gpu_package_is_locked_but_the_runtime_that_torch_calls_when_it_is_loaded() -> None:
    text = definitions.REQUIREMENTS_VLLM.read_text(encoding="utf-8")
    names = re.findall(r"^((?:nvidia|cuda|triton|torchaudio|torchcodec)[a-z0-9-]*)==", text, re.MULTILINE)
    assert names == ["nvidia-cuda-cupti", "nvidia-cuda-runtime"]


def test_torch_is_the_one_that_vllm_was_built_for() -> None:
    text = definitions.REQUIREMENTS_VLLM.read_text(encoding="utf-8")
    assert re.search(r"^torch==2\.13\.0 ", text, re.MULTILINE)
    assert definitions.vllm_version() == "0.32.0"


@pytest.mark.parametrize(
    "path",
    [
        "usr/bin/apt",
        "usr/bin/ldd",
        "usr/sbin/ldconfig",
        "usr/share/man/man1/x.1.gz",
        "var/lib/dpkg/status",
        "usr/share/doc/x/changelog.gz",
    ],
)
def test_tools_and_manuals_stay_out(path: str) -> None:
    assert not rootfs.keep(path)


@pytest.mark.parametrize(
    "path",
    [
        "usr/bin/python3.11",
        "usr/lib/python3.11/json/__init__.py",
        "usr/share/doc/libc6/copyright",
        "usr/share/zoneinfo/UTC",
        "etc/mime.types",
    ],
)
def test_the_interpreter_and_the_licences_go_in(path: str) -> None:
    assert rootfs.keep(path)
    # A directory that is refused is not entered.
    assert all(rootfs.keep(str(parent)) for parent in Path(path).parents if str(parent) != ".")


def test_the_images_run_offline_and_write_nothing() -> None:
    assert definitions.VLLM_ENVIRONMENT["HF_HUB_OFFLINE"] == "1"
    assert definitions.COMMON_ENVIRONMENT["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "libtcmalloc" in definitions.VLLM_ENVIRONMENT["LD_PRELOAD"]
