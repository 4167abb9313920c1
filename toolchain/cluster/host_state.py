"""A comparable picture of what an embedded cluster may leave on a host.

`python3 -m toolchain.cluster.host_state` prints it as JSON; `difference(before, after)` says what changed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from toolchain import paths
from toolchain.cluster import cgroups, checks, layout, netlink, processes, sysctls

HostState = Mapping[str, list[str]]

# Places outside `.toolchain` that Kubernetes software is known to write to.
KNOWN_PLACES = (
    "/etc/kubernetes",
    "/etc/cni",
    "/etc/containerd",
    "/etc/crictl.yaml",
    "/lib/modules",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/flannel",
    "/run/netns",
    "/run/nri",
    "/run/runc",
    "/run/xtables.lock",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/lib/kube-proxy",
    "/var/log/containers",
    "/var/log/pods",
)
# Parameters that move by themselves, or that any process of the host may change at any time.
_VOLATILE = (
    "random/",
    "file-nr",
    "inode-nr",
    "inode-state",
    "dentry-state",
    "ns_last_pid",
    "nf_conntrack_count",
    "pty/nr",
    "aio-nr",
    "epoch",
    "ip_local_port_range",
    "loadavg",
    "route/flush",
    "tainted",
    "cad_pid",
    "binfmt_misc",
    "perf_event_max_sample_rate",
    "sched_domain",
    "fs/quota",
    "usage",
    "fib_sync_mem",
)


def capture() -> dict[str, list[str]]:
    """The state now.

    Of processes, only those that belong to a checkout's toolchain or to a cluster's control group.
    """
    return {
        "processes": _processes(),
        "mounts": _mounts(),
        "links": sorted(netlink.interfaces()),
        "addresses": sorted(
            f"{a.interface} {a.address}" for a in netlink.addresses() if not _volatile_address(a)
        ),
        "routes": sorted(
            f"{r.interface} {r.destination}" for r in netlink.routes() if r.destination.version == 4
        ),
        "nft tables": netlink.nft_tables(),
        "nft chains": netlink.nft_chains(),
        "nft rules": [f"{chain}: {count}" for chain, count in sorted(netlink.nft_rules().items())],
        "ip sets": netlink.ip_sets(),
        "legacy iptables": _legacy_iptables(),
        "cgroups": _cgroups(),
        "sysctls": [f"{name} = {value}" for name, value in sorted(_sysctls().items())],
        "listeners": _cluster_listeners(),
        "files": _files(),
    }


def difference(before: HostState, after: HostState) -> dict[str, list[str]]:
    """What appeared (`+`) and went (`-`), by category; empty when the host is as it was."""
    changes = {}
    for category in before:
        old, new = set(before[category]), set(after.get(category, []))
        lines = [f"- {line}" for line in sorted(old - new)] + [f"+ {line}" for line in sorted(new - old)]
        if lines:
            changes[category] = lines
    return changes


def _processes() -> list[str]:
    found = []
    toolchain = str(paths.TOOLCHAIN)
    for pid in processes.running():
        if processes.identify(pid) is None:
            # Ended, and only not yet collected by its parent.
            continue
        program = processes.executable(pid)
        try:
            groups = (processes.PROC / str(pid) / "cgroup").read_text()
            command = (
                (processes.PROC / str(pid) / "cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        except OSError:
            continue
        ours = program.startswith((f"{toolchain}/cluster", f"{toolchain}/artefacts"))
        if ours or "toolchain.cluster.supervisor" in command or layout.cgroup_name() in groups:
            found.append(f"{pid} {processes.name(pid)} {program}")
    return sorted(found)


def _mounts() -> list[str]:
    lines = (processes.PROC / "self/mountinfo").read_text().splitlines()
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        found.append(f"{before.split(' ')[4]} {after.split(' ')[0]}")
    return sorted(found)


def _volatile_address(address: netlink.Address) -> bool:
    return isinstance(address.address, ipaddress.IPv6Interface) and address.address.is_link_local


def _legacy_iptables() -> list[str]:
    tables = []
    for family in ("ip", "ip6"):
        try:
            tables += [
                f"{family} {n}" for n in (processes.PROC / f"net/{family}_tables_names").read_text().split()
            ]
        except OSError:
            continue
    return sorted(tables)


def _cgroups() -> list[str]:
    """Groups two levels deep, without those beside our own: other sessions of whoever has started us."""
    found = []
    sessions = cgroups.sessions((processes.PROC / "self" / "cgroup").read_text())
    for hierarchy in cgroups.hierarchies():
        for directory, children, _ in os.walk(hierarchy.mount):
            place = Path(directory).relative_to(hierarchy.mount)
            if len(place.parts) >= 2:
                children.clear()
            if place.parts and place.parent not in sessions:
                found.append(directory)
    return sorted(found)


def _sysctls() -> dict[str, str]:
    links = netlink.interfaces()
    values = {}
    for directory, _, files in os.walk(sysctls.SYS):
        for file in files:
            name = str((Path(directory) / file).relative_to(sysctls.SYS))
            if any(part in name for part in _VOLATILE):
                continue
            parts = name.split("/")
            # Those of links come and go with the links, which are compared themselves.
            if parts[:2] in (["net", "ipv4"], ["net", "ipv6"]) and len(parts) > 4 and parts[3] not in links:
                continue
            values.update(sysctls.read([name]))
    return values


def _cluster_listeners() -> list[str]:
    ports = {*layout.NODE_PORTS, *layout.LOOPBACK_PORTS}
    return sorted(f"{lst.address}:{lst.port} {lst.owner}" for lst in checks.listeners() if lst.port in ports)


def _files() -> list[str]:
    found = []
    for place in KNOWN_PLACES:
        path = Path(place)
        if path.exists():
            found.append(place)
            found += [str(child) for child in sorted(path.rglob("*"))[:1000]] if path.is_dir() else []
    found += [str(path) for path in sorted(Path("/run").glob("autoglm-*"))]
    return found


if __name__ == "__main__":
    json.dump(capture(), sys.stdout, indent=1)
    print()
