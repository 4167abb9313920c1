"""Durations of Prometheus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.monitoring.durations import format_duration, parse_duration


@given(st.integers(min_value=1, max_value=400 * 86_400))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("2m", 120), ("1h30m", 5400), ("15d", 1_296_000), ("1w", 604_800)]
)
def test_texts(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "15", "15 s", "1m1h", "1.5h", "-3m", 15, None, "5y"])
def test_what_is_no_duration_is_refused_with_the_fix(text: object) -> None:
    with pytest.raises(ValueError, match="write a number with a unit"):
        parse_duration(text)
