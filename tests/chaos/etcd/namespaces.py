"""Network and mount namespaces without names: each belongs to a thread and is gone with the test process.

Whatever runs in a namespace's thread, and every process started there, has its network and its mounts.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_LIBC = ctypes.CDLL(None, use_errno=True)
# linux/sched.h, linux/mount.h, linux/if_tun.h
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 65000
"""Large, so that the switch has few packets to carry."""


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())
    _check(result, f"mount {target}")


class Namespace:
    """A host of its own: one address, its own mounts, a thread to do things there."""

    def __init__(self, address: str, hosts: Path) -> None:
        self.address = address
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"ns-{address}")
        self.tun = self.run(self._enter, hosts)

    def _enter(self, hosts: Path) -> int:
        _check(_LIBC.unshare(_CLONE_NEWNET | _CLONE_NEWNS), "unshare")
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        _mount(str(hosts), "/etc/hosts", "", _MS_BIND)
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI))
        for command in (
            "link set lo up",
            f"address add {self.address}/24 dev tun0",
            f"link set tun0 mtu {_MTU} up",
        ):
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        return tun

    def run(self, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """The function's result, computed on this host."""
        return self._thread.submit(function, *arguments, **keywords).result()

    def start(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """A process on this host; it is killed when the test process is."""

        def launch() -> subprocess.Popen[bytes]:
            with log.open("ab") as out:
                return subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", *command], stdout=out, stderr=out
                )

        return self.run(launch)

    def mount_tmpfs(self, target: Path, size: int) -> None:
        """A file system of `size` bytes that only this host sees."""
        self.run(_mount, "tmpfs", str(target), "tmpfs", 0, f"size={size},mode=0700")

    def close(self) -> None:
        os.close(self.tun)
        self._thread.shutdown(wait=True)
