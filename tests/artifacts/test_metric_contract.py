"""Rules ask for nothing that no exporter has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from components.monitoring.alerts.accelerators import COUNTERS
from components.monitoring.alerts.objectives import FIRST_TOKEN_BOUNDS
from components.monitoring.catalogue import rule_groups
from components.monitoring.rule import RuleGroup
from components.monitoring.sizing import SERIES_OF_ETCD_MEMBER, SERIES_OF_MODEL_SERVER
from tests.artifacts.metric_contract import Contract
from tests.artifacts.metric_pages import FOLDER, Page, load, pages
from tests.unit.monitoring.examples import STACK, settings

GROUPS = rule_groups(settings(), STACK)
PAGES = pages()
CONTRACT = Contract.of(PAGES, GROUPS)


def page(job: str) -> Page:
    return next(page for page in PAGES if page.job == job)


def test_every_rule_asks_only_for_what_is_there() -> None:
    assert CONTRACT.rule_breaches(GROUPS) == []


def test_every_job_of_a_stack_has_a_page_that_says_where_it_comes_from() -> None:
    assert {found.job for found in PAGES}.issuperset(STACK.jobs)
    for found in PAGES:
        assert found.origin.startswith(("recorded from ", "taken from the source of "))


def test_a_page_without_its_origin_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.prom").write_text("up 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="says nowhere where it comes from"):
        load(tmp_path / "x.prom")


# Rules as they could be written by mistake; each one parses, and promtool would accept it.
MUTANTS = {
    "a metric that was renamed": (
        "max by (pod) (vllm:gpu_cache_usage_perc) > 0.95",
        "no exporter has a metric 'vllm:gpu_cache_usage_perc'",
    ),
    "a counter without its suffix": (
        "rate(vllm:generation_tokens[5m])",
        "no exporter has a metric 'vllm:generation_tokens'",
    ),
    "a label of another exporter": (
        "sum by (gpu) (vllm:num_requests_running)",
        "no label 'gpu' there",
    ),
    "a matcher on a label that is not there": (
        'etcd_server_has_leader{member="etcd-0"} == 0',
        "has no label 'member'",
    ),
    "a bucket that no histogram has": (
        'rate(vllm:time_to_first_token_seconds_bucket{le="0.8"}[5m])',
        "le='0.8' is none of",
    ),
    "a job that nobody scrapes": ('up{job="vllm"} == 0', "job='vllm' is none of"),
    "a value that the exporter never writes": (
        'kube_node_status_condition{condition="Ready",status="yes"}',
        "status='yes' is none of",
    ),
    "a status code where classes are counted": (
        'rate(http_requests_total{status="500"}[5m])',
        "status='500' is none of",
    ),
    "a path that is not served": (
        'rate(http_requests_total{handler=~"/api/.+"}[5m])',
        "matches none of",
    ),
    "a histogram without its bounds": (
        "histogram_quantile(0.99, sum by (pod) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
        "no label 'le' there",
    ),
    "sides that never match": (
        "sum by (pod) (vllm:num_requests_waiting) and sum by (namespace) (vllm:num_requests_running)",
        "can never match",
    ),
    "a join over a label that one side lacks": (
        "kube_pod_status_phase * on (uid) group_left () kube_node_status_allocatable",
        "no label 'uid' there",
    ),
}
"""By what is wrong."""


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mistake_is_found(mistake: str) -> None:
    expression, message = MUTANTS[mistake]
    assert any(message in breach for breach in CONTRACT.breaches(expression)[0])


def mutated(group: RuleGroup, **changes: str) -> tuple[RuleGroup, ...]:
    first, *others = group.alerts
    return (replace(group, alerts=(replace(first, **changes), *others)),)  # type: ignore[arg-type]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_each_group_is_looked_at(group: RuleGroup) -> None:
    broken = mutated(group, expr="sum(vllm:no_such_metric) > 1")
    assert any("vllm:no_such_metric" in breach for breach in CONTRACT.rule_breaches(broken))


def test_a_text_that_names_a_label_the_alert_has_not_is_found() -> None:
    broken = mutated(GROUPS[0], summary="{{ $labels.podname }} is down")
    assert CONTRACT.rule_breaches(broken) == [
        f"{GROUPS[0].alerts[0].key}: its text names the label 'podname', which it has not"
    ]


def test_the_bounds_of_first_tokens_are_the_engines() -> None:
    values = page("model-server").families["vllm:time_to_first_token_seconds_bucket"].values["le"]
    assert set(FIRST_TOKEN_BOUNDS) | {"+Inf"} == values


def test_what_was_taken_from_source_is_named_as_such() -> None:
    """Everything else was seen on the page of a running program."""
    assert {found.job for found in PAGES if not found.origin.startswith("recorded from ")} == {
        "cert-manager",
        "dcgm-exporter",
        "kube-state-metrics",
    }


def test_dcgm_exporter_is_told_to_collect_what_rules_use() -> None:
    assert {name for name, _, _ in COUNTERS} == set(page("dcgm-exporter").families)


@pytest.mark.parametrize(
    ("job", "assumed"), [("model-server", SERIES_OF_MODEL_SERVER), ("etcd", SERIES_OF_ETCD_MEMBER)]
)
def test_sizing_assumes_no_fewer_series_than_were_recorded(job: str, assumed: int) -> None:
    lines = (FOLDER / f"{job}.prom").read_text(encoding="utf-8").splitlines()
    assert sum(not line.startswith("#") for line in lines) <= assumed
