"""Address ranges: parsed, compared and carved up. No Pulumi in here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from components.common.problems import Problem

Network: TypeAlias = IPv4Network | IPv6Network

WIDEST_TRUSTED: Final = {4: 8, 6: 16}
"""Shortest prefix by IP version that can stand for people one knows. 10.0.0.0/8 is the widest private
network (RFC 1918); the next shorter prefix is a 128th of the Internet or more."""


class CidrError(ValueError):
    """A text is not an address range; the message names the value and the fix."""


def parse_network(value: object) -> Network:
    """The range that a text such as `10.0.0.0/16` stands for; raises CidrError, also if host bits are set."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise CidrError(f"{value!r} is not an address range; write one such as 10.0.0.0/16")
    text = value.strip()
    if "/" not in text:
        raise CidrError(f"{text!r} has no prefix length; write one such as 10.0.0.0/16")
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise CidrError(f"{text!r} is not an address range; write one such as 10.0.0.0/16") from None
    raise CidrError(f"{text!r} has host bits set; write {meant}")


def parse_ipv4_network(value: object) -> IPv4Network:
    """Like `parse_network`, IPv4 only."""
    network = parse_network(value)
    if not isinstance(network, IPv4Network):
        raise CidrError(f"'{network}' is not IPv4; write a range such as 10.0.0.0/16")
    return network


_PREFIXED: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"

_ANY_VERSION: Final = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"

Ipv4Cidr = Annotated[
    IPv4Network,
    BeforeValidator(parse_ipv4_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PREFIXED, "examples": ["10.0.0.0/16"]}),
]
"""An IPv4 range in settings, e.g. `10.0.0.0/16`."""

Cidr = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(parse_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$", "examples": ["10.0.0.0/16"]}
    ),
]
"""An IPv4 or IPv6 range in settings."""


@dataclass(frozen=True)
class NamedRange:
    """A range and the key of the settings that gives it."""

    key: str
    """Path, e.g. `network.podCidr`; or what the range is, where no key gives it."""
    network: Network


def overlaps(ranges: Sequence[NamedRange]) -> Iterator[Problem]:
    """A problem for each range that shares addresses with an earlier one."""
    for index, later in enumerate(ranges):
        for earlier in ranges[:index]:
            if later.network.version == earlier.network.version and _share(later.network, earlier.network):
                yield Problem(
                    later.key,
                    f"{later.network}: overlaps {earlier.key} {earlier.network}; choose a range of its own",
                )


def _share(one: Network, other: Network) -> bool:
    return int(one.network_address) <= int(other.broadcast_address) and int(other.network_address) <= int(
        one.broadcast_address
    )


def is_anyone(network: Network) -> bool:
    """Whether the range is the Internet, or so much of it that it names nobody (also 0.0.0.0/1)."""
    return network.prefixlen < WIDEST_TRUSTED[network.version]


def anyone_problems(ranges: Iterable[NamedRange]) -> Iterator[Problem]:
    """A problem for each range that admits anyone."""
    for item in ranges:
        if is_anyone(item.network):
            yield Problem(
                item.key,
                f"{item.network}: admits anyone on the Internet; name the networks that need access, each at "
                f"least a /{WIDEST_TRUSTED[item.network.version]}",
            )


def outside_problems(ranges: Iterable[NamedRange], block: NamedRange) -> Iterator[Problem]:
    """A problem for each range that is not within `block`."""
    for item in ranges:
        inside = item.network.version == block.network.version and (
            int(block.network.network_address) <= int(item.network.network_address)
            and int(item.network.broadcast_address) <= int(block.network.broadcast_address)
        )
        if not inside:
            yield Problem(
                item.key, f"{item.network}: outside {block.key} {block.network}; choose one within it"
            )


def carve(block: IPv4Network, prefixes: Sequence[int]) -> tuple[IPv4Network, ...]:
    """Disjoint ranges of the given prefix lengths within `block`, each right behind the one before it.

    In the order given and aligned, so that one appended later never moves an earlier one. Raises CidrError
    where the block is too small; its message says how many addresses are needed.
    """
    cursor = int(block.network_address)
    end = int(block.broadcast_address) + 1
    found = []
    for prefix in prefixes:
        size = 1 << (block.max_prefixlen - prefix)
        start = -(-cursor // size) * size
        cursor = start + size
        found.append((start, prefix))
    if cursor > end or any(prefix < block.prefixlen for prefix in prefixes):
        wanted = ", ".join(f"/{prefix}" for prefix in prefixes)
        raise CidrError(
            f"{block}: holds {block.num_addresses} addresses, too few for {wanted} "
            f"({cursor - int(block.network_address)}); choose a wider range or fewer, smaller subnets"
        )
    return tuple(IPv4Network((start, prefix)) for start, prefix in found)
