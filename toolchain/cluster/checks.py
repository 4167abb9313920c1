"""Can this machine run the embedded cluster? Asked before anything is built or touched.

`read()` looks at the machine, `problems()` judges what was seen and is pure.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from toolchain import paths
from toolchain.cluster import cgroups, layout, netlink, network, processes
from toolchain.errors import ToolchainError

# The model server asks for 6 GiB, the control plane uses about one.
MEMORY_GIB = 8
# Sources and builds 8 GiB, images and their unpacked form 10 GiB.
DISK_GIB = 20
# After `make down` the builds are still there; with a cluster the unpacked images are, too.
DISK_GIB_BUILT = 8
DISK_GIB_RUNNING = 2
_GIB = 1 << 30
_WAY_OUT = "or use your own cluster: `pulumi up --stack dev` with its kubeconfig needs none of this"
# Root sees the owner of every socket of its own process namespace.
UNSEEN = "a process that this user cannot see"
# What the kernel needs to close the sockets of a killed process: milliseconds, more on a loaded machine.
ENDING_SECONDS = 5
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket.

    `owner` is "name pid", or says that the process cannot be seen.
    """

    address: str
    port: int
    owner: str


@dataclass(frozen=True)
class Machine:
    """What was seen."""

    system: str
    architecture: str
    user_id: int
    memory_bytes: int
    disk_free_bytes: int
    disk_needed_gib: int
    listeners: tuple[Listener, ...] = ()
    missing_features: tuple[str, ...] = ()
    used_networks: tuple[netlink.IPNetwork, ...] = ()
    node_address: str = ""


def problems(machine: Machine) -> list[str]:
    """What stands in the way, each with its remedy; empty when nothing does."""
    if machine.system != "linux":
        return [f"the embedded cluster runs on Linux, this is {machine.system}; use a Linux machine"]
    found = []
    if machine.architecture != "x86_64":
        found.append(f"processor {machine.architecture}: only x86_64 is built for; use such a machine")
    if machine.user_id != 0:
        found.append(f"user id {machine.user_id}: containers, mounts and links need root; run `sudo make up`")
    if machine.memory_bytes < MEMORY_GIB * _GIB:
        found.append(f"memory {machine.memory_bytes / _GIB:.1f} GiB < {MEMORY_GIB} GiB; use a larger machine")
    if machine.disk_free_bytes < machine.disk_needed_gib * _GIB:
        found.append(
            f"free disk at {paths.ROOT}: {machine.disk_free_bytes / _GIB:.1f} GiB < "
            f"{machine.disk_needed_gib} GiB; "
            "free some or move the checkout"
        )
    for listener in machine.listeners:
        if _in_the_way(listener, machine.node_address):
            found.append(
                f"port {listener.port} on {listener.address} is taken by {listener.owner}; end it "
                "(a Kubernetes, k3s, kind or etcd of another installation?)"
            )
    found += [f"the kernel lacks {feature}" for feature in machine.missing_features]
    if not machine.node_address:
        try:
            network.choose_ranges(machine.used_networks)
        except ToolchainError as error:
            found.append(str(error))
    return found


def _in_the_way(listener: Listener, node_address: str) -> bool:
    wildcard = listener.address in ("0.0.0.0", "::")
    if listener.port in layout.NODE_PORTS and (wildcard or listener.address == node_address):
        return True
    loopback = wildcard or listener.address in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    return listener.port in layout.LOOPBACK_PORTS and loopback


def check(machine: Machine) -> None:
    """Raise ToolchainError naming every problem."""
    found = problems(machine)
    if found:
        raise ToolchainError("\n  ".join(["this machine cannot run the embedded cluster:", *found, _WAY_OUT]))


def read(node_address: str, own: frozenset[int]) -> Machine:
    """Look at this machine.

    Ports held by the processes in `own` are not counted; `node_address` is "" at first.
    """
    system = "linux" if sys.platform.startswith("linux") else sys.platform
    disk = shutil.disk_usage(paths.ROOT)
    if system != "linux":
        return Machine(system, platform.machine(), 0, 0, disk.free, DISK_GIB)
    return Machine(
        system=system,
        architecture=platform.machine(),
        user_id=os.geteuid(),
        memory_bytes=memory_bytes((processes.PROC / "meminfo").read_text()),
        disk_free_bytes=disk.free,
        disk_needed_gib=disk_needed_gib(),
        listeners=tuple(settled_listeners(own, node_address)),
        missing_features=tuple(missing_features()),
        used_networks=tuple(network.used_networks()),
        node_address=node_address,
    )


