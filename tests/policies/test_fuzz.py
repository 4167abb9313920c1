"""Hostile input: no rule ever raises, whatever it is given."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.catalogue import RULES, STACK_RULES
from policies.resource import Resource
from policies.rule import Stack, StackResource
from policies.values import UNKNOWN, quantity, show
from tests.policies.examples import GOOD

_KEYS = sorted(
    {key for _, properties in GOOD.values() for key in re.findall(r"'([A-Za-z./-]+)':", str(properties))}
    | {
        "items",
        "hostPath",
        "hostNetwork",
        "ephemeralContainers",
        "matchExpressions",
        "operator",
        "key",
        "kind",
    }
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(pow, st.just(10), st.just(5000)),
    st.floats(),
    st.text(max_size=40),
    st.just(UNKNOWN),
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "1e99",
            "9" * 30,
            "1Ki",
            "٣",
            "Memory",
            "Always",
            "All",
            "In",
            "Exists",
            "0.0.0.0/0",
            "::/0",
            "100%",
        ]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(_KEYS), st.text(max_size=8)), inner, max_size=5),
    ),
    max_leaves=25,
)
_TOKENS = st.one_of(
    st.sampled_from(
        sorted({token for token, _ in GOOD.values()})
        + [
            f"{token}{suffix}"
            for token in sorted({token for token, _ in GOOD.values()})
            for suffix in ("List", "Patch")
        ]
        + [
            "kubernetes:core/v1:List",
            "kubernetes:core/v1:Pod",
            "kubernetes:x.y/v1:Custom",
            "kubernetes::Patch",
        ]
    ),
    st.text(max_size=30),
)
_SETTINGS = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def _judge(token: str, properties: Any) -> None:
    for rule in RULES:
        assert all(isinstance(found, str) for found in rule.violations(Resource(token, properties)))
    resources = [
        StackResource(token, "urn", properties),
        StackResource(*_as_stack("namespace")),
        StackResource(*_as_stack("deployment")),
    ]
    for stack_rule in STACK_RULES:
        assert all(isinstance(found.message, str) for found in stack_rule.violations(Stack(resources)))


def _as_stack(name: str) -> tuple[str, str, dict[str, Any]]:
    token, properties = GOOD[name]
    return token, f"urn-{name}", properties


@_SETTINGS
@given(token=_TOKENS, properties=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5))
def test_no_rule_raises_on_anything(token: str, properties: dict[str, Any]) -> None:
    _judge(token, properties)


@_SETTINGS
@given(data=st.data())
def test_no_rule_raises_on_a_good_example_with_bad_parts(data: st.DataObject) -> None:
    token, properties = copy.deepcopy(GOOD[data.draw(st.sampled_from(sorted(GOOD)))])
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = properties
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or data.draw(st.integers(0, 5)) == 0:
                holder[key] = data.draw(_VALUES)
                break
            holder = holder[key]
    _judge(token, properties)


@_SETTINGS
@given(
    value=st.one_of(
        _SCALARS, st.from_regex(r"[+-]?[0-9.]{1,6}([KMGTPEkmunei]{0,2}|e[+-]?[0-9]{1,3})", fullmatch=True)
    )
)
def test_quantities_and_messages_take_anything(value: object) -> None:
    quantity(value)
    assert len(show(value)) < 100


def test_deep_nesting_is_not_followed_forever() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"spec": deep}
    _judge("kubernetes:x.y/v1:Custom", deep)
