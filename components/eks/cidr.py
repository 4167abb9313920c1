"""How a VPC's range is divided. Pure.

Each zone has an eighth of the range, chosen by the zone's letter, and within it everything has a fixed place:

    first half        nodes and their pods
    second half       endpoints (/26), the control plane's interfaces (/28), public subnets (/26); the rest is
                      kept for what may come

So nothing moves when zones are added, removed or reordered, when pools change, or when public subnets are
switched on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from components.common.cidr import NamedRange, anyone_problems, is_anyone, outside_problems, overlaps
from components.common.problems import Problem
from components.eks.settings import EksApiAccess, EksNetwork

WIDEST: Final = 16
"""Prefix length of the largest VPC (EC2 CreateVpc)."""
NARROWEST: Final = 20
"""Prefix length at which a zone still has room for a dozen nodes."""
SERVICE_PREFIXES: Final = range(12, 25)
"""Prefix lengths of a Service range (EKS KubernetesNetworkConfigRequest)."""
RESERVED_ADDRESSES: Final = 5
"""Addresses that AWS keeps in each subnet: first four and last."""
PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""Private and shared address space (RFC 1918, RFC 6598)."""
SERVICE_PRIVATE: Final = PRIVATE[:3]
"""What EKS takes as Service range (KubernetesNetworkConfigRequest)."""

_ZONES: Final = 3
"""Bits of a zone's place: eight places, for the letters a to h."""
_ENDPOINTS_PREFIX: Final = 26
"""59 usable addresses: one for each interface endpoint and the file system's mount target, thrice over."""
_CONTROL_PLANE_PREFIX: Final = 28
"""11 usable addresses: EKS wants six, and sixteen of the subnet."""
_PUBLIC_PREFIX: Final = 26
"""59 usable addresses: a NAT gateway, and eight free ones for each load balancer."""


@dataclass(frozen=True)
class ZoneSubnets:
    """Subnets of one availability zone."""

    zone: str
    nodes: IPv4Network
    """Nodes and pods, private."""
    endpoints: IPv4Network
    """Interface endpoints and mount targets, private; nothing else, so that its range names them alone."""
    control_plane: IPv4Network
    """The cluster's own interfaces, private."""
    public: IPv4Network | None
    """NAT gateway and internet-facing load balancers."""

    def all(self) -> tuple[IPv4Network, ...]:
        """All of them."""
        private = (self.nodes, self.endpoints, self.control_plane)
        return private if self.public is None else (*private, self.public)


def plan_subnets(cidr: IPv4Network, zones: Sequence[str], *, public: bool) -> tuple[ZoneSubnets, ...]:
    """Subnets of each zone, in the order given. The range must be /16 to /20, zones must end in a to h."""
    return tuple(_zone_subnets(cidr, zone, public=public) for zone in zones)


def _zone_subnets(cidr: IPv4Network, zone: str, *, public: bool) -> ZoneSubnets:
    place = ord(zone[-1]) - ord("a")
    block = _part(cidr, cidr.prefixlen + _ZONES, place)
    nodes, other = block.subnets(1)
    endpoints = _part(other, _ENDPOINTS_PREFIX, 0)
    control_plane = _part(other, _CONTROL_PLANE_PREFIX, 4)
    public_subnet = _part(other, _PUBLIC_PREFIX, 2)
    return ZoneSubnets(zone, nodes, endpoints, control_plane, public_subnet if public else None)


def _part(block: IPv4Network, prefix: int, index: int) -> IPv4Network:
    size = 1 << (block.max_prefixlen - prefix)
    return IPv4Network((int(block.network_address) + index * size, prefix))


def usable_addresses(subnet: IPv4Network) -> int:
    """Addresses that a subnet can give away."""
    return subnet.num_addresses - RESERVED_ADDRESSES


def range_problems(network: EksNetwork, api: EksApiAccess) -> Iterator[Problem]:
    """What is wrong with the ranges, and with who may reach the API; paths as in the cluster section."""
    vpc = NamedRange("network.cidr", network.cidr)
    if not WIDEST <= network.cidr.prefixlen <= NARROWEST:
        yield Problem(
            vpc.key, f"{network.cidr}: a VPC here is a /{WIDEST} to /{NARROWEST}; choose a range of that size"
        )
    if not any(network.cidr.subnet_of(private) for private in PRIVATE):
        yield Problem(vpc.key, f"{network.cidr}: not private; choose one in {_list(PRIVATE)}")
    service = NamedRange("network.serviceCidr", network.service_cidr)
    if network.service_cidr.prefixlen not in SERVICE_PREFIXES or not any(
        network.service_cidr.subnet_of(private) for private in SERVICE_PRIVATE
    ):
        yield Problem(
            service.key,
            f"{network.service_cidr}: EKS takes a /12 to /24 in {_list(SERVICE_PRIVATE)}; choose one",
        )
    peers = [NamedRange(f"network.peerCidrs[{i}]", peer) for i, peer in enumerate(network.peer_cidrs)]
    yield from overlaps([vpc, service, *peers])
    destinations = network.nat.destinations if network.nat else ()
    nat = [NamedRange(f"network.nat.destinations[{i}]", cidr) for i, cidr in enumerate(destinations)]
    yield from anyone_problems(nat)
    yield from overlaps([vpc, *(item for item in nat if not is_anyone(item.network))])
    yield from _api_problems(api, peers)


def _api_problems(api: EksApiAccess, peers: Sequence[NamedRange]) -> Iterator[Problem]:
    private = [NamedRange(f"api.privateCidrs[{i}]", cidr) for i, cidr in enumerate(api.private_cidrs)]
    yield from anyone_problems(private)
    for item in private:
        if not any(not list(outside_problems([item], peer)) for peer in peers):
            yield Problem(
                item.key,
                f"{item.network}: not within network.peerCidrs, so nothing there reaches the VPC; add it",
            )
    public = [NamedRange(f"api.publicCidrs[{i}]", cidr) for i, cidr in enumerate(api.public_cidrs)]
    yield from anyone_problems(public)
    for item in public:
        if is_anyone(item.network):
            continue
        if item.network.version != 4:
            yield Problem(
                item.key, f"{item.network}: the endpoint has IPv4 addresses only; write an IPv4 range"
            )
        elif not item.network.is_global:
            yield Problem(
                item.key,
                f"{item.network}: not a public range; list it under api.privateCidrs and network.peerCidrs",
            )


def _list(networks: Sequence[IPv4Network]) -> str:
    return ", ".join(str(network) for network in networks[:-1]) + f" or {networks[-1]}"