def disk_needed_gib() -> int:
    """Free disk that is still needed, in GiB, given what has been built and started here."""
    if layout.STATE.exists():
        return DISK_GIB_RUNNING
    return DISK_GIB_BUILT if paths.IMAGES_FILE.exists() else DISK_GIB


def memory_bytes(meminfo: str) -> int:
    """MemTotal of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def parse_listeners(table: str) -> list[tuple[str, int, str]]:
    """Address, port and socket inode of the listening sockets in /proc/net/tcp or tcp6."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] != "0A":
            continue
        address, port = fields[1].split(":")
        # Words of four bytes, each in the byte order of the machine (little-endian on x86_64).
        raw = b"".join(bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8))
        text = ".".join(map(str, raw)) if len(raw) == 4 else _ipv6(raw)
        found.append((text, int(port, 16), fields[9]))
    return found


def _ipv6(raw: bytes) -> str:
    import ipaddress

    address = ipaddress.IPv6Address(raw)
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)


def listeners(own: frozenset[int] = frozenset()) -> list[Listener]:
    """Every listening TCP socket of this network namespace but those of the processes in `own`."""
    sockets = []
    for name in ("tcp", "tcp6"):
        try:
            sockets += parse_listeners((processes.PROC / "net" / name).read_text())
        except OSError:
            continue
    owners = _socket_owners({inode for _, _, inode in sockets})
    return [
        Listener(address, port, f"{processes.name(pid)} {pid}" if (pid := owners.get(inode)) else UNSEEN)
        for address, port, inode in sockets
        if owners.get(inode) not in own
    ]


def settled_listeners(own: frozenset[int], node_address: str) -> list[Listener]:
    """The listeners, once no socket of a process that is ending stands in the way any more.

    A killed process gives up its table of files before the kernel closes the sockets in it: for a moment
    they listen and belong to nobody.
    """
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        found = listeners(own)
        ending = any(lst.owner == UNSEEN and _in_the_way(lst, node_address) for lst in found)
        if not ending or time.monotonic() >= deadline:
            return found
        time.sleep(0.1)


def _socket_owners(inodes: set[str]) -> dict[str, int]:
    owners: dict[str, int] = {}
    for pid in processes.running():
        directory = processes.PROC / str(pid) / "fd"
        try:
            for descriptor in directory.iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    owners.setdefault(target[8:-1], pid)
        except OSError:
            continue
    return owners


def missing_features() -> list[str]:
    """Features of the kernel that containers, services or policies need and that are not there."""
    missing = []
    filesystems = (processes.PROC / "filesystems").read_text().split()
    if "overlay" not in filesystems and not _load_module("overlay"):
        missing.append("the overlay file system (CONFIG_OVERLAY_FS)")
    for name in _NAMESPACES:
        if not (processes.PROC / "self/ns" / name).exists():
            missing.append(f"{name} namespaces")
    if not (processes.PROC / "sys/kernel/seccomp").exists():
        missing.append("seccomp filters (CONFIG_SECCOMP_FILTER)")
    if absent := cgroups.missing_controllers(cgroups.hierarchies()):
        missing.append(f"mounted cgroup controllers: {', '.join(sorted(absent))} (mount /sys/fs/cgroup)")
    for title, probe in (
        ("nf_tables (CONFIG_NF_TABLES)", netlink.nft_tables),
        ("ip_set (CONFIG_IP_SET)", netlink.ip_sets),
    ):
        try:
            probe()
        except PermissionError:
            # Said already: not root.
            continue
        except OSError:
            missing.append(title)
    return missing


def _load_module(name: str) -> bool:
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if os.geteuid() != 0 or modprobe is None:
        return Path(f"/sys/module/{name}").exists()
    return os.spawnv(os.P_WAIT, modprobe, [modprobe, "-q", name]) == 0
