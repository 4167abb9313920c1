"""VRRP version 3 advertisements made by hand (RFC 5798, section 5), sent from a namespace of the lab."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

from tests.chaos.virtual_ip.lab import inside

_PROTOCOL = 112
_VERSION_3_ADVERTISEMENT = 0x31


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(
    source: IPv4Address,
    destination: IPv4Address,
    virtual: IPv4Address,
    *,
    router_id: int,
    priority: int,
    advert_ms: int,
    ttl: int = 255,
) -> bytes:
    """An IP packet; its checksum is right, so that nothing but the receiver's own rules can refuse it."""

    def message(checksum: int) -> bytes:
        head = struct.pack(
            "!BBBBHH", _VERSION_3_ADVERTISEMENT, router_id, priority, 1, advert_ms // 10, checksum
        )
        return head + virtual.packed

    length = len(message(0))
    pseudo = source.packed + destination.packed + struct.pack("!BBH", 0, _PROTOCOL, length)
    body = message(_checksum(pseudo + message(0)))
    # The kernel fills in length, id and header checksum.
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + length, 0, 0, ttl, _PROTOCOL, 0)
    return header + source.packed + destination.packed + body


def send(namespace: str, packet: bytes, destination: IPv4Address) -> None:
    """Send a whole IP packet, whatever its source address says."""
    with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as connection:
        connection.sendto(packet, (str(destination), 0))
