"""Reading /proc: who a process is, and whether a recorded one still lives."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """A process, told from a later one with the same number by its start time (clock ticks since boot)."""

    pid: int
    start: int


def running() -> Iterator[int]:
    """Numbers of all processes and kernel threads."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from `state` (the third) on; None when the process is gone."""
    try:
        # The name, field two, may hold spaces and parentheses: the last one closes it.
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def identify(pid: int) -> Process | None:
    """The process that has this number now; None when there is none or it is only waiting to be reaped."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Process(pid, int(fields[19]))


def alive(process: Process) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def name(pid: int) -> str:
    """The process's short name, or "?" when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "?"


def executable(pid: int) -> str:
    """Path of the program that runs, "" for kernel threads and processes that are gone."""
    try:
        return os.readlink(PROC / str(pid) / "exe")
    except OSError:
        return ""


def namespace(pid: int, kind: str) -> str:
    """Identity of a namespace of a process, such as mnt:[4026531841]; "" when it is gone."""
    try:
        return os.readlink(PROC / str(pid) / "ns" / kind)
    except OSError:
        return ""


def send(process: Process, number: signal.Signals) -> None:
    """Signal this very process; nothing happens when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if alive(process):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def end(processes: Iterable[Process], grace_seconds: float) -> list[Process]:
    """SIGTERM, after the grace SIGKILL; those that still run 5 s later are returned."""
    left = [process for process in processes if alive(process)]
    for process in left:
        send(process, signal.SIGTERM)
    wait_until(lambda: not any(alive(process) for process in left), grace_seconds)
    left = [process for process in left if alive(process)]
    for process in left:
        send(process, signal.SIGKILL)
    wait_until(lambda: not any(alive(process) for process in left), 5)
    return [process for process in left if alive(process)]


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.1) -> bool:
    """Poll until the condition holds; False when it still does not after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
