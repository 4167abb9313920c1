"""Every alert fires when it should, not before, and not close to its threshold: judged by promtool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.monitoring.catalogue import rule_groups
from components.monitoring.promtool import rule_file, unit_tests
from components.monitoring.rule import AlertRule, RuleGroup
from tests.artifacts.monitoring_tools import promtool
from tests.harness.commands import Result, run
from tests.unit.monitoring.examples import RUNBOOKS, STACK, settings

GROUPS = rule_groups(settings(), STACK)
ALERTS = {alert.key: (group, alert) for group in GROUPS for alert in group.alerts}


@pytest.fixture(scope="module")
def tool() -> Path:
    return promtool()


def judge(tool: Path, folder: Path, group: RuleGroup, alert: AlertRule) -> Result:
    (folder / "rules.yml").write_text(json.dumps(rule_file([group], RUNBOOKS)), encoding="utf-8")
    (folder / "test.yml").write_text(json.dumps(unit_tests(group, alert, "rules.yml")), encoding="utf-8")
    return run([tool, "test", "rules", folder / "test.yml"], cwd=folder, timeout=120)


@pytest.mark.parametrize("key", ALERTS)
def test_fires_at_its_boundary_not_before_and_not_below_its_threshold(
    key: str, tool: Path, tmp_path: Path
) -> None:
    judge(tool, tmp_path, *ALERTS[key]).succeeded()


def test_all_rules_and_the_templates_of_their_texts_are_accepted(tool: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps(rule_file(GROUPS, RUNBOOKS)), encoding="utf-8")
    done = run([tool, "check", "rules", "--lint=all", "--lint-fatal", file], timeout=120).succeeded()
    assert f"{sum(len(group.recording) + len(group.alerts) for group in GROUPS)} rules found" in done.output


@pytest.mark.parametrize("key", ["KvCacheFull-page", "EtcdNoLeader-page", "GpuXidError-page"])
def test_an_alert_that_comes_later_than_it_says_is_found(key: str, tool: Path, tmp_path: Path) -> None:
    group, alert = ALERTS[key]
    late = replace(alert, hold=alert.hold + alert.interval)
    changed = replace(group, alerts=tuple(late if one is alert else one for one in group.alerts))
    assert "FAILED" in judge(tool, tmp_path, changed, alert).failed().output


def test_an_alert_that_fires_without_need_is_found(tool: Path, tmp_path: Path) -> None:
    group, alert = ALERTS["KvCacheFull-page"]
    careless = replace(alert, expr=alert.expr.partition(" and ")[0])
    changed = replace(group, alerts=tuple(careless if one is alert else one for one in group.alerts))
    assert "exp: nil" in judge(tool, tmp_path, changed, alert).failed().output
