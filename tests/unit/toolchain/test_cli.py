"""The command line explains itself and fails without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from toolchain import cli, paths, python_env
from toolchain.errors import ToolchainError


def test_every_make_target_has_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for command in ("up", "down", "preview", "engine", "cluster", "images", "model", "env", "lock", "clean"):
        assert f"    {command} " in text


def test_user_errors_have_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ToolchainError("port 6443 is taken; stop what uses it")

    monkeypatch.setattr(python_env, "require_python", fail)
    assert cli.main(["env"]) == 1
    assert capsys.readouterr().err == "error: port 6443 is taken; stop what uses it\n"


def test_two_commands_do_not_work_at_once() -> None:
    with (
        cli._exclusive("up"),
        pytest.raises(
            ToolchainError, match=rf"another command is at work here \(up, process {os.getpid()}\)"
        ),
        cli._exclusive("down"),
    ):
        pass


def test_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_env, "MINIMUM_PYTHON", (99, 0))
    with pytest.raises(ToolchainError, match=r"too old: the toolchain needs >= 99\.0"):
        python_env.require_python()


def test_runs_before_any_package_is_installed() -> None:
    # -I and -S: no site-packages, no environment, only the standard library and the checkout.
    modules = "toolchain.cli, toolchain.cluster, toolchain.images, toolchain.model"
    code = f"import sys; sys.path.insert(0, {str(paths.ROOT)!r}); import {modules}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
