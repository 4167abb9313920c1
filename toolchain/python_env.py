"""Python packages, always by hash: the project's virtual environment and tools that come as wheels.

``uv`` is used when it is on PATH, else pip; a Python without pip (Debian's bare ``python3``) runs the pip
wheel of the pinned Debian package ``python3-pip-whl``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolchain import artefacts, paths
from toolchain.errors import ToolchainError
from toolchain.process import run_logged
from toolchain.progress import step

REQUIREMENTS: Final = paths.ROOT / "requirements.txt"
REQUIREMENTS_DEV: Final = paths.ROOT / "requirements-dev.txt"
MINIMUM_PYTHON: Final = (3, 11)

BYTE_CODE: Final = {"PYTHONDONTWRITEBYTECODE": ""}
"""Variables under which Python keeps its byte code, whatever the environment says about that.

Without any, each run of the program compiles the clouds' packages again before it imports them.
"""

_STAMP: Final = ".requirements"


def require_python() -> None:
    """:raises ToolchainError: this Python is too old."""
    if sys.version_info < MINIMUM_PYTHON:
        raise ToolchainError(
            f"python {sys.version.split()[0]} is too old: the toolchain needs "
            f">= {'.'.join(map(str, MINIMUM_PYTHON))}; install it and run `make PYTHON=python3.11 up`"
        )


def python() -> Path:
    """The interpreter of the virtual environment."""
    return paths.VENV / "bin" / "python"


def _pip() -> tuple[list[str], dict[str, str]]:
    """A pip command for this interpreter and the variables that it needs."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"], {}
    from toolchain import debian

    def build(directory: Path) -> None:
        debian.extract(debian.fetch(*debian.package_set("pip")).values(), directory)

    home = artefacts.ensure("pip", artefacts.digest(debian.LOCK_FILE), build)
    wheel = next(home.glob("usr/share/python-wheels/pip-*.whl"), None)
    if wheel is None:
        raise ToolchainError(
            f"{debian.LOCK_FILE}: set 'pip' holds no pip wheel; install pip for {sys.executable}"
        )
    return [sys.executable, str(wheel / "pip")], {}


def pip_install(requirements: Path, target: Path) -> None:
    """Install hash-pinned requirements into a plain directory."""
    uv = shutil.which("uv")
    argv: list[str] = []
    env: dict[str, str] = {}
    if uv is not None:
        argv = [uv, "pip", "install", "--python", sys.executable]
    else:
        pip, env = _pip()
        argv = [*pip, "install", "--no-deps", "--disable-pip-version-check", "--no-warn-script-location"]
    run_logged(
        [*argv, "--require-hashes", "--target", str(target), "-r", str(requirements)],
        log=f"pip-{requirements.stem}",
        env=env,
    )


def ensure_venv(*, dev: bool = False) -> Path:
    """The interpreter of ``.toolchain/venv`` with the locked requirements in it.

    ``dev`` adds what tests and linters need; an environment that has them serves other runs, too.
    """
    require_python()
    wanted = REQUIREMENTS_DEV if dev else REQUIREMENTS
    keys = [_key(REQUIREMENTS_DEV)] if dev else [_key(REQUIREMENTS), _key(REQUIREMENTS_DEV)]
    if _stamp() in keys:
        return python()
    with artefacts.lock("venv"):
        if _stamp() in keys:
            return python()
        with step(f"Python packages of {wanted.name}") as running:
            _install(wanted, running.update)
        (paths.VENV / _STAMP).write_text(_key(wanted), encoding="utf-8")
    return python()


def _key(requirements: Path) -> str:
    return artefacts.digest(
        requirements, ".".join(map(str, sys.version_info[:2])), os.path.realpath(sys.base_prefix)
    )


def _stamp() -> str:
    try:
        return (paths.VENV / _STAMP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _usable() -> bool:
    """Whether the environment's interpreter still runs and is of this version."""
    try:
        seen = subprocess.run(
            [python(), "-c", f"import sys; print(sys.version_info[:2] == {sys.version_info[:2]!r})"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError:
        return False
    return seen.strip() == "True"


def _install(requirements: Path, update: Callable[[str], None]) -> None:
    uv = shutil.which("uv")
    if not _usable():
        shutil.rmtree(paths.VENV, ignore_errors=True)
        paths.VENV.parent.mkdir(parents=True, exist_ok=True)
        run_logged([sys.executable, "-m", "venv", "--without-pip", paths.VENV], log="venv")
    names = sum(1 for line in requirements.read_text(encoding="utf-8").splitlines() if "==" in line)
    seen = 0

    def on_line(line: str) -> None:
        nonlocal seen
        if line.startswith("Collecting "):
            seen += 1
            update(f"{seen}/{names}")

    if uv is not None:
        argv = [uv, "pip", "install", "--python", str(python()), "--require-hashes", "-r", str(requirements)]
        run_logged(argv, log="venv-packages")
        return
    pip, env = _pip()
    common = [
        "install",
        "--require-hashes",
        "--no-deps",
        "--disable-pip-version-check",
        "-r",
        str(requirements),
    ]
    run_logged([*pip, "--python", str(python()), *common], log="venv-packages", env=env, on_line=on_line)
