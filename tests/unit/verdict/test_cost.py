"""A pull request shows what a stack costs beside what it may cost."""

from __future__ import annotations

import copy
import dataclasses
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stacks.plan import plan_settings
from stacks.problems import SettingsError
from stacks.summary import render
from stacks.summary.costs import cost as estimated
from stacks.summary.report import PROJECT, summarize
from stacks.verdict.collect import from_summary
from stacks.verdict.comment import comment
from stacks.verdict.evidence import Cost, Stack
from tests.unit.stack_graphs import raw_stack, stack_plan
from tests.unit.summary.log import judged, prelude, preview
from tests.unit.verdict.examples import PASSED, evidence
from toolchain import paths


def _judged(stack: str, settings: dict[str, Any]) -> tuple[Stack, str]:
    """A stack in the evidence of a pull request, and its preview's summary for terminals."""
    config = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in settings.items()
    }
    summary = summarize(stack, preview(prelude(config), judged("image-digest")), paths.ROOT)
    return from_summary(json.loads(render.as_json(summary)), paths.ROOT), render.text(summary)


def _cell(cost: Cost | None) -> str:
    row = next(
        line
        for line in comment(evidence(dataclasses.replace(PASSED, cost=cost))).splitlines()
        if line.startswith("| <code>prod</code> |")
    )
    return html.unescape(re.sub(r"</?code>", "", row)).split(" | ")[3]


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (Cost("USD", "5788.4", "54747.12", "60000", ()), "5,788–54,747 of 60,000 USD"),
        (Cost("USD", "5788.4", "54747.12", None, ()), "5,788–54,747 USD"),
        (Cost("USD", "0", "10", "12.5", ("pool gpu",)), "0–10 and more of 12 USD"),
        (Cost("EUR", "NaN", "1e999", "x", ()), "?–? of ? EUR"),
        (None, "—"),
    ],
)
def test_cost_is_shown_with_its_ceiling(cost: Cost | None, shown: str) -> None:
    assert _cell(cost) == shown


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_stacks_own_ceiling_stands_beside_its_estimate(stack: str) -> None:
    settings = raw_stack(stack)
    found, text = _judged(stack, settings)
    assert found.cost is not None
    ceiling = settings["costCeiling"]["monthlyUsd"]
    assert found.cost.ceiling == str(ceiling)
    assert 0 < float(found.cost.low) < float(found.cost.high) <= ceiling
    assert _cell(found.cost).endswith(f" of {ceiling:,} USD")
    assert f" of the {ceiling:,} USD that it may cost." in " ".join(text.split())


def test_a_stack_without_ceiling_shows_its_estimate_alone() -> None:
    settings = copy.deepcopy(raw_stack("prod"))
    del settings["costCeiling"]
    found, text = _judged("prod", settings)
    assert found.cost is not None
    assert found.cost.ceiling is None
    assert "that it may cost" not in text
    assert " of " not in _cell(found.cost)


def test_a_stack_without_prices_shows_none() -> None:
    found, _ = _judged("onprem", raw_stack("onprem"))
    assert found.cost is None


def test_a_stack_above_its_ceiling_is_refused_with_both_figures() -> None:
    settings = copy.deepcopy(raw_stack("prod"))
    high = estimated(stack_plan("prod"))
    assert high is not None
    settings["costCeiling"]["monthlyUsd"] = int(high.high) - 1
    with pytest.raises(SettingsError) as refused:
        plan_settings(settings, "prod", "Pulumi.prod.yaml", Path(paths.ROOT))
    diagnostic = {"diagnosticEvent": {"severity": "error", "message": str(refused.value)}}
    config = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in settings.items()
    }
    summary = summarize("prod", preview(prelude(config), diagnostic, ended=False), paths.ROOT)
    found = from_summary(json.loads(render.as_json(summary)), paths.ROOT)
    assert found.outcome == "failed"
    text = html.unescape(re.sub(r"</?code>", "", comment(evidence(found))))
    assert "costCeiling.monthlyUsd" in text
    assert f"{int(high.high) - 1:,} USD a month: the stack may cost" in text
    assert f"to {high.high:,.2f} USD" in text
