"""Demands on a quota add up."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from components.common.demand import Demand, pod_demand
from components.common.quantities import Resources
from components.tenant_namespace.component import Quota

DEMANDS = st.builds(Demand, *(st.integers(0, 10**15) for _ in fields(Demand)))


@given(DEMANDS, DEMANDS)
def test_every_field_is_added(one: Demand, other: Demand) -> None:
    for field in fields(Demand):
        together = getattr(one, field.name) + getattr(other, field.name)
        assert getattr(one + other, field.name) == together


@given(DEMANDS, st.integers(0, 5))
def test_a_number_of_the_same_is_their_sum(one: Demand, number: int) -> None:
    assert one * number == sum([one] * number, Demand())


def test_a_quota_holds_every_part_of_a_demand() -> None:
    for field in fields(Demand):
        assert Quota.of(Demand(**{field.name: 1})) != Quota.of(Demand()), field.name


def test_a_pod_without_a_volume_takes_no_claim() -> None:
    container = Resources(cpu=100, memory=200, ephemeral_storage=300)
    assert pod_demand(container) == Demand(100, 100, 200, 300, pods=1)
    assert pod_demand(container, storage=7, jobs=2) == Demand(100, 100, 200, 300, 7, 1, 1, 2)
