"""From the settings of a virtual IP to what keepalived and haproxy are told, every problem collected."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Final, TypeVar

from components.common.problems import Problem
from components.virtual_ip.settings import EntryNode, KubernetesApi, ModelApi, VirtualIp
from components.virtual_ip.timing import LEAST_STAGGER_MS, Failover, failover, skew_ms

DEFAULT_PRIORITY: Final = 100
"""Of the first node; VRRP's own default (RFC 5798, section 5.2.4)."""
_QUORUM_NODES: Final = 3
_PRIVILEGED_PORTS: Final = 1024
_ADVERT_MS: Final = {2: (1000, 255_000, 1000), 3: (150, 40_950, 10)}
"""By version: least, most, step. Version 2 has a byte of seconds, version 3 twelve bits of hundredths. Below
150 ms a holder that is cut off could be slower to notice than the others: see timing.py."""

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Member:
    """An entry node with its place in the order of succession."""

    name: str
    address: IPv4Address
    priority: int


@dataclass(frozen=True)
class VirtualIpPlan:
    """A virtual IP, checked."""

    settings: VirtualIp
    address: IPv4Interface
    members: tuple[Member, ...]
    """In the order of the settings."""
    failover: Failover

    def peers(self, member: Member) -> tuple[Member, ...]:
        """The other members."""
        return tuple(other for other in self.members if other != member)

    @property
    def needed_peers(self) -> int:
        """Peers that a holder must reach; 0 without a majority check."""
        if not self.settings.quorum or len(self.members) < _QUORUM_NODES:
            return 0
        return len(self.members) // 2

    @property
    def authority(self) -> str:
        """The address and its port as in a URL's authority."""
        return f"{self.address.ip}:{self.settings.frontend.port}"


