"""The cluster's control groups: one tree, below which every process of the cluster lives.

Works on the version 1 hierarchies (one per controller), on the unified version 2 hierarchy, and on hosts that
mount both. Everything the cluster starts is in the tree, so ending and removing the tree ends the cluster.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain.cluster.processes import PROC
from toolchain.errors import ToolchainError

# What kubelet and runc account for. On version 1 they skip a controller that is not mounted, except for
# these.
REQUIRED_CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
# Child group of the supervisor, containerd, its shims and kubelet. Version 2 allows processes only in leaves.
SYSTEM = "system"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup file system."""

    mount: Path
    version: int
    controllers: frozenset[str]


def parse_hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The cgroup file systems in a /proc/<pid>/mountinfo.

    Controllers of version 2 are read from the file system.
    """
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mount_point = Path(before.split(" ")[4])
        if kind == "cgroup":
            found[mount_point] = Hierarchy(
                mount_point, 1, frozenset(options.split(" ")[-1].split(",")) - {"rw", "ro"}
            )
        elif kind == "cgroup2":
            try:
                controllers = frozenset((mount_point / "cgroup.controllers").read_text().split())
            except OSError:
                controllers = frozenset()
            found[mount_point] = Hierarchy(mount_point, 2, controllers)
    return list(found.values())


def sessions(groups: str) -> set[Path]:
    """From a /proc/PID/cgroup: parents of the process's groups, relative to their mounts; never the root."""
    paths = [Path(line.split(":", 2)[2].strip().lstrip("/")) for line in groups.splitlines()]
    return {path.parent for path in paths if len(path.parts) > 1}


def hierarchies() -> list[Hierarchy]:
    """The cgroup file systems mounted on this host."""
    return parse_hierarchies((PROC / "self" / "mountinfo").read_text())


def version(found: list[Hierarchy]) -> int:
    """2 when the unified hierarchy carries the controllers, else 1 (also in hybrid mode)."""
    return 2 if any(h.version == 2 and "memory" in h.controllers for h in found) else 1


def missing_controllers(found: list[Hierarchy]) -> frozenset[str]:
    """Controllers that kubelet needs and the host does not offer."""
    return REQUIRED_CONTROLLERS - frozenset().union(*(h.controllers for h in found))


@dataclass(frozen=True)
class Tree:
    """A group of the same name in every hierarchy."""

    path: str
    hierarchies: tuple[Hierarchy, ...]

    def _tops(self) -> list[Path]:
        return [h.mount / self.path.lstrip("/") for h in self.hierarchies]

    def _groups(self) -> Iterator[Path]:
        """Every existing group of the tree, children before parents."""
        for top in self._tops():
            for directory, _, _ in os.walk(top, topdown=False):
                yield Path(directory)

    def exists(self) -> bool:
        """Whether any hierarchy has the tree."""
        return any(top.is_dir() for top in self._tops())

    def create(self) -> None:
        """Make the tree and its `system` child.

        Raises ToolchainError when the kernel or the host's owner forbids it.
        """
        try:
            for hierarchy in self.hierarchies:
                if hierarchy.version == 2:
                    self._create_unified(hierarchy)
                else:
                    self._create_legacy(hierarchy)
        except OSError as error:
            raise ToolchainError(
                f"cannot make control group {self.path}: {error}. Start a container privileged and with a "
                "cgroup namespace of its own, or use your own cluster: `pulumi up --stack dev` with its "
                "kubeconfig"
            ) from error

    def _create_legacy(self, hierarchy: Hierarchy) -> None:
        current = hierarchy.mount
        for part in (*self.path.strip("/").split("/"), SYSTEM):
            parent, current = current, current / part
            current.mkdir(exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                # A new cpuset group is empty and takes no process until it is filled.
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if not (current / name).read_text().strip():
                        (current / name).write_text((parent / name).read_text())

    def _create_unified(self, hierarchy: Hierarchy) -> None:
        current = hierarchy.mount
        for part in self.path.strip("/").split("/"):
            self._delegate(current)
            current = current / part
            current.mkdir(exist_ok=True)
        (current / SYSTEM).mkdir(exist_ok=True)
        # A process that a service manager started in the top group must leave before controllers can be
        # passed down.
        for pid in _pids(current):
            _move(pid, current / SYSTEM)
        self._delegate(current)

    @staticmethod
    def _delegate(group: Path) -> None:
        available = set((group / "cgroup.controllers").read_text().split())
        enabled = set((group / "cgroup.subtree_control").read_text().split())
        for controller in sorted(available - enabled):
            try:
                (group / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError:
                # Optional ones may be refused (real-time groups and cpu, for one); kubelet names a missing
                # one it needs.
                if controller in REQUIRED_CONTROLLERS:
                    raise

    def add(self, pid: int) -> None:
        """Move a process into the `system` child in every hierarchy."""
        for top in self._tops():
            _move(pid, top / SYSTEM)

    def pids(self) -> set[int]:
        """Every process of the tree."""
        return {pid for group in self._groups() for pid in _pids(group)}

    def kill(self, seconds: float = 20) -> set[int]:
        """SIGKILL everything in the tree except the caller until it is empty.

        Returns what is left after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while left := self.pids() - {os.getpid()}:
            if time.monotonic() > deadline:
                break
            for group in self._groups():
                # A frozen process does not die on version 1.
                if (freezer := group / "freezer.state").exists() and freezer.read_text().strip() != "THAWED":
                    freezer.write_text("THAWED")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        return left

    def remove(self, seconds: float = 10) -> list[Path]:
        """Remove the emptied tree; returns the groups that could not be removed."""
        deadline = time.monotonic() + seconds
        while True:
            left = []
            for group in self._groups():
                try:
                    group.rmdir()
                except OSError:
                    left.append(group)
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.2)


def _pids(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _move(pid: int, group: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        (group / "cgroup.procs").write_text(str(pid))
