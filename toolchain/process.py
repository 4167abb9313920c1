"""Running other programs: output to a log file, the log's end in the error."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from toolchain import paths
from toolchain.errors import ToolchainError

TAIL_LINES: Final = 25
"""Lines of a failed command's log that its error repeats."""

_guard = threading.Lock()
_running: set[subprocess.Popen[str]] = set()
_refusing = False


def accept() -> None:
    """Let commands start (again) after :func:`terminate_all`."""
    global _refusing
    with _guard:
        _refusing = False


def terminate_all() -> None:
    """End every running command and start no other: one step failed, so the rest is in vain."""
    global _refusing
    with _guard:
        _refusing = True
        for child in _running:
            _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """End a command and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)


def run_logged(
    argv: Sequence[str | Path],
    *,
    log: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run ``argv`` with its output in ``.toolchain/logs/<log>.log``.

    ``env`` is added to the environment; ``on_line`` sees every line as it comes.

    :raises ToolchainError: the command is missing or failed; the message ends with the log's last lines.
    """
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    log_file = paths.LOGS / f"{log}.log"
    command = [str(part) for part in argv]
    with log_file.open("w", encoding="utf-8") as out:
        out.write(f"$ {' '.join(command)}\n")
        out.flush()
        try:
            with _guard:
                if _refusing:
                    raise ToolchainError(f"{command[0]}: not started, because another step failed")
                child = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
                _running.add(child)
        except FileNotFoundError as error:
            raise ToolchainError(f"{command[0]}: not found; is it installed and on PATH?") from error
        assert child.stdout is not None
        try:
            for line in child.stdout:
                out.write(line)
                out.flush()
                if on_line is not None:
                    on_line(line.rstrip("\n"))
            status = child.wait()
        except BaseException:
            _end(child)
            child.wait()
            raise
        finally:
            with _guard:
                _running.discard(child)
    if status != 0:
        raise ToolchainError(
            f"{command[0]} ended with status {status}; full log: {log_file}\n{tail(log_file)}"
        )


def tail(file: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log."""
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
