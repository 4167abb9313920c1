"""Runs a program as a container runtime would: `python enter.py '{"netns": …}' PROGRAM ARGUMENT…`.

Own mount and PID namespaces, the given network namespace, a read-only root directory, a user, and exactly the
given capabilities. Ends with the program's status; when this process is killed, so is the program.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_LAST_CAPABILITY = 40

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None)
    _check(result, f"mount {source} on {target}")


def main() -> None:
    """Enter everything, then become the program's parent."""
    options, program = json.loads(sys.argv[1]), sys.argv[2:]
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    namespace = os.open(f"/run/netns/{options['netns']}", os.O_RDONLY)
    _check(_libc.setns(namespace, _CLONE_NEWNET), "setns")
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID), "unshare")
    child = os.fork()
    if child == 0:
        _become(options, program)
    if pid_file := options.get("pid_file"):
        Path(pid_file).write_text(str(child))
    # The program's own signals; whoever wants to kill it, kills it.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        try:
            _, status = os.waitpid(child, 0)
            break
        except InterruptedError:
            continue
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _become(options: dict[str, object], program: list[str]) -> None:
    root, run = str(options["root"]), str(options["run"])
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount(root, root, "", _MS_BIND)
    _mount("proc", f"{root}/proc", "proc", 0)
    _mount("/dev", f"{root}/dev", "", _MS_BIND)
    _mount(run, f"{root}/run", "", _MS_BIND)
    _mount(str(options["etc"]), f"{root}/etc", "", _MS_BIND)
    _mount("none", root, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
    os.chroot(root)
    os.chdir("/")
    kept = set(options["capabilities"])  # type: ignore[call-overload]
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in kept:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    user = int(str(options["user"]))
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    # Only now: a change of user clears it. The kernel then ends the whole PID namespace with this process.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # As `allowPrivilegeEscalation: false` does.
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
