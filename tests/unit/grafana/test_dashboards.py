"""Dashboards as data: what they show, of which stacks, and that they agree with the alerts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard
from hypothesis import given
from hypothesis import strategies as st

from components.grafana.dashboards.catalogue import dashboards, document, name
from components.grafana.dashboards.etcd import LEADER_CHANGES
from components.grafana.dashboards.nodes import REAL_FILE_SYSTEMS
from components.grafana.dashboards.page import ALL, COLUMNS, TAG
from components.grafana.dashboards.view import LOG_SOURCE, METRICS_SOURCE, View
from components.monitoring.catalogue import rule_groups
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack
from tests.unit.monitoring.examples import RUNBOOKS, STACK, settings

RUNBOOK_FOLDER = Path(__file__).parents[3] / "docs" / "runbooks"
OTHER_LIMITS = {
    "thresholds": {
        "latencySeconds": 1.7,
        "firstTokenSeconds": 1.3,
        "tokensPerSecond": 77,
        "failedRequestPercent": 3,
        "kvCachePercent": 91,
        "acceleratorMemoryPercent": 93,
        "poolPercent": 71,
        "diskFreePercent": 13,
        "diskFreePagePercent": 4,
        "etcdFsyncSeconds": 0.3,
        "etcdQuotaPercent": 88,
        "virtualIpMoves": 5,
    },
    "objectives": {"availability": 0.995, "firstToken": 0.97},
}


def made(
    stack: MonitoredStack = STACK, monitoring: Monitoring | None = None, *, audit: bool = True
) -> dict[str, dict[str, Any]]:
    """All dashboards as Grafana reads them."""
    view = View(monitoring or settings(), stack, audit_metrics=audit, audit_records=audit)
    return {name(each): json.loads(document(each)) for each in dashboards(view)}


ALL_OF_THEM = made()


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def every_panel() -> Iterator[Any]:
    for key, dashboard in ALL_OF_THEM.items():
        for panel in panels(dashboard):
            yield pytest.param(dashboard, panel, id=f"{key}: {panel['title']}")


def test_there_is_a_dashboard_for_each_part() -> None:
    assert list(ALL_OF_THEM) == [
        *("service", "objectives", "gpu", "entry", "etcd", "nodes", "audit", "monitoring")
    ]


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_what_a_stack_has_not_is_not_shown(gpus: bool, members: bool, address: bool, audit: bool) -> None:
    stack = MonitoredStack(
        namespace="autoglm",
        models={"phone": 1},
        nodes=1,
        pods=10,
        etcd_members=3 if members else None,
        virtual_ips=("192.0.2.1",) if address else (),
        nvidia_gpus=4 if gpus else 0,
    )
    found = made(stack, audit=audit)
    shown = {"gpu": gpus, "etcd": members, "entry": address, "audit": audit}
    assert {key: key in found for key in shown} == shown
    text = json.dumps(found)
    marks = {"DCGM_": gpus, "etcd_": members, "virtual_ip:": address, "audit_": audit}
    assert {mark: mark in text for mark in marks} == marks
    assert (LOG_SOURCE in text) == audit


def test_the_same_stack_gives_the_same_text() -> None:
    assert made() == ALL_OF_THEM
    first, second = ([document(each) for each in dashboards(View(settings(), STACK))] for _ in range(2))
    assert first == second


def test_addresses_are_stable_and_each_dashboard_links_to_the_others() -> None:
    for key, dashboard in ALL_OF_THEM.items():
        assert dashboard["uid"] == f"autoglm-{key}"
        # Grafana takes 40 characters at most.
        assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
        assert dashboard["tags"] == [TAG]
        assert [link["tags"] for link in dashboard["links"]] == [[TAG]]
        assert dashboard["editable"] is False
        assert dashboard["schemaVersion"] == 42


def test_the_sdk_reads_what_it_has_written() -> None:
    for dashboard in ALL_OF_THEM.values():
        again = json.loads(document(Dashboard.from_json(dashboard)))
        assert again == dashboard


@pytest.mark.parametrize(("dashboard", "panel"), list(every_panel()))
def test_a_panel_has_title_meaning_unit_and_named_lines(
    dashboard: dict[str, Any], panel: dict[str, Any]
) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 10
    assert panel["description"].endswith(".")
    assert panel["datasource"]["uid"] in (METRICS_SOURCE, LOG_SOURCE)
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["unit"]
    letters = [target["refId"] for target in panel["targets"]]
    assert len(set(letters)) == len(letters) > 0
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        if "expr" in target and panel["type"] != "table":
            assert target["legendFormat"]


def test_titles_are_unique_within_a_dashboard() -> None:
    for dashboard in ALL_OF_THEM.values():
        counted = Counter(panel["title"] for panel in panels(dashboard))
        assert max(counted.values()) == 1
    titles = [dashboard["title"] for dashboard in ALL_OF_THEM.values()]
    assert len(set(titles)) == len(titles)


def test_panels_fill_the_grid_without_overlap() -> None:
    for dashboard in ALL_OF_THEM.values():
        cells: Counter[tuple[int, int]] = Counter()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= COLUMNS
            cells.update(
                (column, row)
                for column in range(place["x"], place["x"] + place["w"])
                for row in range(place["y"], place["y"] + place["h"])
            )
        assert max(cells.values()) == 1
        # No hole either: every line is taken from side to side.
        assert len(cells) == COLUMNS * len({row for _, row in cells})
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)


def test_variables_are_declared_and_used() -> None:
    for dashboard in ALL_OF_THEM.values():
        declared = {variable["name"] for variable in dashboard["templating"].get("list", [])}
        texts = [target.get("expr", "") for panel in panels(dashboard) for target in panel["targets"]]
        used = {found for text in texts for found in re.findall(r"\$([a-z]+)", text)}
        assert used == declared
        for variable in dashboard["templating"].get("list", []):
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ALL)
            for panel in panels(dashboard):
                for target in panel["targets"]:
                    for operator in re.findall(rf"(\S)\"\${variable['name']}\"", target.get("expr", "")):
                        assert operator == "~", f"{panel['title']}: several can be chosen"


def limits(dashboard: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """Panels with a line across, and its value."""
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        if defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off") != "off":
            for step in defaults["thresholds"]["steps"][1:]:
                yield panel, step["value"]


@pytest.mark.parametrize("changes", [{}, OTHER_LIMITS], ids=["as they are", "others"])
def test_each_line_is_where_an_alert_begins(changes: dict[str, Any]) -> None:
    monitoring = settings(**changes)
    alerts = [alert for group in rule_groups(monitoring, STACK) for alert in group.alerts]
    found = 0
    for key, dashboard in made(monitoring=monitoring).items():
        for panel, value in limits(dashboard):
            names = {link["title"].partition(":")[0] for link in panel["links"]}
            expressions = [alert.expr for alert in alerts if alert.name in names]
            if names == {"ErrorBudgetBurn"}:
                budget = 0.05 if "First token" in panel["title"] else 0.001
                if changes:
                    budget = 0.03 if "First token" in panel["title"] else 0.005
                value *= budget
            numbers = {
                float(number)
                for expression in expressions
                for number in re.findall(r"[<>]=? ([0-9.]+)", expression)
            }
            assert any(abs(number - value) < 1e-9 for number in numbers), f"{key}, {panel['title']}: {value}"
            found += 1
    # Each threshold of the settings that has a panel has a line.
    assert found == 22


def test_other_limits_are_other_lines() -> None:
    """The test before would find a line that does not move."""
    before, after = (
        {
            (key, panel["title"], index): value
            for key, dashboard in found.items()
            for index, (panel, value) in enumerate(limits(dashboard))
        }
        for found in (ALL_OF_THEM, made(monitoring=settings(**OTHER_LIMITS)))
    )
    same = {place[1] for place in before if before[place] == after[place]}
    # Factors of burn rates are no settings; nor is etcd's own limit of leader changes.
    assert {title for title in same if " and " not in title} == {"Leader changes"}


def test_leader_changes_are_those_of_the_alert() -> None:
    (alert,) = [
        alert
        for group in rule_groups(settings(), STACK)
        for alert in group.alerts
        if alert.name == "EtcdLeaderChanges"
    ]
    assert alert.expr.endswith(f">= {LEADER_CHANGES}")


def test_disks_are_those_of_the_alerts() -> None:
    alerts = [alert for group in rule_groups(settings(), STACK) for alert in group.alerts]
    assert all(REAL_FILE_SYSTEMS in alert.expr for alert in alerts if alert.name.startswith("NodeDisk"))


def test_links_lead_to_runbooks_that_exist() -> None:
    found = set()
    for dashboard in ALL_OF_THEM.values():
        for panel in panels(dashboard):
            for link in panel.get("links", []):
                assert link["url"].startswith(f"{RUNBOOKS}/")
                found.add(link["url"].removeprefix(f"{RUNBOOKS}/"))
    assert found
    assert [file for file in sorted(found) if not (RUNBOOK_FOLDER / file).is_file()] == []


def test_every_page_of_the_model_service_is_on_a_panel() -> None:
    """On call finds each page's figure on the overview."""
    pages = {
        alert.name
        for group in rule_groups(settings(), STACK)
        if group.name == "model-service"
        for alert in group.alerts
    }
    linked = {
        link["title"].partition(":")[0]
        for panel in panels(ALL_OF_THEM["service"])
        for link in panel.get("links", [])
    }
    assert pages <= linked


def test_an_alert_that_the_stack_has_not_is_an_error() -> None:
    view = View(settings(), replace(STACK, etcd_members=None))
    with pytest.raises(KeyError):
        view.alert("EtcdNoLeader")


def test_no_two_dashboards_show_the_same() -> None:
    shown = {
        key: {target.get("expr") for panel in panels(each) for target in panel["targets"]} - {None}
        for key, each in ALL_OF_THEM.items()
    }
    for first, second in combinations(shown, 2):
        assert len(shown[first] & shown[second]) <= 1, f"{first}, {second}"
