"""Which pods fit on which node pools."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.accelerators.shapes import NodePoolShape, Taint
from components.common.quantities import GIB
from stacks.placement import NODE_AGENTS, Pods, available, candidates, excess, pods_that_fit, tolerated

GPU = Taint("nvidia.com/gpu", "present", "NoSchedule")
SYSTEM = NodePoolShape(
    name="system",
    labels={},
    taints=(),
    allocatable={"cpu": 4500, "memory": 17 * GIB, "ephemeral-storage": 92 * GIB, "pods": 110},
    accelerator=None,
    accelerator_memory=None,
    min_nodes=3,
    max_nodes=3,
    zones=("a", "b", "c"),
    machine_type="cpu",
)
CARDS = replace(
    SYSTEM,
    name="cards",
    taints=(GPU,),
    allocatable={"cpu": 8500, "memory": 65 * GIB, "ephemeral-storage": 202 * GIB, "nvidia.com/gpu": 2},
    accelerator="L40S",
    accelerator_memory=44 * GIB,
    max_nodes=2,
)
POOLS = (SYSTEM, CARDS)


def server(cards: int = 1, cpu: int = 4000, count: int = 1) -> Pods:
    return Pods({"cpu": cpu, "memory": 30 * GIB, "nvidia.com/gpu": cards}, count, "cards")


def job(cpu: int = 1000, count: int = 1) -> Pods:
    return Pods({"cpu": cpu, "memory": GIB}, count)


def test_pods_without_a_pool_go_where_no_taint_repels_them() -> None:
    assert candidates(job(), POOLS) == (SYSTEM,)


def test_a_taint_that_only_prefers_repels_nobody() -> None:
    preferring = replace(CARDS, taints=(Taint("spot", "true", "PreferNoSchedule"),))
    assert tolerated(preferring) == ()
    assert candidates(job(), (preferring,)) == (preferring,)


def test_agents_of_the_node_come_off_what_it_has() -> None:
    assert available(SYSTEM)["cpu"] == 4500 - NODE_AGENTS["cpu"]
    assert available(CARDS)["nvidia.com/gpu"] == 2


@pytest.mark.parametrize(
    ("pods", "missing"),
    [
        (server(cards=3), ("nvidia.com/gpu",)),
        (server(cpu=9000), ("cpu",)),
        (server(cards=4, cpu=9000), ("cpu", "nvidia.com/gpu")),
        (server(), ()),
    ],
)
def test_what_a_pod_asks_beyond_an_empty_node_is_named(pods: Pods, missing: tuple[str, ...]) -> None:
    assert excess(pods.amounts, CARDS) == missing


def test_an_accelerator_that_no_node_has_is_beyond_it() -> None:
    assert excess({"google.com/tpu": 1}, CARDS) == ("google.com/tpu",)


def test_pods_are_counted_node_by_node() -> None:
    # Two nodes of 8000m: two pods of 4000m each, though three of 5000m would fit into 16000m.
    assert pods_that_fit(server(cpu=4000), [], POOLS) == 4
    assert pods_that_fit(server(cpu=5000), [], POOLS) == 2


def test_other_pods_take_their_place_first() -> None:
    assert pods_that_fit(server(), [server(count=3)], POOLS) == 1
    assert pods_that_fit(server(), [job(cpu=4000, count=3)], POOLS) == 4


amounts = st.integers(min_value=1, max_value=9000)


@given(cpu=amounts, other=amounts, count=st.integers(min_value=0, max_value=6))
def test_more_of_the_others_never_makes_more_room(cpu: int, other: int, count: int) -> None:
    pods = Pods({"cpu": cpu}, 1, "cards")
    others = Pods({"cpu": other}, count, "cards")
    fewer = pods_that_fit(pods, [replace(others, count=count)], POOLS)
    assert fewer >= pods_that_fit(pods, [replace(others, count=count + 1)], POOLS)


@given(cpu=amounts)
def test_what_fits_never_exceeds_what_there_is(cpu: int) -> None:
    fitting = pods_that_fit(Pods({"cpu": cpu}, 1, "cards"), [], POOLS)
    assert fitting * cpu <= CARDS.max_nodes * available(CARDS)["cpu"]


def test_the_others_may_be_spread_over_all_nodes() -> None:
    # Packed on one node the two small ones would leave the other to the large one; the scheduler spreads.
    assert pods_that_fit(server(cards=2), [server(cards=1, count=2)], POOLS) == 0


def test_a_node_has_room_for_so_many_pods() -> None:
    tiny = Pods({"cpu": 1, "pods": 1}, 1)
    per_node = SYSTEM.allocatable["pods"] - NODE_AGENTS["pods"]
    assert pods_that_fit(tiny, [], (SYSTEM,)) == min(1000, per_node * SYSTEM.max_nodes)


sizes = st.fixed_dictionaries(
    {"cpu": st.integers(0, 8), "memory": st.integers(0, 8), "nvidia.com/gpu": st.sampled_from([0, 1, 2, 4])}
)


@given(
    room=st.fixed_dictionaries(
        {"cpu": st.integers(1, 16), "memory": st.integers(1, 16), "nvidia.com/gpu": st.integers(0, 8)}
    ),
    nodes=st.integers(1, 3),
    one=sizes.filter(lambda size: any(size.values())),
    others=st.lists(st.tuples(sizes, st.integers(1, 2)), max_size=2),
)
def test_never_more_than_the_worst_placement_of_the_others_leaves(
    room: dict[str, int], nodes: int, one: dict[str, int], others: list[tuple[dict[str, int], int]]
) -> None:
    allocatable = {name: amount + NODE_AGENTS.get(name, 0) for name, amount in room.items()}
    pool = replace(SYSTEM, allocatable=allocatable, max_nodes=nodes)
    placed = [Pods(size, count) for size, count in others]
    assert pods_that_fit(Pods(one, 1), placed, (pool,)) <= _left_at_worst(one, room, placed, nodes)


def _left_at_worst(one: dict[str, int], room: dict[str, int], others: list[Pods], nodes: int) -> int:
    """By trying every placement of the others, those included that leave some of them out."""
    units = [other.amounts for other in others for _ in range(other.count)]

    def places(free: tuple[tuple[int, ...], ...]) -> int:
        names = list(room)
        return sum(
            min(
                (have // one[name] for name, have in zip(names, node, strict=True) if one[name]), default=1000
            )
            for node in free
        )

    seen = {tuple(tuple(room.values()) for _ in range(nodes))}
    for unit in units:
        wanted = [unit[name] for name in room]
        for free in list(seen):
            for index, node in enumerate(free):
                rest = tuple(have - want for have, want in zip(node, wanted, strict=True))
                if min(rest) >= 0:
                    seen.add((*free[:index], rest, *free[index + 1 :]))
    return min(places(free) for free in seen)
