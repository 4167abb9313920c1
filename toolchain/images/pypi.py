"""Hash-pinned PyPI packages for the images' Python, whatever Python this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolchain import artefacts, python_env
from toolchain.process import run_logged

REQUIREMENTS_UV: Final = Path(__file__).with_name("requirements-uv.txt")

TARGET: Final = (
    # bookworm: Python 3.11, glibc 2.36.
    *("--python-version", "3.11"),
    *("--python-platform", "x86_64-manylinux_2_36"),
    *("--only-binary", ":all:"),
)
COMPILE: Final = (
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--upgrade",
)


def uv() -> Path:
    """The pinned uv: it installs for another Python than the machine's, and an order faster than pip."""
    key = artefacts.digest(REQUIREMENTS_UV, sys.platform)
    return (
        artefacts.ensure("uv", key, lambda target: python_env.pip_install(REQUIREMENTS_UV, target))
        / "bin"
        / "uv"
    )


def environment() -> dict[str, str]:
    """What uv should know of this machine: its certificates and the index that pip is configured with."""
    variables = {"UV_SYSTEM_CERTS": "true", "UV_NO_CONFIG": "true"}
    if "UV_DEFAULT_INDEX" not in os.environ:
        index = os.environ.get("PIP_INDEX_URL") or _pip_index()
        if index:
            variables["UV_DEFAULT_INDEX"] = index
    return variables


def _pip_index() -> str:
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def install(requirements: Path, target: Path, cache: Path, update: Callable[[str], None]) -> None:
    """Install exactly the locked packages into ``target``.

    :param cache: an empty directory beside ``target``, which files are linked from. The user's own cache will
        not do: hashes are checked at download only, and editing a file of any environment linked from a cache
        edits the cache.
    :raises ToolchainError: a hash differs, or the index cannot be reached.
    """
    total = sum(1 for line in requirements.read_text(encoding="utf-8").splitlines() if "==" in line)
    update(f"{total} packages")
    run_logged(
        [
            *(uv(), "pip", "install", "--python", sys.executable, *TARGET),
            *("--no-deps", "--require-hashes", "--target", target, "-r", requirements),
        ],
        log=f"image-{requirements.parent.name}-{requirements.stem}",
        env=environment() | {"UV_CACHE_DIR": str(cache)},
    )
