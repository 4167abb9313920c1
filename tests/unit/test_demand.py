"""Demands on a quota add up."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from components.common.demand import Demand

DEMANDS = st.builds(Demand, *(st.integers(0, 10**15) for _ in fields(Demand)))


@given(DEMANDS, DEMANDS)
def test_every_field_is_added(one: Demand, other: Demand) -> None:
    for field in fields(Demand):
        together = getattr(one, field.name) + getattr(other, field.name)
        assert getattr(one + other, field.name) == together


@given(DEMANDS, st.integers(0, 5))
def test_a_number_of_the_same_is_their_sum(one: Demand, number: int) -> None:
    assert one * number == sum([one] * number, Demand())
