"""Ranges that the host does not use, what pods resolve with, and what is taken away again."""

from __future__ import annotations

import ipaddress

import pytest

from toolchain.cluster import network
from toolchain.errors import ToolchainError


def _networks(*texts: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(text) for text in texts]


def test_pods_services_and_node_are_apart() -> None:
    ranges = network.choose_ranges([])
    assert not ranges.pods.overlaps(ranges.services)
    assert ranges.node not in ranges.pods
    assert ranges.node not in ranges.services
    assert ranges.dns in ranges.services


@pytest.mark.parametrize("route", ["10.244.3.0/24", "10.246.0.1/32", "10.0.0.0/8"])
def test_a_route_of_the_host_moves_the_ranges(route: str) -> None:
    ranges = network.choose_ranges(_networks(route))
    taken = ipaddress.IPv4Network(route)
    assert not ranges.pods.overlaps(taken)
    assert not ranges.services.overlaps(taken)
    assert ranges.node not in taken


def test_default_routes_and_ipv6_do_not_count() -> None:
    assert network.choose_ranges(_networks("0.0.0.0/0", "::/0", "fd00::/8")) == network.choose_ranges([])


def test_no_free_range_is_an_error_that_names_the_routes() -> None:
    with pytest.raises(ToolchainError, match=r"overlap routes of this host .*10\.0\.0\.0/8"):
        network.choose_ranges(_networks("10.0.0.0/8", "172.16.0.0/12"))


def test_pods_do_not_resolve_with_loopback_servers() -> None:
    servers = ("127.0.0.53", "::1", "fe80::1%eth0", "192.0.2.53")
    text = "# stub\nsearch a b\n" + "".join(f"nameserver {server}\n" for server in servers)
    assert network.upstream_name_servers(text) == ["192.0.2.53"]


def test_only_own_and_empty_new_tables_are_removed() -> None:
    now = ["inet firewalld", "ip filter", "ip kube-proxy", "ip mangle", "ip nat", "ip raw"]
    rules = {"ip nat DOCKER": 2, "inet firewalld filter_INPUT": 9}
    # raw was there before; nat holds somebody's rules; firewalld's is nobody's business.
    removed = network.leftover_tables(now, before=["ip raw", "inet firewalld"], rules=rules)
    assert removed == ["ip filter", "ip kube-proxy", "ip mangle"]


SAVED = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
:KUBE-NWPLCY-DEFAULT - [0:0]
-A INPUT -m comment --comment "kube-router netpol" -j KUBE-ROUTER-INPUT
-A FORWARD -j DOCKER
-A KUBE-ROUTER-INPUT -j ACCEPT
-A DOCKER -j RETURN
COMMIT
"""


def test_only_the_policy_controllers_chains_are_removed() -> None:
    script = network.without_own_chains(SAVED)
    assert script is not None
    assert script.splitlines() == [
        "*filter",
        '-D INPUT -m comment --comment "kube-router netpol" -j KUBE-ROUTER-INPUT',
        "-F KUBE-ROUTER-INPUT",
        "-F KUBE-NWPLCY-DEFAULT",
        "-X KUBE-ROUTER-INPUT",
        "-X KUBE-NWPLCY-DEFAULT",
        "COMMIT",
    ]


def test_a_filter_table_without_own_chains_is_left_alone() -> None:
    assert network.without_own_chains("*filter\n:INPUT ACCEPT [0:0]\n:DOCKER - [0:0]\nCOMMIT\n") is None
