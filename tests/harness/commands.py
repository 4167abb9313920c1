"""Running programs: everything they say is kept, and shown when an expectation fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain import paths

_SHOWN_LINES = 60


@dataclass(frozen=True)
class Result:
    """A program that has ended."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Everything it said."""
        return self.stdout + self.stderr

    def succeeded(self) -> Result:
        """Itself; AssertionError with the end of its output if it failed."""
        assert self.status == 0, f"{self}"
        return self

    def failed(self) -> Result:
        """Itself; AssertionError if it succeeded."""
        assert self.status != 0, f"{self}"
        return self

    def __str__(self) -> str:
        tail = "\n".join(self.output.splitlines()[-_SHOWN_LINES:])
        return f"{' '.join(self.argv)} ended with status {self.status} after {self.seconds:.0f} s:\n{tail}"


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = paths.ROOT,
    timeout: float = 600,
    stdin: str | None = None,
    echo: bool = False,
) -> Result:
    """Run a program to its end; after `timeout` seconds it is killed and the test fails.

    With `echo` its output appears on the terminal as it comes, standard error included in standard output.
    """
    command = tuple(str(part) for part in argv)
    started = time.monotonic()
    if echo:
        stdout, status = _echoed(command, env, cwd, timeout)
        return Result(command, status, stdout, "", time.monotonic() - started)
    done = subprocess.run(
        command,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return Result(command, done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def _echoed(
    command: Sequence[str], env: Mapping[str, str] | None, cwd: Path, timeout: float
) -> tuple[str, int]:
    child = subprocess.Popen(
        command,
        env=dict(env or os.environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert child.stdout is not None
    lines: list[str] = []
    # Reading blocks while the program says nothing, so the clock runs beside it.
    overdue = threading.Timer(timeout, child.kill)
    overdue.start()
    try:
        for line in child.stdout:
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
        return "".join(lines), child.wait()
    finally:
        overdue.cancel()


def make(target: str, *, timeout: float = 3600, echo: bool = False) -> Result:
    """`make TARGET` in the checkout, as a user types it."""
    return run(["make", "--no-print-directory", target], timeout=timeout, echo=echo)
