"""The cluster's own mount namespace.

kubeadm and kubelet insist on /etc/kubernetes and /var/lib/kubelet, containerd's shims on /run/containerd. In
the namespace these are bind mounts of directories in `.toolchain`; the host sees none of it, an existing
/etc/kubernetes stays as it is, and all mounts of pods vanish with the last process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from toolchain.cluster import layout, linux, processes


def missing_mount_points() -> list[Path]:
    """Directories that have to be made on the host because something is mounted there, parents first."""
    missing: list[Path] = []
    for mount in layout.MOUNTS:
        missing += missing_parents(mount.target)
    return list(dict.fromkeys(missing))


def missing_parents(path: Path) -> list[Path]:
    """The path and those of its parents that do not exist, outermost first."""
    missing: list[Path] = []
    while not path.exists():
        missing.insert(0, path)
        path = path.parent
    return missing


def survivor(members: Iterable[int], namespace: str) -> int | None:
    """A process of the cluster that still keeps its mount namespace alive.

    Containers have namespaces of their own, and the kernel gives the identity of a dead namespace to new
    ones: the process has to be a member of the cluster's control group and see the cluster's mounts.
    """
    marker = f" {layout.MOUNTS[0].target} "
    for pid in members:
        if namespace and processes.namespace(pid, "mnt") == namespace:
            try:
                if marker in (processes.PROC / str(pid) / "mountinfo").read_text():
                    return pid
            except OSError:
                continue
    return None


def enter_or_create(members: Iterable[int], namespace: str) -> None:
    """Move this process into the namespace that pods still live in, else into a new one."""
    pid = survivor(set(members) - {os.getpid()}, namespace)
    if pid is not None:
        linux.enter_mount_namespace(pid)
        os.chdir("/")
        return
    linux.unshare(linux.CLONE_NEWNS)
    # Mounts that the host makes later are still to be seen here, not the other way round; volumes that
    # propagate mounts to pods need a shared tree.
    linux.mount("", Path("/"), flags=linux.MS_REC | linux.MS_SLAVE)
    linux.mount("", Path("/"), flags=linux.MS_REC | linux.MS_SHARED)
    for mount in layout.MOUNTS:
        if mount.source is None:
            linux.mount("tmpfs", mount.target, "tmpfs", data="mode=0711")
        else:
            mount.source.mkdir(parents=True, exist_ok=True)
            linux.mount(str(mount.source), mount.target, flags=linux.MS_BIND)
    os.chdir("/")
