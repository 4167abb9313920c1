"""Quantities mean what Kubernetes means by them, and what is no quantity is told with its fix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.quantities import (
    QuantityError,
    Resources,
    format_bytes,
    format_millicores,
    human_bytes,
    parse_bytes,
    parse_millicores,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6Gi", 6 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("128k", 128_000),
        (1024, 1024),
        (" 2Ti ", 2**41),
        ("1Ei", 2**60),
    ],
)
def test_bytes(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("6GB", "'6GB' is not a Kubernetes quantity; write 6Gi"),
        ("6gb", "write 6Gi"),
        ("6 GiB", "write 6Gi"),
        ("512mb", "write 512Mi"),
        ("2tib", "write 2Ti"),
        ("6g", "write 6Gi"),
        ("500m", "write 500Mi"),
        ("6Xi", "use one of Ki, Mi, Gi"),
        ("six", "such as 6Gi"),
        ("-1Gi", "such as 6Gi"),
        ("0", "positive"),
        ("1.0000000001Ki", "whole"),
        (True, "such as 6Gi"),
        (None, "such as 6Gi"),
        (["6Gi"], "such as 6Gi"),
    ],
)
def test_no_quantity_is_told_with_the_fix(text: object, fix: str) -> None:
    with pytest.raises(QuantityError, match=fix):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "millicores"), [("1200m", 1200), (2, 2000), (1.5, 1500), ("0.25", 250)])
def test_millicores(text: object, millicores: int) -> None:
    assert parse_millicores(text) == millicores


@pytest.mark.parametrize("text", ["2Gi", "1200M", "0", "0.0001", "", "two", False])
def test_no_cpu_quantity(text: object) -> None:
    with pytest.raises(QuantityError):
        parse_millicores(text)


@given(st.integers(min_value=1, max_value=2**62))
def test_formatted_bytes_mean_the_same(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == size


@given(st.integers(min_value=1, max_value=10**9))
def test_formatted_millicores_mean_the_same(amount: int) -> None:
    assert parse_millicores(format_millicores(amount)) == amount


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_readable_error(text: str) -> None:
    for parse in (parse_bytes, parse_millicores):
        try:
            amount = parse(text)
        except QuantityError as error:
            amount, told = 1, str(error)
        else:
            told = "write"
        assert amount > 0
        assert "write" in told or "use one of" in told


@pytest.mark.parametrize(
    ("size", "text"), [(1536 * 2**20, "1536Mi"), (2**30, "1Gi"), (10**9, "1G"), (1001, "1001"), (1024, "1Ki")]
)
def test_canonical_form_is_the_api_servers(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1 B"), (1536, "1.5 KiB"), (6 * 2**30, "6 GiB"), (2**50, "1024 TiB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_bytes(size) == text


def test_amounts_name_everything() -> None:
    amounts = Resources(1200, 2**30, 2**20, (("nvidia.com/gpu", 2),)).amounts()
    assert amounts == {"cpu": "1200m", "memory": "1Gi", "ephemeral-storage": "1Mi", "nvidia.com/gpu": "2"}
