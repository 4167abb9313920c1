"""Hostile input: no rule ever raises, whatever it is given, and no message grows with it."""

from __future__ import annotations

import copy
import datetime
import re
import time
from typing import Any

from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import decoding, server
from policies.catalogue import ALL, RULES, STACK_RULES
from policies.iam import DOCUMENTS
from policies.levels import parse
from policies.preview import unknown_values
from policies.resource import Resource
from policies.rule import Stack, StackResource
from policies.values import UNKNOWN, quantity, show
from tests.policies.cloud_examples import CLOUD
from tests.policies.examples import GOOD

EVERYTHING = {**GOOD, **CLOUD}
_LONGEST_MESSAGE = 2000
"""Characters: a path, what is there and the fix. What an object holds is never repeated."""

_KEYS = sorted(
    {
        key
        for _, properties in EVERYTHING.values()
        for key in re.findall(r"'([A-Za-z./-]+)':", str(properties))
    }
    | {
        "items",
        "hostPath",
        "hostNetwork",
        "ephemeralContainers",
        "matchExpressions",
        "operator",
        "key",
        "kind",
        "model",
        "Statement",
        "Principal",
        "Action",
        "NotAction",
        "Condition",
        "portLevelMtls",
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
            "fe80::1%eth0/64",
            "100%",
            "audit",
            "*",
            "arn:aws:iam::*",
            "{}",
            "[",
            "[" * 5000,
            '{"Statement": {"Effect": "Allow", "Action": "*", "Principal": "*"}}',
            '{"Statement": [null, 1, {"Principal": {"AWS": [1, null, {}]}}]}',
            '{"listen-client-urls": 1, "client-transport-security": []}',
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
_GOOD_TOKENS = sorted({token for token, _ in EVERYTHING.values()})
_TOKENS = st.one_of(
    st.sampled_from(
        _GOOD_TOKENS
        + [
            f"{token}{suffix}"
            for token in sorted({token for token, _ in GOOD.values()})
            for suffix in ("List", "Patch")
        ]
        + sorted({token for rule in RULES for token in rule.types or ()})
        + sorted(DOCUMENTS)
        + [
            "kubernetes:core/v1:List",
            "kubernetes:core/v1:Pod",
            "kubernetes:x.y/v1:Custom",
            "kubernetes:serving.kserve.io/v1beta1:InferenceService",
            "kubernetes::Patch",
        ]
    ),
    st.text(max_size=30),
)
_SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _judge(token: str, properties: dict[str, Any]) -> None:
    resource = Resource(token, properties)
    for rule in RULES:
        if rule.judges(token):
            assert all(len(found) < _LONGEST_MESSAGE for found in rule.violations(resource)), rule.id
    assert all(isinstance(found, str) for found in unknown_values(resource))
    resources = [
        StackResource(token, "urn-fuzzed", properties),
        *(StackResource(one, f"urn-{name}", body) for name, (one, body) in GOOD.items() if name in _COMPANY),
    ]
    for stack_rule in STACK_RULES:
        assert all(isinstance(found.message, str) for found in stack_rule.violations(Stack(resources)))


_COMPANY = ("namespace", "quota", "deployment", "disruption-budget")


@_SETTINGS
@given(token=_TOKENS, properties=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=5))
def test_no_rule_raises_on_anything(token: str, properties: dict[str, Any]) -> None:
    _judge(token, properties)


@_SETTINGS
@given(data=st.data())
def test_no_rule_raises_on_a_good_example_with_bad_parts(data: st.DataObject) -> None:
    token, properties = copy.deepcopy(EVERYTHING[data.draw(st.sampled_from(sorted(EVERYTHING)))])
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
    options=st.dictionaries(
        st.sampled_from([rule.id for rule in ALL]), st.dictionaries(st.text(max_size=8), _VALUES)
    )
)
def test_no_rule_raises_on_options_that_no_schema_has_seen(options: dict[str, Any]) -> None:
    named = {rule.id: {name: options.get(rule.id) for name in rule.options} for rule in ALL}
    for token, properties in (GOOD["deployment"], GOOD["quota"], CLOUD["eks-nodes"], CLOUD["audit-bucket"]):
        resource = Resource(token, properties, options=named)
        for rule in RULES:
            if rule.judges(token):
                rule.violations(resource)


@_SETTINGS
@given(content=_VALUES)
def test_no_levels_file_breaks_the_parser(content: object) -> None:
    parse(content, ALL, datetime.date(2026, 6, 1))


@_SETTINGS
@given(
    content=st.dictionaries(
        st.sampled_from([rule.id for rule in ALL]),
        st.dictionaries(
            st.sampled_from(
                ["enforcementLevel", "reason", "exemptions", "maximum", "level", "allowed", "required"]
            ),
            _VALUES,
        ),
    )
)
def test_no_entry_of_a_levels_file_breaks_the_parser(content: Any) -> None:
    parse(content, ALL, datetime.date(2026, 6, 1))


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
    for token in ("kubernetes:x.y/v1:Custom", "kubernetes:apps/v1:Deployment", *_GOOD_TOKENS):
        resource = Resource(token, deep)
        for rule in RULES:
            if rule.judges(token):
                rule.violations(resource)


def test_texts_of_a_megabyte_take_no_time_and_are_never_repeated() -> None:
    texts = [
        "x" * 1_000_000,
        "sleep " * 170_000,
        "http://" * 140_000,
        "1" * 1_000_000,
        "*." * 500_000,
        "A_" * 500_000,
    ]
    started = time.monotonic()
    for name in (
        "deployment",
        "leader-worker-set",
        "network-policy",
        "ingress",
        "etcd-configuration",
        "iam-policy",
    ):
        token, properties = EVERYTHING[name]
        for index, text in enumerate(texts):
            broken = _replaced_texts(properties, text)
            resource = Resource(token, broken)
            for rule in RULES:
                if rule.judges(token):
                    for found in rule.violations(resource):
                        assert len(found) < _LONGEST_MESSAGE, (name, index, rule.id)
    # Seconds; a pattern that backtracks would take minutes for one.
    assert time.monotonic() - started < 120


def _replaced_texts(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced_texts(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced_texts(item, text) for item in value]
    return text if isinstance(value, str) else value


@_SETTINGS
@given(
    token=_TOKENS,
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(allow_nan=True), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.one_of(st.sampled_from([*_KEYS, "4dabf18193072939515e22adb298388d"]), st.text(max_size=8)),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=15,
    ),
)
def test_whatever_the_engine_can_send_is_decoded_and_judged(token: str, value: Any) -> None:
    struct = Struct()
    struct.update({"metadata": value, "spec": value, "policy": value})
    pack = server.Pack(RULES, STACK_RULES, preview=True)
    found = pack.judge(pack.resource(token, decoding.properties(struct), "urn", False))
    assert all(isinstance(one.message, str) for one in found)
