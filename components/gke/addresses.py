"""The address plan of a cluster's network, and what may leave it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from components.common.cidr import NamedRange, anyone_problems, carve, is_anyone, overlaps
from components.common.problems import Problem
from components.gke.settings import GkeApiAccess, GkeNetwork

RESTRICTED_APIS: Final = IPv4Network("199.36.153.4/30")
"""Virtual addresses of restricted.googleapis.com: Google's APIs, over private routes only.
https://cloud.google.com/vpc-service-controls/docs/set-up-private-connectivity"""
METADATA_ENDPOINTS: Final = (("169.254.169.254/32", 80), ("169.254.169.252/32", 988))
"""Where pods get the credentials of their service account: address and TCP port. A NetworkPolicy has to admit
the first with dataplane V2, the second where the metadata server itself is addressed;
https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity."""
PRIVATE_DOMAINS: Final = ("googleapis.com", "gcr.io", "pkg.dev")
"""Domains of Google that are answered with the restricted addresses: APIs and image registries."""

BLOCK_PREFIXES: Final = range(16, 21)
SERVICE_PREFIXES: Final = range(16, 28)
"""https://cloud.google.com/kubernetes-engine/docs/concepts/alias-ips#cluster_sizing_secondary_range_svcs"""
CONTROL_PLANE_PREFIX: Final = 28
"""The only size that GKE takes."""
RESERVED_IN_SUBNET: Final = 4
"""Addresses that every subnet keeps for itself: https://cloud.google.com/vpc/docs/subnets"""
SPARE_ADDRESSES: Final = 16
"""Of the node subnet, for internal load balancers."""

NFS_PORTS: Final = ("111", "2046", "2049", "2050", "4045")
"""TCP ports of Filestore; https://cloud.google.com/filestore/docs/configuring-firewall."""
CONTROL_PLANE_PORTS: Final = ("443", "8132")
"""API server, and the tunnel (konnectivity) by which it reaches nodes and pods."""

_PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""RFC 1918 and RFC 6598."""
_FOREIGN: Final = (
    NamedRange("Google's restricted addresses", RESTRICTED_APIS),
    NamedRange("link-local addresses", IPv4Network("169.254.0.0/16")),
    NamedRange("multicast and reserved addresses", IPv4Network("224.0.0.0/3")),
)


@dataclass(frozen=True)
class AddressPlan:
    """Ranges of one cluster; none overlaps another."""

    nodes: IPv4Network
    """Primary range of the subnet: nodes and internal load balancers."""
    file_stores: IPv4Network
    """Range that Filestore instances take theirs from."""
    control_plane: IPv4Network
    pods: IPv4Network
    """Secondary range of the subnet."""
    services: IPv4Network
    """Secondary range of the subnet."""


@dataclass(frozen=True)
class EgressRule:
    """What leaves the nodes; everything else is dropped."""

    name: str
    description: str
    destinations: tuple[str, ...]
    ports: tuple[str, ...]
    """Of TCP; none: all of TCP and UDP, and ICMP."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """In the spelling of Compute Engine."""
        return ("tcp",) if self.ports else ("tcp", "udp", "icmp")


def plan_addresses(network: GkeNetwork) -> tuple[AddressPlan | None, list[Problem]]:
    """Ranges of the cluster, or every problem; paths are relative to the cluster section.

    Half of the block goes to the nodes, a sixteenth to Filestore, a /28 to the control plane; what remains is
    free for later.
    """
    block, pods, services = network.cidr, network.pod_cidr, network.service_cidr
    own = [
        NamedRange("network.cidr", block),
        NamedRange("network.podCidr", pods),
        NamedRange("network.serviceCidr", services),
    ]
    peers = [NamedRange(f"network.peerCidrs[{i}]", cidr) for i, cidr in enumerate(network.peer_cidrs)]
    problems = [*_size_problems(network), *_public_problems(network), *overlaps([*_FOREIGN, *own, *peers])]
    if network.nat is not None:
        destinations = [
            NamedRange(f"network.nat.destinations[{i}]", cidr)
            for i, cidr in enumerate(network.nat.destinations)
        ]
        problems.extend(anyone_problems(destinations))
    if problems:
        return None, problems
    nodes, file_stores, control_plane = carve(
        block, (block.prefixlen + 1, block.prefixlen + 4, CONTROL_PLANE_PREFIX)
    )
    return AddressPlan(nodes, file_stores, control_plane, pods, services), []


def _size_problems(network: GkeNetwork) -> Iterator[Problem]:
    for key, cidr, prefixes in (
        ("network.cidr", network.cidr, BLOCK_PREFIXES),
        ("network.serviceCidr", network.service_cidr, SERVICE_PREFIXES),
    ):
        if cidr.prefixlen not in prefixes:
            yield Problem(key, f"{cidr}: choose a range of /{prefixes[0]} to /{prefixes[-1]}")


def _is_private(cidr: IPv4Network) -> bool:
    return any(cidr.subnet_of(private) for private in _PRIVATE)


def _public_problems(network: GkeNetwork) -> Iterator[Problem]:
    for key, cidr in (
        ("network.cidr", network.cidr),
        ("network.podCidr", network.pod_cidr),
        ("network.serviceCidr", network.service_cidr),
    ):
        if not _is_private(cidr):
            yield Problem(
                key,
                f"{cidr}: addresses of others, whom pods could then not reach; choose a private range "
                f"({', '.join(map(str, _PRIVATE))})",
            )


def access_problems(network: GkeNetwork, api: GkeApiAccess) -> Iterator[Problem]:
    """Networks that must not be let in to the Kubernetes API."""
    private = [(f"api.privateCidrs[{i}]", cidr) for i, cidr in enumerate(api.private_cidrs)]
    public = [(f"api.publicCidrs[{i}]", cidr) for i, cidr in enumerate(api.public_cidrs)]
    yield from anyone_problems(NamedRange(key, cidr) for key, cidr in (*private, *public))
    for key, cidr in private:
        if not is_anyone(cidr) and not any(cidr.subnet_of(peer) for peer in network.peer_cidrs):
            yield Problem(
                key,
                f"{cidr}: not within a network that is connected; add it to network.peerCidrs, or to "
                "api.publicCidrs if its hosts come over the Internet",
            )
    for key, cidr in public:
        if _is_private(cidr):
            yield Problem(
                key,
                f"{cidr}: no public addresses; a connected network belongs in network.peerCidrs and "
                "api.privateCidrs",
            )


def pod_block(max_pods: int) -> int:
    """Addresses of the pod range that GKE gives to a node: twice its pods, rounded up to a power of 2.

    https://cloud.google.com/kubernetes-engine/docs/how-to/flexible-pod-cidr
    """
    block = 16
    while block < 2 * max_pods:
        block *= 2
    return block


def capacity_problems(addresses: AddressPlan, nodes: int, max_pods: int) -> Iterator[Problem]:
    """Whether `nodes` nodes find addresses for themselves and for their pods."""
    room = addresses.nodes.num_addresses - RESERVED_IN_SUBNET - SPARE_ADDRESSES
    if nodes > room:
        yield Problem(
            "network.cidr",
            f"its half {addresses.nodes} has room for {room} nodes: the pools can have {nodes}, upgrades and "
            "one replaced pool included; choose a wider range or lower maxNodes",
        )
    block = pod_block(max_pods)
    room = addresses.pods.num_addresses // block
    if nodes > room:
        yield Problem(
            "network.podCidr",
            f"{addresses.pods}: has room for {room} nodes of {block} addresses each: the pools can have "
            f"{nodes}, upgrades and one replaced pool included; choose a wider range, or lower maxNodes or "
            "maxPodsPerNode",
        )


def egress_rules(addresses: AddressPlan, network: GkeNetwork) -> tuple[EgressRule, ...]:
    """Everything that nodes and pods may reach, most of it within the network."""
    rules = [
        EgressRule(
            "cluster",
            "Nodes and pods among each other",
            (str(addresses.nodes), str(addresses.pods)),
            (),
        ),
        EgressRule(
            "control-plane",
            "Kubernetes API and its tunnel",
            (str(addresses.control_plane),),
            CONTROL_PLANE_PORTS,
        ),
        EgressRule("google-apis", "Google's APIs by restricted addresses", (str(RESTRICTED_APIS),), ("443",)),
        EgressRule("file-stores", "Filestore", (str(addresses.file_stores),), NFS_PORTS),
    ]
    if network.nat is not None:
        rules.append(
            EgressRule(
                "internet", "Named networks", tuple(str(cidr) for cidr in network.nat.destinations), ("443",)
            )
        )
    return tuple(rules)
