"""Programs of Prometheus and Alertmanager: those on PATH, else those of the toolchain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain import artefacts, debian, golang
from toolchain.errors import ToolchainError

PACKAGE_SET = "monitoring"
ALERTMANAGER = "0.31"
"""The first release whose WeCom receiver reads its secret from a file."""


def promtool() -> Path:
    """promtool of Debian's Prometheus; skips where it cannot be had."""
    if found := shutil.which("promtool"):
        return Path(found)
    try:
        key = debian.key(*debian.package_set(PACKAGE_SET))
        root = artefacts.ensure("monitoring-tools", key, _unpack)
    except (ToolchainError, OSError) as error:
        pytest.skip(f"promtool cannot be had: {error}")
    return root / "usr" / "bin" / "promtool"


def _unpack(target: Path) -> None:
    # Linked against the C library alone, which every machine that runs the tests has.
    debian.extract([debian.fetch("prometheus")["prometheus"]], target)


def alertmanager_program(name: str) -> Path:
    """`alertmanager` or `amtool`; skips where it cannot be had."""
    if found := shutil.which(name):
        return Path(found)
    if name not in golang.BINARIES:
        pytest.skip(
            f"{name} {ALERTMANAGER} cannot be had: the toolchain does not build it, and PATH has none"
        )
    try:
        return golang.ensure_binaries(name)[name]
    except (ToolchainError, OSError) as error:
        pytest.skip(f"{name} cannot be had: {error}")
