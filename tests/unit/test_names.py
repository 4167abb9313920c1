"""Names stay within what Kubernetes accepts and do not collide."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from components.common.labels import object_labels, selector_labels
from components.common.names import DNS_LABEL, MAX_NAME, bounded_name, label_value

labels = st.from_regex(re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII), fullmatch=True)


@given(labels, st.sampled_from(["weights", "source", "fetch"]))
def test_bounded_names_are_labels(model: str, suffix: str) -> None:
    assert re.fullmatch(DNS_LABEL, bounded_name(model, suffix))


@given(labels, labels)
def test_different_parts_give_different_names(one: str, other: str) -> None:
    assert (bounded_name(one, "fetch") == bounded_name(other, "fetch")) == (one == other)


def test_short_names_are_kept() -> None:
    assert bounded_name("phone", "weights") == "phone-weights"


def test_long_names_end_in_a_digest() -> None:
    name = bounded_name("a" * 63, "weights")
    assert len(name) == MAX_NAME
    assert name.startswith("a" * 40)


@given(st.text(max_size=200))
def test_label_values_are_acceptable(text: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", label_value(text))


def test_selectors_carry_no_version() -> None:
    selector = selector_labels("server", "phone")
    with_version = object_labels("server", "phone", component="inference", version="0.32.0")
    assert selector.items() <= with_version.items()
    assert not any("version" in key for key in selector)
