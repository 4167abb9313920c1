"""What tests build of our own Go code: who cannot build skips, code that does not compile fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from toolchain import golang, paths
from toolchain.errors import ToolchainError
from toolchain.process import run_logged

T = TypeVar("T")
_FOREIGN = "pulumi"
"""A binary none of whose packages is ours."""


def built(what: str, build: Callable[[], T]) -> T:
    """The result of `build`.

    It is skipped with its reason only where Go or other people's modules cannot be had; whatever else fails
    is a defect of ours.
    """
    try:
        return build()
    except ToolchainError:
        if reason := _cannot_build():
            pytest.skip(f"{what} cannot be had here: {reason}")
        raise


def _cannot_build() -> str | None:
    """Why this machine compiles nothing."""
    command = ["list", "-deps", "-f", "{{.ImportPath}}", golang.BINARIES[_FOREIGN].package]
    try:
        run_logged(
            [golang.go(), *command], log="go-availability", cwd=paths.GO_MODULE, env=golang.environment()
        )
    except ToolchainError as error:
        return str(error)
    return None
