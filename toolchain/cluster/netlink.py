"""Reading the kernel's network state over netlink, before any tool is installed.

Only dumps: interfaces' addresses, routes, nf_tables tables with their chains and rules, and IP sets.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NETLINK_ROUTE = 0
_NETLINK_NETFILTER = 12
_NLM_F_REQUEST = 0x1
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
# linux/rtnetlink.h
_RTM_GETADDR = 22
_RTM_GETROUTE = 26
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF = 1, 4
# linux/netfilter/nfnetlink.h, nf_tables.h, ipset/ip_set.h
_NFNL_SUBSYS_IPSET = 6
_NFNL_SUBSYS_NFTABLES = 10
_NFT_MSG_GETTABLE, _NFT_MSG_GETCHAIN, _NFT_MSG_GETRULE, _NFT_MSG_GETSET = 1, 4, 7, 10
_NFTA_TABLE_NAME, _NFTA_CHAIN_TABLE, _NFTA_CHAIN_NAME = 1, 1, 3
_IPSET_CMD_LIST = 7
_IPSET_ATTR_PROTOCOL, _IPSET_ATTR_SETNAME, _IPSET_ATTR_FLAGS = 1, 2, 6
_IPSET_PROTOCOL = 6
_IPSET_FLAG_LIST_SETNAME = 1 << 1
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def _attributes(payload: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(payload) >= 4:
        length, kind = struct.unpack_from("=HH", payload)
        if length < 4:
            break
        found[kind & 0x3FFF] = payload[4:length]
        payload = payload[(length + 3) & ~3 :]
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def _dump(protocol: int, kind: int, body: bytes) -> Iterator[bytes]:
    """Bodies of the messages that answer a dump request.

    Raises OSError when the kernel has no such subsystem.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as connection:
        connection.settimeout(10)
        connection.bind((0, 0))
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        connection.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        while True:
            data = connection.recv(1 << 18)
            while data:
                length, message_kind = struct.unpack_from("=IH", data)
                message = data[16:length]
                if message_kind == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                if message_kind == _NLMSG_DONE:
                    # A dump that cannot start at all reports its error here.
                    code = -struct.unpack_from("=i", message)[0] if len(message) >= 4 else 0
                    if code > 0:
                        raise OSError(code, os.strerror(code))
                    return
                yield message
                data = data[(length + 3) & ~3 :]


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


@dataclass(frozen=True)
class Address:
    """An address of an interface."""

    interface: str
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True)
class Route:
    """A route, whatever its table; a default route has the prefix length 0."""

    interface: str
    destination: IPNetwork


def interfaces() -> set[str]:
    """Names of the interfaces of this network namespace; /sys may show those of another one."""
    return {name for _, name in socket.if_nameindex()}


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"#{index}"


def addresses() -> list[Address]:
    """Every address of every interface."""
    found = []
    for message in _dump(_NETLINK_ROUTE, _RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        _, prefix, _, _, index = struct.unpack_from("=BBBBI", message)
        attributes = _attributes(message[8:])
        raw = attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]
        found.append(
            Address(_interface(index), ipaddress.ip_interface(f"{ipaddress.ip_address(raw)}/{prefix}"))
        )
    return found


def routes() -> list[Route]:
    """Every route of every table."""
    found = []
    for message in _dump(_NETLINK_ROUTE, _RTM_GETROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, prefix = struct.unpack_from("=BB", message)
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        attributes = _attributes(message[12:])
        raw = attributes.get(_RTA_DST, b"\0" * (4 if family == socket.AF_INET else 16))
        index = struct.unpack("=I", attributes[_RTA_OIF])[0] if _RTA_OIF in attributes else 0
        network = ipaddress.ip_network(f"{ipaddress.ip_address(raw)}/{prefix}", strict=False)
        found.append(Route(_interface(index) if index else "", network))
    return found


def _nftables(command: int) -> Iterator[tuple[str, dict[int, bytes]]]:
    kind = _NFNL_SUBSYS_NFTABLES << 8 | command
    for message in _dump(_NETLINK_NETFILTER, kind, struct.pack("=BBH", 0, 0, 0)):
        yield _FAMILIES.get(message[0], str(message[0])), _attributes(message[4:])


def nft_tables() -> list[str]:
    """Names such as `ip filter`; raises OSError when the kernel has no nf_tables."""
    return sorted(
        f"{family} {_text(found[_NFTA_TABLE_NAME])}" for family, found in _nftables(_NFT_MSG_GETTABLE)
    )


def nft_chains() -> list[str]:
    """Names such as `ip filter FORWARD`."""
    return sorted(
        f"{family} {_text(found[_NFTA_CHAIN_TABLE])} {_text(found[_NFTA_CHAIN_NAME])}"
        for family, found in _nftables(_NFT_MSG_GETCHAIN)
    )


def nft_rules() -> dict[str, int]:
    """Number of rules of each chain that has any; the attributes of rules begin like those of chains."""
    counts: dict[str, int] = {}
    for family, found in _nftables(_NFT_MSG_GETRULE):
        # NFTA_RULE_TABLE = 1, NFTA_RULE_CHAIN = 2
        chain = f"{family} {_text(found[1])} {_text(found[2])}"
        counts[chain] = counts.get(chain, 0) + 1
    return counts


def ip_sets() -> list[str]:
    """Names of the IP sets; raises OSError when the kernel has no ip_set."""
    body = struct.pack("=BBH", socket.AF_INET, 0, 0)
    body += _attribute(_IPSET_ATTR_PROTOCOL, bytes([_IPSET_PROTOCOL]))
    # Attributes of ip_set are in network byte order, marked by NLA_F_NET_BYTEORDER.
    body += _attribute(_IPSET_ATTR_FLAGS | 0x4000, struct.pack("!I", _IPSET_FLAG_LIST_SETNAME))
    kind = _NFNL_SUBSYS_IPSET << 8 | _IPSET_CMD_LIST
    return sorted(
        _text(attributes[_IPSET_ATTR_SETNAME])
        for attributes in (_attributes(message[4:]) for message in _dump(_NETLINK_NETFILTER, kind, body))
        if _IPSET_ATTR_SETNAME in attributes
    )
