"""From the settings of the weekly report to the program's configuration."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.common.problems import Problem
from components.trend_report.plan import (
    REPORT_IMAGE,
    EstimatedPrice,
    TrendReportPlan,
    plan_trend_report,
)
from components.trend_report.settings import TrendReport
from stacks.cost.estimate import CostEstimate, CostLine
from stacks.observability.report import hourly
from tests.unit.monitoring.examples import settings as monitoring
from trend_report import configuration

IMAGES = {REPORT_IMAGE: f"registry.example.com/trend-report@sha256:{'0' * 64}"}
ESTIMATE = EstimatedPrice(9.5, 75.0, "USD", "list prices", ("Filestore",))


def planned(
    raw: dict[str, Any] | None = None, *, estimate: EstimatedPrice | None = None, **changes: Any
) -> tuple[TrendReportPlan | None, list[Problem]]:
    return plan_trend_report(
        TrendReport.model_validate(raw or {}),
        monitoring(**changes),
        stack="prod",
        models_namespace="autoglm",
        images=IMAGES,
        estimate=estimate,
    )


def plan(raw: dict[str, Any] | None = None, **more: Any) -> TrendReportPlan:
    found, problems = planned(raw, **more)
    assert found is not None, problems
    return found


ZONES = st.sampled_from(["Etc/UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin"])
PRICES = st.floats(0.01, 1e5).flatmap(
    lambda low: st.fixed_dictionaries({"low": st.just(low), "high": st.floats(low, 1e6)})
)


@given(ZONES, st.none() | PRICES, st.integers(1, 500), st.booleans())
def test_the_program_takes_every_configuration_that_is_planned(
    zone: str, price: dict[str, float] | None, weeks: int, announce: bool
) -> None:
    raw = {"timeZone": zone, "price": price, "keepWeeks": weeks, "announce": announce}
    found = configuration.parse(json.loads(plan(raw).configuration))
    assert (str(found.zone), found.keep_weeks) == (zone, weeks)
    assert (found.price.low if found.price else None) == (price["low"] if price else None)
    assert bool(found.alertmanagers) == announce


def test_objectives_and_thresholds_are_those_of_the_alerts() -> None:
    found = plan(
        objectives={"availability": 0.99, "firstToken": 0.9, "firstTokenSeconds": 0.5},
        thresholds={"latencySeconds": 1.2, "latencyQuantile": 0.95},
    )
    assert json.loads(found.configuration)["objectives"] == {
        "availability": 0.99,
        "firstToken": 0.9,
        "firstTokenSeconds": 0.5,
        "latencyQuantile": 0.95,
        "latencySeconds": 1.2,
    }


def test_the_price_in_the_settings_comes_before_the_estimate() -> None:
    given_price = json.loads(plan({"price": {"low": 1, "high": 2}}, estimate=ESTIMATE).configuration)["price"]
    assert (given_price["low"], given_price["high"], given_price["unpriced"]) == (1, 2, [])
    estimated = json.loads(plan(estimate=ESTIMATE).configuration)["price"]
    assert (estimated["low"], estimated["high"], estimated["unpriced"]) == (9.5, 75.0, ["Filestore"])
    assert json.loads(plan().configuration)["price"] is None


def test_a_prometheus_of_the_cluster_is_asked_where_it_is() -> None:
    found = plan(existing={"namespace": "observability", "podLabels": {"app": "prometheus"}})
    assert found.namespace == "monitoring"
    assert found.prometheus.namespace == "observability"
    assert found.prometheus.labels == {"app": "prometheus"}
    document = json.loads(found.configuration)
    assert document["prometheus"] == ["http://prometheus-operated.observability.svc:9090"]
    assert document["alertmanagers"] == ["http://alertmanager-operated.observability.svc:9093"]


PROBLEMS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an unknown zone": ({"timeZone": "Mars/Olympus"}, {}, "timeZone"),
    "a zone of nobody": ({"timeZone": "Local"}, {}, "timeZone"),
    "two weeks are not kept": ({}, {"prometheus": {"retention": "14d"}}, ""),
    "high below low": ({"price": {"low": 3, "high": 2}}, {}, "price.high"),
    "no room": ({"keepWeeks": 500, "storage": {"size": "64Mi"}}, {}, "keepWeeks"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problems_name_key_value_and_fix(case: str) -> None:
    raw, changes, path = PROBLEMS[case]
    found, problems = planned(raw, **changes)
    assert found is None
    assert [problem.path for problem in problems] == [path]
    assert "; " in problems[0].message


def test_all_problems_are_told_at_once() -> None:
    raw = {"timeZone": "Local", "price": {"low": 3, "high": 2}}
    assert len(planned(raw, prometheus={"retention": "7d"})[1]) == 3


def test_an_image_that_is_not_listed_is_told() -> None:
    _, problems = plan_trend_report(
        TrendReport(), monitoring(), stack="prod", models_namespace="a", images={"other": "x"}
    )
    assert "needs the image 'trend-report'" in problems[0].message


@pytest.mark.parametrize(
    "raw",
    [
        {"schedule": "every monday"},
        {"schedule": "* * * *"},
        {"timeZone": "../etc/passwd"},
        {"keepWeeks": 0},
        {"price": {"low": 0, "high": 1}},
        {"price": {"low": 1, "high": 2, "currency": "dollars"}},
        {"unknown": 1},
    ],
)
def test_bad_values_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrendReport.model_validate(raw)


def test_an_estimate_of_a_month_becomes_the_price_of_an_hour() -> None:
    day = datetime.date(2026, 7, 20)
    cost = CostEstimate(
        "USD",
        (
            CostLine("pool", "1 × m", Decimal(730), Decimal(7300)),
            CostLine("tpu", "1 × t", None, None),
        ),
        (day, day),
        ("a/b@c",),
    )
    found = hourly(cost)
    assert found is not None
    assert (found.low, found.high, found.unpriced) == (1.0, 10.0, ("tpu",))
    assert "list prices of 2026-07-20" in found.source
    assert hourly(None) is None
