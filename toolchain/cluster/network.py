"""The node's address, the ranges of pods and services, the pod network, and taking all of it away again."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.cluster import layout, netlink
from toolchain.cluster.hosttools import HostTools
from toolchain.errors import ToolchainError

# Blocks of RFC 1918 that are tried in this order; the first that no route of the host touches is taken.
_BLOCKS = ("10.244.0.0/14", "10.200.0.0/14", "172.28.0.0/14", "10.60.0.0/14")

# Tables that only the cluster makes: kube-proxy's, and those of the pod network's plugins.
OWN_TABLES = (
    "ip kube-proxy",
    "ip6 kube-proxy",
    "ip cni_hostport",
    "ip6 cni_hostport",
    "inet cni_plugins_masquerade",
)
# Tables that iptables makes for its base chains.
_IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")
SET_PREFIX = "KUBE-"
CHAIN_PREFIXES = ("KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-")


@dataclass(frozen=True)
class Ranges:
    """The node's address and the ranges of pods and services."""

    node: ipaddress.IPv4Address
    pods: ipaddress.IPv4Network
    services: ipaddress.IPv4Network

    @property
    def dns(self) -> ipaddress.IPv4Address:
        """The cluster DNS service; kubeadm takes the tenth address of the range."""
        return self.services[10]


def choose_ranges(used: Iterable[netlink.IPNetwork]) -> Ranges:
    """Ranges that overlap none of the networks the host already reaches.

    Raises ToolchainError when every candidate does. A default route says nothing about what is behind it.
    """
    taken = [network for network in used if network.version == 4 and network.prefixlen > 0]
    for block in map(ipaddress.IPv4Network, _BLOCKS):
        if not any(network.overlaps(block) for network in taken):
            pods, services, node, _ = block.subnets(new_prefix=16)
            return Ranges(node[1], pods, services)
    clashes = ", ".join(
        sorted({str(n) for n in taken for b in _BLOCKS if n.overlaps(ipaddress.IPv4Network(b))})
    )
    raise ToolchainError(
        f"no free address range for the embedded cluster: {', '.join(_BLOCKS)} overlap routes of this host "
        f"({clashes}); remove one of the routes"
    )


def used_networks() -> list[netlink.IPNetwork]:
    """Every network in the host's routing tables, without the cluster's own."""
    return [r.destination for r in netlink.routes() if r.interface not in (layout.LINK, layout.LINK_PEER)]


def _ip(tools: HostTools, *arguments: str) -> None:
    command = [str(tools.path("ip")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolchainError(
            f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}; "
            "the kernel needs the veth driver (CONFIG_VETH)"
        )


def ensure_link(tools: HostTools, ranges: Ranges) -> None:
    """Give the node's address a link of its own, so that it survives changes of the host's network.

    Services get a route over the link: without a default route the host could not send to them, and the route
    makes the node's address the source of what it sends.
    """
    if layout.LINK not in netlink.interfaces():
        _ip(tools, "link", "add", layout.LINK, "type", "veth", "peer", "name", layout.LINK_PEER)
    for link in (layout.LINK, layout.LINK_PEER):
        _ip(tools, "link", "set", link, "addrgenmode", "none")
        _ip(tools, "link", "set", link, "up")
    _ip(tools, "address", "replace", f"{ranges.node}/32", "dev", layout.LINK)
    _ip(tools, "route", "replace", str(ranges.services), "dev", layout.LINK, "src", str(ranges.node))


def cni_configuration(pod_range: str) -> dict[str, Any]:
    """The pod network: a routed veth pair per pod.

    Needs no bridge, so that every packet passes the policy rules.
    """
    return {
        "cniVersion": "1.0.0",
        "name": "autoglm",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": True,
                "ipMasqBackend": "nftables",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/var/lib/cni/networks",
                },
            },
            {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}},
        ],
    }


def write_cni(directory: Path, pod_range: str) -> None:
    """Write the pod network's configuration for a node that has `pod_range`."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cni_configuration(pod_range), indent=1)
    (directory / "10-autoglm.conflist").write_text(text + "\n")


def upstream_name_servers(resolv_conf: str) -> list[str]:
    """Name servers a pod can reach: those of the host without loopback ones, which would mean the pod."""
    servers = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.ip_address(words[1].partition("%")[0])
        except ValueError:
            continue
        # Pods have no IPv6.
        if address.version == 4 and not address.is_loopback:
            servers.append(str(address))
    return servers[:3]


def host_resolv_conf() -> str:
    """The host's resolver configuration; the one behind systemd-resolved's stub where that is used."""
    for path in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        try:
            return path.read_text()
        except OSError:
            continue
    return ""


def leftover_tables(now: Sequence[str], before: Sequence[str], rules: dict[str, int]) -> list[str]:
    """Tables to remove: the cluster's own, and those of iptables that were made since and hold no rule."""
    leftover = []
    for table in now:
        family, name = table.split(" ", 1)
        empty = not any(chain.startswith(f"{table} ") for chain in rules)
        made_by_iptables = family in ("ip", "ip6") and name in _IPTABLES_TABLES
        if table in OWN_TABLES or (made_by_iptables and table not in before and empty):
            leftover.append(table)
    return leftover


def remove(tools: HostTools, tables_before: Sequence[str]) -> None:
    """Take away links, tables, chains and sets of the cluster; raises ToolchainError naming what resists."""
    for link in (layout.LINK, layout.LINK_PEER):
        if link in netlink.interfaces():
            _ip(tools, "link", "delete", link)
    for family in ("", "6"):
        _remove_chains(tools, family)
    for name in netlink.ip_sets():
        if name.startswith(SET_PREFIX):
            tools.run("ipset", "destroy", name)
    for table in leftover_tables(netlink.nft_tables(), tables_before, netlink.nft_rules()):
        tools.run("nft", "delete", "table", *table.split(" ", 1))


def _remove_chains(tools: HostTools, family: str) -> None:
    """Remove the policy controller's chains and the jumps to them from the filter table of iptables."""
    table = f"ip{family} filter"
    if not any(chain.startswith(table) for chain in netlink.nft_chains()):
        return
    saved = tools.run(f"ip{family}tables-save", "-t", "filter")
    script = without_own_chains(saved)
    if script is not None:
        tools.run(f"ip{family}tables-restore", "--noflush", stdin=script)


def without_own_chains(saved: str) -> str | None:
    """Input for `iptables-restore --noflush` that removes the policy controller's chains.

    None when there are none.
    """
    own = [
        line[1:].split()[0]
        for line in saved.splitlines()
        if line.startswith(":") and line[1:].startswith(CHAIN_PREFIXES)
    ]
    if not own:
        return None
    lines = ["*filter"]
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("-A ") and words[1] not in own and any(word in own for word in words[2:]):
            lines.append("-D" + line[2:])
    lines += [f"-F {chain}" for chain in own]
    lines += [f"-X {chain}" for chain in own]
    return "\n".join([*lines, "COMMIT", ""])
