"""Sets of integers as ranges: ports, and addresses of both IP versions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_IPV6: Final = 1 << 40
"""Where IPv6 begins among the integers that stand for addresses: above all of IPv4."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of integers: first and last of each range, ascending, with a gap between any two."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Ranges:
        """The set of all integers in the spans, which may overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.spans)

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges.of((*self.spans, *other.spans)) if self.spans and other.spans else self or other

    def __and__(self, other: Ranges) -> Ranges:
        return Ranges(tuple(_common(self.spans, other.spans)))

    def __sub__(self, other: Ranges) -> Ranges:
        left = list(self.spans)
        for first, last in other.spans:
            left = [
                piece
                for low, high in left
                for piece in ((low, min(high, first - 1)), (max(low, last + 1), high))
                if piece[0] <= piece[1]
            ]
        return Ranges.of(left)

    def __le__(self, other: Ranges) -> bool:
        """Whether it is a subset."""
        return not self - other


def _common(
    one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            yield first, last
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1


EMPTY: Final = Ranges()
ALL_PORTS: Final = Ranges(((1, 65535),))


def addresses(*cidrs: str | IPv4Network | IPv6Network) -> Ranges:
    """The addresses of networks; raises ValueError for what is none."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    return Ranges.of(
        (offset + int(network.network_address), offset + int(network.broadcast_address))
        for network in networks
        for offset in (0 if network.version == 4 else _IPV6,)
    )


EVERY_IPV4: Final = addresses("0.0.0.0/0")
EVERY_IPV6: Final = addresses("::/0")


def networks(ranges: Ranges) -> Iterator[IPv4Network | IPv6Network]:
    """The fewest networks that hold exactly these addresses."""
    for first, last in (ranges & EVERY_IPV4).spans:
        yield from ipaddress.summarize_address_range(IPv4Address(first), IPv4Address(last))
    for first, last in (ranges & EVERY_IPV6).spans:
        low, high = IPv6Address(first - _IPV6), IPv6Address(last - _IPV6)
        yield from ipaddress.summarize_address_range(low, high)


def port_text(ports: Ranges) -> str:
    """`80, 8000-8010`, or `any`."""
    if ports == ALL_PORTS:
        return "any"
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ports.spans)
