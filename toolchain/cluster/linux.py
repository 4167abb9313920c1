"""The few system calls of Linux that Python 3.11's standard library does not wrap."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# From the kernel's include/uapi/linux/{sched,mount,prctl}.h.
CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
_PR_SET_PDEATHSIG = 1
_CAP_SYS_RESOURCE = 24

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); raises OSError."""
    arguments = [value.encode() or None for value in (source, str(target), kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def unshare(flags: int) -> None:
    """unshare(2) of the calling process, which must have one thread; raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def enter_mount_namespace(pid: int) -> None:
    """Move the calling, single-threaded process into the mount namespace of `pid`; raises OSError."""
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNS), f"setns to process {pid}")
    finally:
        os.close(descriptor)


def die_with_parent(signal: int, parent: int) -> None:
    """Have the kernel send `signal` to this process when the thread that forked it ends.

    :raises ProcessLookupError: `parent`, the process that forked, has ended already.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        raise ProcessLookupError(f"parent {parent} has ended")


def may_lower_oom_score(status: str) -> bool:
    """Whether a process with this /proc/<pid>/status has CAP_SYS_RESOURCE, needed to lower oom_score_adj."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False
