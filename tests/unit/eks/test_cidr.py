"""The VPC's range is divided once and for all."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.eks.cidr import ZoneSubnets, plan_subnets, usable_addresses
from components.eks.plan import plan_eks
from tests.unit.eks.examples import cluster, problems

LETTERS = "abcdefgh"


@st.composite
def vpc(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(16, 20))
    address = draw(st.integers(0, 2 ** (prefix - 8) - 1)) << (32 - prefix)
    return IPv4Network((int(IPv4Network("10.0.0.0/8").network_address) + address, prefix))


zones = st.lists(st.sampled_from([f"us-east-1{letter}" for letter in LETTERS]), min_size=1, unique=True)


@given(vpc(), zones, st.booleans())
def test_subnets_lie_in_the_range_and_share_no_address(
    cidr: IPv4Network, names: list[str], public: bool
) -> None:
    subnets = [subnet for zone in plan_subnets(cidr, names, public=public) for subnet in zone.all()]
    assert all(subnet.subnet_of(cidr) for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))


@given(vpc(), zones, zones, st.booleans(), st.booleans())
def test_other_zones_their_order_and_public_subnets_move_nothing(
    cidr: IPv4Network, before: list[str], after: list[str], public: bool, public_after: bool
) -> None:
    def private(zone: ZoneSubnets) -> tuple[IPv4Network, ...]:
        return zone.nodes, zone.endpoints, zone.control_plane

    old = {zone.zone: private(zone) for zone in plan_subnets(cidr, before, public=public)}
    new = {zone.zone: private(zone) for zone in plan_subnets(cidr, after, public=public_after)}
    assert all(old[zone] == new[zone] for zone in old.keys() & new.keys())


@given(vpc(), zones)
def test_most_of_a_zone_is_for_nodes_and_nothing_is_smaller_than_aws_wants(
    cidr: IPv4Network, names: list[str]
) -> None:
    for zone in plan_subnets(cidr, names, public=True):
        assert zone.nodes.num_addresses * 16 == cidr.num_addresses
        assert usable_addresses(zone.control_plane) >= 6
        assert usable_addresses(zone.endpoints) >= 13
        assert zone.public is not None
        assert usable_addresses(zone.public) >= 9


def test_the_default_layout() -> None:
    """Written out: nobody's live subnets may move because this code is changed."""
    first, third = plan_subnets(IPv4Network("10.40.0.0/16"), ["us-east-1a", "us-east-1c"], public=True)
    assert [str(subnet) for subnet in first.all()] == [
        "10.40.0.0/20",
        "10.40.16.0/26",
        "10.40.16.64/28",
        "10.40.16.128/26",
    ]
    assert [str(subnet) for subnet in third.all()] == [
        "10.40.64.0/20",
        "10.40.80.0/26",
        "10.40.80.64/28",
        "10.40.80.128/26",
    ]


@pytest.mark.parametrize(
    ("changes", "path", "text"),
    [
        ({"network.cidr": "10.40.0.0/15"}, "network.cidr", "/16 to /20; choose"),
        ({"network.cidr": "10.40.0.0/24"}, "network.cidr", "/16 to /20; choose"),
        ({"network.cidr": "52.0.0.0/16"}, "network.cidr", "not private; choose one in 10.0.0.0/8"),
        ({"network.serviceCidr": "172.20.0.0/25"}, "network.serviceCidr", "/12 to /24"),
        ({"network.serviceCidr": "100.64.0.0/16"}, "network.serviceCidr", "10.0.0.0/8, 172.16.0.0/12 or"),
        (
            {"network.serviceCidr": "10.40.128.0/17"},
            "network.serviceCidr",
            "10.40.128.0/17: overlaps network.cidr 10.40.0.0/16; choose a range of its own",
        ),
        (
            {"network.peerCidrs": ["10.8.0.0/16", "10.40.0.0/14"]},
            "network.peerCidrs[1]",
            "10.40.0.0/14: overlaps network.cidr 10.40.0.0/16",
        ),
        (
            {"network.peerCidrs": ["10.8.0.0/16", "172.20.3.0/24"]},
            "network.peerCidrs[1]",
            "overlaps network.serviceCidr",
        ),
        (
            {"network.peerCidrs": ["10.8.0.0/16", "10.8.4.0/24"]},
            "network.peerCidrs[1]",
            "overlaps network.peerCidrs[0]",
        ),
        ({"api.privateCidrs": ["10.9.0.0/16"]}, "api.privateCidrs[0]", "not within network.peerCidrs"),
        ({"api.publicCidrs": ["0.0.0.0/0"]}, "api.publicCidrs[0]", "admits anyone on the Internet; name"),
        ({"api.publicCidrs": ["::/0"]}, "api.publicCidrs[0]", "admits anyone on the Internet; name"),
        ({"api.publicCidrs": ["0.0.0.0/1"]}, "api.publicCidrs[0]", "admits anyone on the Internet; name"),
        ({"api.publicCidrs": ["10.9.0.0/16"]}, "api.publicCidrs[0]", "not a public range"),
        ({"api.publicCidrs": ["2600:1f00::/24"]}, "api.publicCidrs[0]", "IPv4 addresses only"),
        (
            {"network.nat": {"destinations": ["0.0.0.0/0"]}},
            "network.nat.destinations[0]",
            "admits anyone on the Internet",
        ),
        ({"nodePools[0].maxNodes": 60}, "network.cidr", "10.40.0.0/20 for the nodes of us-east-1a has 4091"),
    ],
)
def test_ranges_that_cannot_work_are_refused(changes: dict[str, object], path: str, text: str) -> None:
    assert [(problem.path, text in problem.message) for problem in problems(changes)] == [(path, True)]


def test_a_named_public_range_may_reach_the_api() -> None:
    planned, found = plan_eks(cluster({"api.publicCidrs": ["198.51.100.0/24"]}), protect=True)
    # A documentation range is no public one (RFC 5737).
    assert planned is None
    assert [problem.path for problem in found] == ["api.publicCidrs[0]"]
    planned, found = plan_eks(cluster({"api.publicCidrs": ["52.28.0.0/24"]}), protect=True)
    assert planned is not None, found