def plan_virtual_ip(settings: VirtualIp) -> tuple[VirtualIpPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the virtual IP's section."""
    address, problems = _address(settings)
    problems += _router_ids(settings)
    problems += _advert_interval(settings)
    problems += _nodes(settings, address)
    problems += _frontend(settings)
    members = tuple(
        Member(node.name, node.address, _priority(node, index, len(settings.nodes)))
        for index, node in enumerate(settings.nodes)
    )
    problems += _priorities(settings, members)
    if problems or address is None:
        return None, problems
    bounds = failover(
        [member.priority for member in members], settings.advert_interval_ms, settings.vrrp_version
    )
    return VirtualIpPlan(settings, address, members, bounds), []


def shared_segment_problems(virtual_ips: Sequence[tuple[str, VirtualIp]]) -> list[Problem]:
    """What several virtual IPs of one network segment have in common and must not; each with its path."""
    problems: list[Problem] = []
    for index, (path, later) in enumerate(virtual_ips):
        for other_path, earlier in virtual_ips[:index]:
            if later.router_id == earlier.router_id:
                problems.append(
                    Problem(
                        f"{path}.routerId",
                        f"{later.router_id}: {other_path}.routerId is the same; give each its own",
                    )
                )
            if later.address.partition("/")[0] == earlier.address.partition("/")[0]:
                problems.append(
                    Problem(
                        f"{path}.address",
                        f"{later.address}: {other_path}.address is the same; give each its own",
                    )
                )
            if {node.address for node in later.nodes} & {node.address for node in earlier.nodes}:
                problems += _shared_ports(path, later, other_path, earlier)
    return problems


def _shared_ports(path: str, later: VirtualIp, other_path: str, earlier: VirtualIp) -> Iterator[Problem]:
    for key, port, other in (
        ("healthPort", later.health_port, earlier.health_port),
        ("peerPort", later.peer_port, earlier.peer_port),
    ):
        if port == other:
            yield Problem(
                f"{path}.{key}",
                f"{port}: {other_path}.{key} is the same, and they share a node; give each its own",
            )


def _address(settings: VirtualIp) -> tuple[IPv4Interface | None, list[Problem]]:
    text = settings.address
    try:
        address = IPv4Interface(text)
    except (AddressValueError, NetmaskValueError):
        return None, [
            Problem("address", f"{text}: not an IPv4 address with prefix; write one such as 192.168.1.100/24")
        ]
    network = address.network
    if not 8 <= network.prefixlen <= 30:
        fix = "write the prefix length of the nodes' network, 8 to 30"
        return None, [Problem("address", f"{text}: /{network.prefixlen} is no network of nodes; {fix}")]
    if address.ip in (network.network_address, network.broadcast_address):
        fix = "choose another address of the network"
        return None, [Problem("address", f"{text}: network or broadcast address of {network}; {fix}")]
    return address, []


def _router_ids(settings: VirtualIp) -> Iterator[Problem]:
    if not 1 <= settings.router_id <= 255:
        yield Problem(
            "routerId", f"{settings.router_id}: a virtual router id is one byte, not 0; write 1 to 255"
        )
    for index, router_id in enumerate(settings.foreign_router_ids):
        if router_id == settings.router_id:
            yield Problem(
                "routerId", f"{router_id}: foreignRouterIds[{index}] says that others use it; choose another"
            )
        elif not 1 <= router_id <= 255:
            yield Problem(
                f"foreignRouterIds[{index}]", f"{router_id}: not a router id; write 1 to 255 or remove it"
            )


def _advert_interval(settings: VirtualIp) -> Iterator[Problem]:
    interval, version = settings.advert_interval_ms, settings.vrrp_version
    least, most, step = _ADVERT_MS[version]
    if not least <= interval <= most or interval % step:
        yield Problem(
            "advertIntervalMs",
            f"{interval}: VRRP version {version} takes {least} to {most} in steps of {step}; "
            "write one of these" + (" or use vrrpVersion 3" if version == 2 else ""),
        )


def _nodes(settings: VirtualIp, address: IPv4Interface | None) -> Iterator[Problem]:
    if len(settings.nodes) == 1:
        yield Problem("nodes", "1 node: nothing could take over; add another, better two")
    yield from _duplicates(settings.nodes, "name", lambda node: node.name)
    yield from _duplicates(settings.nodes, "address", lambda node: str(node.address))
    for index, node in enumerate(settings.nodes if address else ()):
        assert address is not None
        if node.address == address.ip:
            yield Problem(
                f"nodes[{index}].address",
                f"{node.address}: is the virtual address itself; write the node's own or change address",
            )
        elif node.address not in address.network:
            yield Problem(
                "address",
                f"{settings.address}: nodes[{index}].address {node.address} is not in {address.network}; "
                "the virtual address and its holders share a network: correct one of the two",
            )


def _duplicates(items: Sequence[T], key: str, value: Callable[[T], str]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        earlier = seen.setdefault(value(item), index)
        if earlier != index:
            yield Problem(
                f"nodes[{index}].{key}", f"{value(item)}: nodes[{earlier}].{key} is the same; correct one"
            )


def _priority(node: EntryNode, index: int, count: int) -> int:
    if node.priority is not None:
        return node.priority
    # As far apart as possible: see LEAST_STAGGER_MS.
    return DEFAULT_PRIORITY - index * (DEFAULT_PRIORITY // count)


def _priorities(settings: VirtualIp, members: Sequence[Member]) -> Iterator[Problem]:
    interval_is_valid = not list(_advert_interval(settings))
    skew_unit_ms = skew_ms(255, settings.advert_interval_ms, settings.vrrp_version) * 256
    least_difference = math.ceil(LEAST_STAGGER_MS * 256 / skew_unit_ms) if interval_is_valid else 0
    for index, member in enumerate(members):
        if not 1 <= member.priority <= 254:
            yield Problem(
                f"nodes[{index}].priority",
                f"{member.priority}: 0 and 255 have a meaning of their own; write 1 to 254",
            )
        # Nothing follows from an interval that is refused itself.
        for earlier, other in enumerate(members[:index] if interval_is_valid else ()):
            apart = abs(member.priority - other.priority) * skew_unit_ms / 256
            if apart < LEAST_STAGGER_MS:
                given = "" if settings.nodes[index].priority is not None else " (by default)"
                yield Problem(
                    f"nodes[{index}].priority",
                    f"{member.priority}{given}: takes over {apart:.1f} ms from nodes[{earlier}] with "
                    f"{other.priority}, so that both might; put {least_difference} between them",
                )


def _frontend(settings: VirtualIp) -> Iterator[Problem]:
    frontend = settings.frontend
    if frontend.port < _PRIVILEGED_PORTS:
        yield Problem(
            "frontend.port",
            f"{frontend.port}: the proxy has no privilege to listen there; write 1024 or more, such as 8443",
        )
    if isinstance(frontend, KubernetesApi) and frontend.port == frontend.server_port:
        yield Problem(
            "frontend.port",
            f"{frontend.port}: the API server of the same node listens there on all addresses; write another",
        )
    if isinstance(frontend, ModelApi):
        if frontend.tls_secret_name is None and not frontend.plain_http:
            yield Problem(
                "frontend.tlsSecretName",
                "missing: screenshots and API keys would cross the network readable; name a TLS Secret, or "
                "set plainHttp: true where something else encrypts",
            )
        if frontend.tls_secret_name is not None and frontend.plain_http:
            yield Problem("frontend.plainHttp", "true: tlsSecretName is given too; remove one of them")
    if settings.health_port == settings.peer_port:
        yield Problem("peerPort", f"{settings.peer_port}: healthPort is the same; give each its own")
