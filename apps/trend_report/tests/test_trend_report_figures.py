"""Weeks, histograms, numbers: what the report is reckoned with."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trend_report import numbers
from trend_report.errors import BadConfiguration
from trend_report.histogram import Histogram
from trend_report.numbers import Better, Verdict, change
from trend_report.period import HOUR, Week

ZONES = st.sampled_from(
    ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]
).map(ZoneInfo)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, ZONES)
def test_the_last_week_is_over_and_the_next_one_is_not(now: datetime, zone: ZoneInfo) -> None:
    week = Week.ended(now, zone)
    assert week.end <= now.timestamp() < Week(week.monday + timedelta(days=7), zone).end
    assert week.local(week.start).weekday() == 0
    assert week.local(week.start).strftime("%H:%M") == "00:00"


@given(MOMENTS, ZONES)
def test_weeks_follow_each_other_without_gap_and_keep_their_names(now: datetime, zone: ZoneInfo) -> None:
    week = Week.ended(now, zone)
    assert week.before.end == week.start
    assert Week.parse(week.name, zone) == week


@pytest.mark.parametrize(
    ("monday", "hours"), [(date(2026, 10, 19), 169), (date(2026, 3, 23), 167), (date(2026, 11, 9), 168)]
)
def test_a_week_in_which_clocks_change_has_an_hour_more_or_less(monday: date, hours: int) -> None:
    week = Week(monday, ZoneInfo("Europe/Berlin"))
    assert len(week.hours) == hours
    assert week.hours[-1] == week.end
    assert week.hours[0] == week.start + HOUR


@pytest.mark.parametrize("text", ["2026-W54", "2026-46", "W46", "", "2026-W00", "2026-W46x"])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match="write one such as 2026-W46"):
        Week.parse(text, ZoneInfo("UTC"))


def test_days_are_told_with_the_year_where_it_changes() -> None:
    utc = ZoneInfo("UTC")
    assert Week(date(2026, 11, 9), utc).days == "9 Nov to 15 Nov 2026"
    assert Week(date(2025, 12, 29), utc).days == "29 Dec 2025 to 4 Jan 2026"


OBSERVATIONS = st.lists(st.floats(0.01, 5), min_size=1, max_size=200)
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, math.inf)


def counted(observations: list[float]) -> Histogram:
    return Histogram({bound: float(sum(one <= bound for one in observations)) for bound in BOUNDS})


@given(OBSERVATIONS, st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_that_really_holds_it(observations: list[float], wanted: float) -> None:
    estimate = counted(observations).quantile(wanted)
    assert estimate is not None
    exact = sorted(observations)[max(0, math.ceil(wanted * len(observations)) - 1)]
    assert estimate.above <= exact <= estimate.up_to
    assert estimate.above <= estimate.value <= estimate.up_to


@given(OBSERVATIONS)
def test_quantiles_rise_with_what_is_wanted(observations: list[float]) -> None:
    histogram = counted(observations)
    values = [estimate.value for part in (0.1, 0.5, 0.9, 0.99) if (estimate := histogram.quantile(part))]
    assert values == sorted(values)


def test_quantiles_are_interpolated_as_promql_does() -> None:
    # 90 of 100 up to 1, all up to 2: the 95th lies half-way, as histogram_quantile has it.
    estimate = Histogram({1.0: 90.0, 2.0: 100.0, math.inf: 100.0}).quantile(0.95)
    assert estimate is not None
    assert (estimate.value, estimate.above, estimate.up_to) == (1.5, 1.0, 2.0)


def test_beyond_the_last_bound_nothing_is_known() -> None:
    estimate = Histogram({1.0: 50.0, 2.0: 60.0, math.inf: 100.0}).quantile(0.99)
    assert estimate is not None
    assert (estimate.value, estimate.up_to) == (2.0, math.inf)


@pytest.mark.parametrize("counts", [{}, {math.inf: 0.0}, {1.0: 0.0, math.inf: 0.0}, {math.inf: 7.0}])
def test_without_observations_there_is_no_quantile(counts: dict[float, float]) -> None:
    assert Histogram(counts).quantile(0.5) is None


def test_a_part_needs_a_bound_of_the_histogram() -> None:
    histogram = Histogram({1.0: 30.0, math.inf: 40.0})
    assert histogram.part(1.0) == 0.75
    assert histogram.part(0.9) is None
    assert Histogram({}).part(1.0) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0.4 ms"), (0.44703, "447 ms"), (1.07, "1.07 s"), (30.0, "30 s"), (0, "0 ms")],
)
def test_seconds_have_three_digits_and_the_unit_that_fits(value: float, text: str) -> None:
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.9989999, "99.899 %"), (0.999, "99.900 %"), (1, "100 %"), (0.5, "50 %"), (0, "0 %")]
)
def test_availability_is_never_rounded_up_to_a_promise(value: float, text: str) -> None:
    assert numbers.availability(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1_179, "1,179"), (54_535_019, "54.5 million"), (2.79e9, "2.79 billion"), (0, "0")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert numbers.count(value) == text


FINITE = st.floats(0, 1e12, allow_nan=False)


@given(FINITE, FINITE, st.sampled_from(Better), st.none() | st.floats(0, 0.01))
def test_a_change_and_its_reverse_say_the_opposite(
    now: float, before: float, better: Better, points: float | None
) -> None:
    there, back = change(now, before, better, points), change(before, now, better, points)
    opposite = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    if there.arrow == "→" or back.arrow == "→":
        return
    assert {there.arrow, back.arrow} == {"▲", "▼"}
    assert back.verdict is opposite.get(there.verdict, Verdict.NEUTRAL)


@pytest.mark.parametrize(
    ("now", "before", "better", "text", "verdict"),
    [
        (1.07, 0.798, Better.LOWER, "▲ 34 %", Verdict.WORSE),
        (0.9, 1.0, Better.LOWER, "▼ 10 %", Verdict.BETTER),
        (110, 100, Better.NEITHER, "▲ 10 %", Verdict.NEUTRAL),
        (101, 100, Better.LOWER, "→ unchanged", Verdict.NEUTRAL),
        (3, 0, Better.LOWER, "▲ from 0", Verdict.WORSE),
        (0, 0, Better.LOWER, "→ unchanged", Verdict.NEUTRAL),
        (5_000, 10, Better.NEITHER, "▲ 500 times", Verdict.NEUTRAL),
        (None, 1, Better.LOWER, "no data", Verdict.NEUTRAL),
        (1, None, Better.LOWER, "no data", Verdict.NEUTRAL),
    ],
)
def test_changes_in_words(
    now: float | None, before: float | None, better: Better, text: str, verdict: Verdict
) -> None:
    found = change(now, before, better)
    assert (str(found), found.verdict) == (text, verdict)


def test_parts_of_one_change_by_points() -> None:
    assert str(change(0.35, 0.3, Better.NEITHER, 0.005)) == "▲ 5 points"
    assert str(change(0.303, 0.3, Better.NEITHER, 0.005)) == "→ unchanged"
