"""Bounds of a failover, against the RFC's formulas and for all settings."""

from __future__ import annotations

import pytest
from hypothesis import given

from components.virtual_ip.plan import VirtualIpPlan
from components.virtual_ip.timing import failover, master_down_ms, skew_ms
from tests.unit.virtual_ip.examples import plan, plans


def test_version_3_at_300_ms_takes_over_after_about_1_1_seconds() -> None:
    assert plan().failover.crash_ms == pytest.approx(900 + 189 * 300 / 256)


def test_version_2_skews_by_parts_of_a_second() -> None:
    assert master_down_ms(100, 1000, 2) == pytest.approx(3000 + 156 * 1000 / 256)
    assert skew_ms(254, 1000, 2) < 8


@given(plans())
def test_a_holder_that_is_cut_off_gives_up_before_another_takes_over(planned: VirtualIpPlan) -> None:
    assert planned.failover.one_holder


@given(plans())
def test_a_farewell_is_quicker_than_a_crash(planned: VirtualIpPlan) -> None:
    bounds = planned.failover
    assert bounds.graceful_ms < bounds.crash_ms
    assert bounds.crash_ms - bounds.graceful_ms == pytest.approx(3 * planned.settings.advert_interval_ms)


def test_the_slowest_successor_bounds_the_crash() -> None:
    assert failover([100, 50], 300, 3).crash_ms == master_down_ms(50, 300, 3)
