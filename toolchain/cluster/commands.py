"""What every command of the cluster works with: its binaries, kubectl and ctr, and a lock."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain import golang, paths
from toolchain.cluster import cgroups, containerd, images, layout, supervisor
from toolchain.errors import ToolchainError

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_HOST_BINARIES = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "host-local",
    "kubeadm",
    "kubectl",
    "kubelet",
    "loopback",
    "portmap",
    "ptp",
)


def binaries() -> dict[str, Path]:
    """Every binary of the cluster, on the host and in its images, built when missing."""
    in_images = {name for image in (*images.IMAGES, images.KWOK_IMAGE) for name in image.binaries}
    return golang.ensure_binaries(*sorted({*_HOST_BINARIES, *in_images}))


@contextmanager
def exclusive() -> Iterator[None]:
    """One `up` or `down` at a time."""
    paths.CLUSTER.mkdir(parents=True, exist_ok=True)
    with layout.LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ToolchainError(
                "another `cluster up` or `cluster down` is at work here; wait for it"
            ) from error
        yield


def tree(cgroup: str) -> cgroups.Tree:
    return cgroups.Tree(cgroup, tuple(cgroups.hierarchies()))


def containerd_client() -> containerd.Client:
    """`ctr` on the running cluster's containerd; raises ToolchainError when the cluster is down."""
    ctr = golang.ensure_binaries("ctr")["ctr"]
    return containerd.Client(containerd.client_arguments(ctr, enter_arguments()))


def enter_arguments() -> list[str]:
    running = supervisor.recorded().supervisor
    if running is None:
        raise ToolchainError(
            "the embedded cluster is not running; start it with `python3 -m toolchain cluster up`"
        )
    # An absolute script path instead of -m: the caller's working directory does not matter.
    imports = f"import sys; sys.path.insert(0, {str(paths.ROOT)!r}); from toolchain.cluster.enter import main"
    code = f"{imports}; main(sys.argv[1:])"
    return [sys.executable, "-I", "-c", code, str(running.pid)]


def kubectl(
    program: Path, *arguments: str, stdin: str | None = None, kubeconfig: Path = paths.KUBECONFIG
) -> str:
    """Standard output of kubectl; raises ToolchainError with its standard error when it fails."""
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": SYSTEM_PATH, "HOME": str(paths.CLUSTER)}
    command = [str(program), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ToolchainError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
