"""Settings of monitoring: what is planned from them, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.common.quantities import GIB
from components.monitoring.alerts.objectives import BURN_RATES, FIRST_TOKEN_BOUNDS
from components.monitoring.catalogue import rule_groups
from components.monitoring.durations import parse_duration
from components.monitoring.plan import RELAY_IMAGE, plan_monitoring
from components.monitoring.rule import AlertRule, Severity
from components.monitoring.sizing import (
    BYTES_PER_SAMPLE,
    PART_FOR_SAMPLES,
    active_series,
    prometheus_sizing,
)
from components.monitoring.stack import MonitoredStack
from tests.unit.monitoring.examples import DINGTALK, IMAGES, ROUTING, STACK, WECOM, plan, problems, settings


def alerts(stack: MonitoredStack = STACK, **changes: Any) -> dict[str, AlertRule]:
    groups = rule_groups(settings(**changes), stack)
    return {alert.key: alert for group in groups for alert in group.alerts}


def test_settings_that_are_right_have_no_problems() -> None:
    planned = plan()
    assert planned.robots[0].name == DINGTALK["name"]
    assert planned.alertmanager_secrets == (WECOM["secretName"],)


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "scraped too seldom": ({"scrapeInterval": "1m"}, "scrapeInterval", "write 30s or less"),
    "kept too briefly": ({"prometheus": {"retention": "2d"}}, "prometheus.retention", "write 3d or more"),
    "too small a volume": ({"prometheus": {"volume": "1Gi"}}, "prometheus.volume", "raise it"),
    "a page before its ticket": (
        {"thresholds": {"diskFreePagePercent": 20}},
        "thresholds.diskFreePagePercent",
        "lower it",
    ),
    "an objective that nothing counts": (
        {"objectives": {"firstTokenSeconds": 0.8}},
        "objectives.firstTokenSeconds",
        "write 0.75 or 1",
    ),
    "a budget that cannot burn": (
        {"objectives": {"firstToken": 0.9}},
        "objectives.firstToken",
        "write more than 0.931",
    ),
    "an unknown receiver": (
        {"routing": {**ROUTING, "pages": ["on-call", "nobody"]}},
        "routing.pages[1]",
        "add it to receivers",
    ),
    "a receiver twice": (
        {"routing": {**ROUTING, "tickets": ["platform-group", "platform-group"]}},
        "routing.tickets[1]",
        "remove one",
    ),
    "a receiver's name twice": (
        {"routing": {**ROUTING, "receivers": [WECOM, DINGTALK, {**DINGTALK, "secretName": "other"}]}},
        "routing.receivers[2].name",
        "choose another",
    ),
    "a receiver that is not used": (
        {"routing": {**ROUTING, "pages": ["platform-group"]}},
        "routing.receivers[0].name",
        "list it in pages, tickets or reports",
    ),
    "nobody told": ({"routing": {**ROUTING, "tickets": []}}, "routing.tickets", "name at least one"),
    "a message to nobody": (
        {"routing": {**ROUTING, "receivers": [{**WECOM, "toParty": None}, DINGTALK]}},
        "routing.receivers[0]",
        "write toParty, toUser or toTag",
    ),
    "no way to DingTalk": ({"relayEgressCidrs": []}, "relayEgressCidrs", "write its addresses"),
    "a way to everywhere": ({"relayEgressCidrs": ["0.0.0.0/0"]}, "relayEgressCidrs[0]", "is everywhere"),
    "a network with host bits": (
        {"relayEgressCidrs": ["203.0.113.7/24"]},
        "relayEgressCidrs[0]",
        "has host bits set",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_key_and_fix(case: str) -> None:
    changes, path, fix = REFUSED[case]
    found = {problem.path: problem.message for problem in problems(**changes)}
    assert list(found) == [path]
    assert fix in found[path]


def test_all_problems_are_told_at_once() -> None:
    both = problems(scrapeInterval="2m", prometheus={"retention": "1d"})
    assert [problem.path for problem in both] == ["scrapeInterval", "prometheus.retention"]


def test_a_relay_without_its_image_is_refused() -> None:
    images = {name: image for name, image in IMAGES.items() if name != RELAY_IMAGE}
    _, found = plan_monitoring(settings(), STACK, images=images, protect=True)
    assert [problem.path for problem in found] == ["routing.receivers[1]"]
    assert "'alert-relay'" in found[0].message


def test_a_stack_for_trying_out_may_tell_nobody() -> None:
    planned, found = plan_monitoring(settings(routing={}), STACK, images=IMAGES, protect=False)
    assert found == []
    assert planned is not None
    assert planned.robots == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"runbooks": "http://example.com/runbooks"},
        {"runbooks": "https://example.com/runbooks/"},
        {"scrapeInterval": 15},
        {"thresholds": {"kvCachePercent": 100}},
        {"objectives": {"availability": 1}},
        {"unknown": 1},
        {"routing": {"receivers": [{"kind": "email", "name": "x"}]}},
        {"routing": {"receivers": [{**WECOM, "apiSecret": "plain"}]}},
    ],
    ids=str,
)
def test_what_is_malformed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_rules_are_only_about_what_the_stack_has() -> None:
    bare = replace(
        STACK,
        etcd_members=None,
        virtual_ips=(),
        nvidia_gpus=0,
        cert_manager=False,
        audit_collectors=0,
        logging_namespace=None,
    )
    left = {alert.area for alert in alerts(bare).values()}
    assert left == {"model", "kubernetes", "node", "monitoring"}
    missing = alerts(bare)["MetricsMissing-page"].expr
    assert not any(word in missing for word in ("etcd", "DCGM", "certmanager"))


def test_every_name_of_a_rule_is_told_apart() -> None:
    groups = rule_groups(settings(), STACK)
    assert len(alerts()) == sum(len(group.alerts) for group in groups)


def test_what_pages_is_what_users_notice_or_soon_will() -> None:
    pages = {alert.name for alert in alerts().values() if alert.severity == Severity.PAGE}
    tickets = {alert.name for alert in alerts().values() if alert.severity == Severity.TICKET}
    assert {"FirstTokenSlow", "ModelLatencyHigh", "KvCacheFull", "RequestsFailing", "WeightsRefused"} <= pages
    assert {"GpuMemoryHigh", "TokenRateLow", "NodePoolNearlyFull", "TargetDown"} <= tickets


@pytest.mark.parametrize(("window", "budget_percent"), [("1h", 2.0), ("6h", 5.0), ("1d", 10.0), ("3d", 10.0)])
def test_burn_rates_are_those_of_the_workbook(window: str, budget_percent: float) -> None:
    rate = next(rate for rate in BURN_RATES if parse_duration(window) == rate.long)
    assert rate.budget_percent == pytest.approx(budget_percent)
    assert rate.long == 12 * rate.short


@given(
    availability=st.floats(min_value=0.94, max_value=0.9999),
    first_token=st.floats(min_value=0.94, max_value=0.9999),
    bound=st.sampled_from(FIRST_TOKEN_BOUNDS),
)
def test_any_objective_that_is_accepted_can_fire(availability: float, first_token: float, bound: str) -> None:
    changes: dict[str, Any] = {
        "objectives": {
            "availability": availability,
            "firstToken": first_token,
            "firstTokenSeconds": float(bound),
        }
    }
    assert problems(**changes) == []
    for alert in alerts(**changes).values():
        if alert.name == "ErrorBudgetBurn":
            limits = [float(part.split()[0]) for part in alert.expr.split("> ")[1:]]
            assert all(0 < limit < 1 for limit in limits)


@given(
    series=st.integers(1_000, 5_000_000),
    interval=st.integers(5, 30),
    days=st.integers(3, 400),
    more=st.integers(1, 10),
)
def test_a_volume_holds_what_it_is_planned_for(series: int, interval: int, days: int, more: int) -> None:
    sizing = prometheus_sizing(series, interval, days * 86_400)
    needed = series * (days * 86_400 // interval) * BYTES_PER_SAMPLE
    assert needed <= sizing.samples + 1 <= sizing.volume * PART_FOR_SAMPLES + 1
    assert sizing.volume % GIB == 0
    assert sizing.volume * PART_FOR_SAMPLES - needed < GIB
    assert prometheus_sizing(series, interval, (days + more) * 86_400).volume >= sizing.volume
    assert prometheus_sizing(series + more, interval, days * 86_400).memory >= sizing.memory


@given(nodes=st.integers(1, 1000), pods=st.integers(1, 10_000), gpus=st.integers(0, 1000))
def test_more_of_anything_has_more_series(nodes: int, pods: int, gpus: int) -> None:
    stack = replace(STACK, nodes=nodes, pods=pods, nvidia_gpus=gpus)
    for more in (
        replace(stack, nodes=nodes + 1),
        replace(stack, pods=pods + 1),
        replace(stack, nvidia_gpus=gpus + 1),
    ):
        assert active_series(more) > active_series(stack)


def test_the_configuration_names_secrets_and_holds_none() -> None:
    configuration = json.loads(plan().alertmanager)
    text = json.dumps(configuration)
    assert "/etc/alertmanager/secrets/wecom/api-secret" in text
    assert '"api_secret"' not in text
    pages = next(one for one in configuration["receivers"] if one["name"] == "pages")
    assert (
        pages["webhook_configs"][0]["url"] == "http://alert-relay.monitoring.svc:8060/dingtalk/platform-group"
    )
