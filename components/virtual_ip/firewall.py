"""nftables rules of one entry node: who may speak to its virtual router and to its proxy's peer port."""

from __future__ import annotations

from components.virtual_ip.plan import Member, VirtualIpPlan


def table_name(plan: VirtualIpPlan) -> str:
    """Name of the table, in family inet."""
    return f"virtual_ip_{plan.settings.router_id}"


def render_firewall(plan: VirtualIpPlan, member: Member) -> str:
    """A file for `nft -f`: replaces the table as a whole and touches no other.

    Only drops: an accept here could not overrule another table's drop, and other routers' advertisements
    (their ids are the second byte of the VRRP header) are none of its business. A TTL of 255 proves that a
    packet has crossed no router (RFC 5082).
    """
    settings, table = plan.settings, table_name(plan)
    peers = ", ".join(str(peer.address) for peer in plan.peers(member))
    readers = ", ".join(str(cidr) for cidr in settings.metrics_cidrs)
    allowed = f"{peers}, {readers}" if readers else peers
    ours = f"meta l4proto vrrp @th,8,8 {settings.router_id}"
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
    set peers {{
        type ipv4_addr
        elements = {{ {peers} }}
    }}
    set proxy_clients {{
        type ipv4_addr
        flags interval
        auto-merge
        elements = {{ {allowed} }}
    }}
    chain input {{
        type filter hook input priority filter - 10; policy accept;
        {ours} iifname != "{settings.interface}" counter drop
        {ours} ip saddr != @peers counter drop
        {ours} ip ttl != 255 counter drop
        tcp dport {settings.peer_port} ip daddr {member.address} ip saddr != @proxy_clients counter drop
    }}
}}
"""
