"""What is planned, and what is refused: each with its key, its value and the fix."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.virtual_ip.plan import shared_segment_problems
from tests.unit.virtual_ip.examples import document, plan, refused, settings


def test_defaults_are_the_common_example() -> None:
    planned = plan()
    assert planned.settings.instance == "VI_1"
    assert planned.settings.router_id == 51
    assert str(planned.address) == "192.168.1.100/24"
    assert planned.members[0].priority == 100


def test_priorities_fall_in_the_order_of_the_nodes() -> None:
    assert [member.priority for member in plan().members] == [100, 67, 34]


def test_f47_address_outside_its_subnet() -> None:
    (first, *_) = refused(address="192.168.2.100/24")
    assert first == (
        "address: 192.168.2.100/24: nodes[0].address 192.168.1.11 is not in 192.168.2.0/24; "
        "the virtual address and its holders share a network: correct one of the two"
    )


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("192.168.1.0/24", "network or broadcast address of 192.168.1.0/24"),
        ("192.168.1.255/24", "network or broadcast address"),
        ("192.168.1.100/32", "/32 is no network of nodes"),
        ("192.168.1.300/24", "not an IPv4 address with prefix"),
        ("192.168.1.100/33", "not an IPv4 address with prefix"),
    ],
)
def test_f47_address_that_cannot_be_one(address: str, says: str) -> None:
    (problem,) = refused(address=address)
    assert problem.startswith(f"address: {address}: ")
    assert says in problem


@pytest.mark.parametrize("router_id", [0, 256, -1])
def test_f47_router_id_out_of_range(router_id: int) -> None:
    assert refused(routerId=router_id) == [
        f"routerId: {router_id}: a virtual router id is one byte, not 0; write 1 to 255"
    ]


def test_f48_router_id_that_others_use() -> None:
    assert refused(foreignRouterIds=[7, 51]) == [
        "routerId: 51: foreignRouterIds[1] says that others use it; choose another"
    ]


def test_f48_duplicate_router_id_and_address_of_two_virtual_ips() -> None:
    problems = shared_segment_problems([("api", settings()), ("models", settings())])
    assert {problem.path for problem in problems} == {
        "models.routerId",
        "models.address",
        "models.healthPort",
        "models.peerPort",
    }
    other = settings(address="192.168.1.101/24", routerId=52, healthPort=8414, peerPort=8415)
    assert shared_segment_problems([("api", settings()), ("models", other)]) == []


@pytest.mark.parametrize(
    ("key", "nodes"),
    [
        ("address", [("a", "192.168.1.11", None), ("b", "192.168.1.11", None)]),
        ("name", [("a", "192.168.1.11", None), ("a", "192.168.1.12", None)]),
        ("priority", [("a", "192.168.1.11", 7), ("b", "192.168.1.12", 7)]),
    ],
)
def test_f48_duplicate_among_the_nodes(key: str, nodes: list[tuple[str, str, int | None]]) -> None:
    given = [
        {"name": name, "address": address} | ({"priority": priority} if priority else {})
        for name, address, priority in nodes
    ]
    (problem,) = refused(nodes=given)
    assert problem.startswith(f"nodes[1].{key}: ")
    assert "same" in problem or "both might" in problem


def test_priorities_so_close_that_two_could_take_over_at_once() -> None:
    nodes = [
        {"name": "a", "address": "192.168.1.11", "priority": 101},
        {"name": "b", "address": "192.168.1.12"},
        {"name": "c", "address": "192.168.1.13", "priority": 66},
    ]
    assert refused(nodes=nodes) == [
        "nodes[2].priority: 66: takes over 1.2 ms from nodes[1] with 67, so that both might; "
        "put 9 between them"
    ]


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"nodes": [{"name": "a", "address": "192.168.1.11"}]}, "nodes: 1 node: nothing could take over"),
        ({"advertIntervalMs": 305}, "advertIntervalMs: 305: VRRP version 3 takes 150 to 40950"),
        ({"advertIntervalMs": 50}, "advertIntervalMs: 50: "),
        ({"vrrpVersion": 2}, "advertIntervalMs: 300: VRRP version 2 takes 1000 to 255000"),
        ({"peerPort": 8404}, "peerPort: 8404: healthPort is the same"),
        (
            {"frontend": {"kind": "model-api", "port": 443, "plainHttp": True}},
            "frontend.port: 443: the proxy has no privilege to listen there",
        ),
        ({"frontend": {"kind": "model-api"}}, "frontend.tlsSecretName: missing: screenshots and API keys"),
        (
            {"frontend": {"kind": "model-api", "tlsSecretName": "x", "plainHttp": True}},
            "frontend.plainHttp: true: tlsSecretName is given too",
        ),
        (
            {"frontend": {"kind": "kubernetes-api", "port": 6443}},
            "frontend.port: 6443: the API server of the same node",
        ),
    ],
)
def test_refused(changes: dict[str, Any], begins: str) -> None:
    (problem,) = refused(**changes)
    assert problem.startswith(begins)


@pytest.mark.parametrize("priority", [0, 255])
def test_priorities_with_a_meaning_of_their_own_are_refused(priority: int) -> None:
    nodes = [
        {"name": "a", "address": "192.168.1.11", "priority": priority},
        {"name": "b", "address": "192.168.1.12"},
    ]
    problem = refused(nodes=nodes)[0]
    assert problem.startswith(f"nodes[0].priority: {priority}: 0 and 255 have a meaning")


def test_the_virtual_address_is_no_nodes_own() -> None:
    nodes = [{"name": "a", "address": "192.168.1.100"}, {"name": "b", "address": "192.168.1.12"}]
    assert refused(nodes=nodes)[0].startswith(
        "nodes[0].address: 192.168.1.100: is the virtual address itself"
    )


def test_everything_is_told_at_once() -> None:
    problems = refused(routerId=0, address="10.0.0.1/24", advertIntervalMs=1, frontend={"kind": "model-api"})
    assert {problem.partition(":")[0] for problem in problems} == {
        "routerId",
        "address",
        "advertIntervalMs",
        "frontend.tlsSecretName",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"routerId": "51"},
        {"interface": "eth0; reboot"},
        {"address": "192.168.1.100"},
        {"virtualRouterId": 51},
    ],
)
def test_what_has_not_even_the_form_is_refused_by_the_schema(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_f53_an_unknown_key_names_itself() -> None:
    with pytest.raises(ValidationError, match="virtualRouterId"):
        settings(virtualRouterId=51)


@pytest.mark.parametrize(("nodes", "needed"), [(2, 0), (3, 1), (4, 2), (5, 2)])
def test_a_majority_counts_the_node_itself(nodes: int, needed: int) -> None:
    given = [{"name": f"n{index}", "address": f"192.168.1.{10 + index}"} for index in range(nodes)]
    assert plan(nodes=given).needed_peers == needed
    assert plan(nodes=given, quorum=False).needed_peers == 0


def test_the_examples_document_is_complete() -> None:
    assert set(document()) == {"nodes", "frontend"}
