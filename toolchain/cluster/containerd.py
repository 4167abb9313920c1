"""The container runtime: its configuration, and reaching it from the host."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.cluster import layout
from toolchain.errors import ToolchainError


@dataclass(frozen=True)
class Options:
    """What depends on the host and on where the programs were built."""

    runc: Path
    cni_plugins: tuple[Path, ...]
    snapshotter: str
    # Without CAP_SYS_RESOURCE a sandbox that wants a lower OOM score than its parent dies at its start.
    restrict_oom_score: bool


def configuration(options: Options) -> str:
    """containerd's configuration file."""
    restrict = "true" if options.restrict_oom_score else "false"
    plugins = ", ".join(f'"{directory}"' for directory in options.cni_plugins)
    # NRI is switched off because it opens a socket at a fixed place of the host. Control groups are always
    # driven through their file system: the cluster's group is its own, below systemd a delegated one.
    return f"""version = 3
root = "{layout.CONTAINERD_ROOT}"
state = "{layout.CONTAINERD_STATE}"
imports = []
disabled_plugins = [
  "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
address = "{layout.CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "{options.snapshotter}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{layout.PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = {restrict}
netns_mounts_under_state_dir = true
cdi_spec_dirs = []

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{options.runc}"
Root = "{layout.CONTAINERD_STATE}/runc"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [{plugins}]
conf_dir = "{layout.CNI_CONFIG}"

[plugins."io.containerd.internal.v1.opt"]
path = "{layout.CONTAINERD_ROOT}/opt"
"""


@dataclass(frozen=True)
class Client:
    """`ctr` in the cluster's mount namespace."""

    argv: tuple[str, ...]

    def run(self, *arguments: str) -> str:
        """Standard output of `ctr …`; raises ToolchainError with its standard error when it fails."""
        done = subprocess.run([*self.argv, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolchainError(
                f"`ctr {' '.join(arguments)}` failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def ready(self) -> bool:
        """Whether containerd and its CRI plugin answer."""
        try:
            # `version` answers before the CRI plugin has read its metadata; `images list` goes through the
            # same store.
            self.run("--timeout", "3s", "version")
            self.run("--timeout", "3s", "images", "list", "--quiet")
        except ToolchainError:
            return False
        return True

    def images(self) -> set[str]:
        """References of every image."""
        return set(self.run("images", "list", "--quiet").split())

    def import_archive(self, archive: Path) -> None:
        """Import an OCI layout or Docker archive and unpack it."""
        self.run("images", "import", "--local", str(archive))


def snapshotter(filesystem: str) -> str:
    """Name of the snapshotter for images on a file system: overlayfs does not stack on itself."""
    return "native" if filesystem in ("overlay", "fuse-overlayfs", "fuseblk", "nfs", "nfs4") else "overlayfs"


def filesystem_of(path: Path, mountinfo: str) -> str:
    """Type of the file system that holds an existing path, from /proc/self/mountinfo."""
    best, kind = Path("/"), ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        mount_point = Path(before.split(" ")[4].replace("\\040", " "))
        if path.is_relative_to(mount_point) and len(mount_point.parts) >= len(best.parts):
            best, kind = mount_point, after.split(" ")[0]
    return kind


def client_arguments(ctr: Path, enter: Sequence[str]) -> tuple[str, ...]:
    """Start of every `ctr` command line."""
    socket = str(layout.CONTAINERD_SOCKET)
    return (*enter, str(ctr), "--address", socket, "--namespace", layout.CONTAINERD_NAMESPACE)
