"""Address ranges: what is parsed, refused, compared and carved up."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.cidr import (
    CidrError,
    NamedRange,
    anyone_problems,
    carve,
    is_anyone,
    outside_problems,
    overlaps,
    parse_ipv4_network,
    parse_network,
)

ipv4_networks = st.builds(
    lambda address, prefix: ip_network((address, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


def test_parsed() -> None:
    assert parse_network("10.0.0.0/16") == IPv4Network("10.0.0.0/16")
    assert parse_network(" fd00::/8 ") == IPv6Network("fd00::/8")
    assert parse_network(IPv4Network("10.0.0.0/16")) == IPv4Network("10.0.0.0/16")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("10.0.0.1/16", "'10.0.0.1/16' has host bits set; write 10.0.0.0/16"),
        ("10.0.0.0", "'10.0.0.0' has no prefix length; write one such as 10.0.0.0/16"),
        ("10.0.0/16", "'10.0.0/16' is not an address range; write one such as 10.0.0.0/16"),
        ("10.0.0.0/33", "'10.0.0.0/33' is not an address range; write one such as 10.0.0.0/16"),
        (10, "10 is not an address range; write one such as 10.0.0.0/16"),
        (None, "None is not an address range; write one such as 10.0.0.0/16"),
    ],
)
def test_refused_with_the_fix(value: object, message: str) -> None:
    with pytest.raises(CidrError) as refusal:
        parse_network(value)
    assert str(refusal.value) == message


def test_ipv4_only() -> None:
    with pytest.raises(CidrError, match="is not IPv4"):
        parse_ipv4_network("fd00::/8")


@given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.binary(), st.floats()))
def test_whatever_is_written_is_parsed_or_refused(value: object) -> None:
    try:
        network = parse_network(value)
    except CidrError:
        return
    assert isinstance(network, IPv4Network | IPv6Network)


@given(ipv4_networks, ipv4_networks)
def test_overlaps_are_those_of_the_standard_library(one: IPv4Network, other: IPv4Network) -> None:
    found = list(overlaps([NamedRange("a", one), NamedRange("b", other)]))
    assert [problem.path for problem in found] == (["b"] if one.overlaps(other) else [])


def test_the_versions_never_overlap() -> None:
    ranges = [NamedRange("a", ip_network("0.0.0.0/0")), NamedRange("b", ip_network("::/0"))]
    assert not list(overlaps(ranges))


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/5", "2000::/3"])
def test_half_the_internet_is_anyone(text: str) -> None:
    assert is_anyone(ip_network(text))
    (problem,) = anyone_problems([NamedRange("sources[0]", ip_network(text))])
    assert problem.path == "sources[0]"
    assert text in problem.message


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"])
def test_a_network_that_somebody_has_is_not_anyone(text: str) -> None:
    assert not is_anyone(ip_network(text))
    assert not list(anyone_problems([NamedRange("sources[0]", ip_network(text))]))


@given(ipv4_networks, ipv4_networks)
def test_outside_is_not_a_subnet(inner: IPv4Network, outer: IPv4Network) -> None:
    found = list(outside_problems([NamedRange("inner", inner)], NamedRange("outer", outer)))
    assert bool(found) == (not inner.subnet_of(outer))


@given(st.integers(8, 24), st.lists(st.integers(8, 30), max_size=12))
def test_carved_ranges_are_disjoint_and_within(prefix: int, wanted: list[int]) -> None:
    block = ip_network((10 << 24, prefix))
    assert isinstance(block, IPv4Network)
    try:
        found = carve(block, wanted)
    except CidrError:
        return
    assert [network.prefixlen for network in found] == wanted
    assert all(network.subnet_of(block) for network in found)
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))


@given(st.lists(st.integers(18, 28), max_size=8), st.integers(18, 28))
def test_a_range_appended_moves_no_other(wanted: list[int], further: int) -> None:
    block = IPv4Network("10.0.0.0/12")
    assert carve(block, [*wanted, further])[:-1] == carve(block, wanted)


def test_a_block_that_is_too_small_says_how_much_is_needed() -> None:
    with pytest.raises(CidrError, match=r"holds 256 addresses, too few for /25, /25, /28 \(272\)"):
        carve(IPv4Network("10.0.0.0/24"), (25, 25, 28))
    with pytest.raises(CidrError, match="too few for /16"):
        carve(IPv4Network("10.0.0.0/24"), (16,))
