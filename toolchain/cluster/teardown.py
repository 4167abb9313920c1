"""Removing the cluster and everything it left on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from toolchain import paths
from toolchain.cluster import commands, hosttools, layout, netlink, network, processes, supervisor, sysctls
from toolchain.cluster import state as states
from toolchain.cluster.state import State
from toolchain.errors import ToolchainError
from toolchain.progress import step


def down() -> None:
    """Remove the cluster, its data and everything it left on the host. What was built stays.

    :raises ToolchainError: not root, or something that could not be removed, by name.
    """
    if not layout.STATE.exists():
        return
    if os.geteuid() != 0:
        raise ToolchainError(
            f"user id {os.geteuid()}: removing the embedded cluster needs root; run `sudo make down`"
        )
    try:
        state = states.load() or State()
    except ToolchainError:
        # Unreadable: what it recorded is lost, what has the cluster's name can still be removed.
        state = State(cgroup=f"/{layout.cgroup_name()}", nft_tables=netlink.nft_tables())
    with commands.exclusive(), step("remove the embedded cluster") as progress:
        left = _remove(state, progress.update)
        if left:
            raise ToolchainError(
                f"the embedded cluster is stopped, but could not remove: {', '.join(left)}; "
                "end what uses them and run `make down` again, or restart the machine"
            )
        shutil.rmtree(paths.CLUSTER)


def _remove(state: State, say: Callable[[str], None]) -> list[str]:
    """Undo what `up` did; returns what resisted."""
    left: list[str] = []
    say("processes")
    recorded = supervisor.recorded()
    if state.systemd_unit:
        subprocess.run(["systemctl", "stop", state.systemd_unit], capture_output=True, check=False)
    if recorded.supervisor:
        processes.end([recorded.supervisor], 40)
    tree = commands.tree(state.cgroup or f"/{layout.cgroup_name()}")
    left += [f"process {pid} ({processes.name(pid)})" for pid in tree.kill()]
    say("control groups")
    left += [f"control group {group}" for group in tree.remove()]
    say("network")
    network.remove(hosttools.ensure(), state.nft_tables)
    left += [f"kernel parameter {name}" for name in sysctls.restore(state.sysctls)]
    say("files")
    for created in reversed(state.created_paths):
        path = Path(created)
        try:
            if path.is_dir():
                path.rmdir()
            elif path.exists() and path.stat().st_size == 0:
                path.unlink()
        except OSError:
            left.append(created)
    for directory in (paths.VOLUMES, layout.POD_LOGS):
        shutil.rmtree(directory, ignore_errors=True)
    paths.KUBECONFIG.unlink(missing_ok=True)
    for child in paths.CLUSTER.iterdir():
        # The record and the lock go last: until then `down` can be repeated.
        if child not in (layout.STATE, layout.LOCK):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    return left
