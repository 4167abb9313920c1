"""Dashboards before their judges: recorded metrics, Grafana's own types, a real Prometheus."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from components.monitoring.catalogue import rule_groups
from tests.artifacts.dashboards.__main__ import FOLDER, pictures
from tests.artifacts.dashboards.answers import Answers, shown
from tests.artifacts.dashboards.audit_page import JOB as AUDIT_COLLECTOR
from tests.artifacts.dashboards.audit_page import audit_page
from tests.artifacts.dashboards.example import (
    SPAN,
    concrete,
    documents,
    expressions,
    panels,
    prometheus,
    view,
)
from tests.artifacts.dashboards.records import RecordStore
from tests.artifacts.grafana_types import complaints
from tests.artifacts.metric_contract import TARGET_LABELS, Contract, Known
from tests.artifacts.metric_pages import FOLDER as PAGES
from tests.artifacts.metric_pages import load, pages
from tests.harness.history import DAY

DASHBOARDS = documents()
VIEW = view()
GROUPS = rule_groups(VIEW.settings, VIEW.stack)
ROOT = Path(__file__).parents[2]
OWN_SERIES = {
    "ALERTS": Known(
        TARGET_LABELS | {"alertname", "alertstate", "severity", "area", "model", "address", "device"},
        {"alertstate": frozenset({"pending", "firing"})},
    )
}
"""Series that Prometheus itself makes of alerts."""


def contract() -> Contract:
    recorded = Contract.of(pages(), GROUPS)
    return Contract({**recorded.series, **OWN_SERIES}, recorded.jobs)


def queries() -> list[Any]:
    return [
        pytest.param(target, id=f"{name}: {panel['title']} {target['refId']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for target in panel["targets"]
        if "expr" in target
    ]


@pytest.fixture(scope="module")
def known() -> Contract:
    return contract()


@pytest.mark.parametrize("target", queries())
def test_a_query_asks_only_for_what_exporters_have(target: dict[str, Any], known: Contract) -> None:
    breaches, labels = known.breaches(anything(target["expr"]))
    assert breaches == []
    named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))
    assert named <= labels, f"its legend names {sorted(named - labels)}, which the series have not"


def test_the_recorded_page_of_the_audit_collector_is_what_its_code_writes() -> None:
    recorded = load(PAGES / f"{AUDIT_COLLECTOR}.prom")
    for name, family in audit_page().families.items():
        assert recorded.families.get(name) == family, f"{name}: record the page anew"


def anything(expression: str) -> str:
    """With everything chosen, and matched by whatever a label's values are."""
    return concrete(expression, DAY)


@pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=f"{name}: {panel['title']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        if panel["type"] == "table" and "expr" in panel["targets"][0]
    ],
)
def test_a_table_shows_labels_that_its_series_have(panel: dict[str, Any], known: Contract) -> None:
    (target,) = panel["targets"]
    labels = known.breaches(anything(target["expr"]))[1]
    for transformation in panel["transformations"]:
        options = transformation["options"]
        names = options["include"]["names"] if "include" in options else options["renameByName"]
        assert set(names) - {"Value"} <= labels


def test_variables_ask_for_labels_that_are_there(known: Contract) -> None:
    for dashboard in DASHBOARDS.values():
        for variable in dashboard["templating"].get("list", []):
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert match is not None
            breaches, labels = known.breaches(anything(match[1]))
            assert breaches == []
            assert match[2] in labels


def test_a_query_with_a_mistake_is_found(known: Contract) -> None:
    assert known.breaches("sum by (pod) (vllm:num_requests_queued)")[0]
    assert known.breaches('rate(http_requests_total{code="500"}[5m])')[0]


def test_grafana_s_own_types_accept_each_dashboard_and_panel() -> None:
    assert complaints(DASHBOARDS) == []


MISTAKES: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "an option that no panel has": (("panels", 1, "options", "colourMode"), "value", "colourMode"),
    "a mode that is not known": (("panels", 1, "options", "colorMode"), "rainbow", "rainbow"),
    "a threshold as text": (
        ("panels", 1, "fieldConfig", "defaults", "thresholds", "steps", 0, "value"),
        "1",
        "string",
    ),
    "a cursor that is not known": (("graphTooltip",), 7, "7"),
    "a panel without its place": (("panels", 1, "gridPos", "w"), None, "null"),
}
"""By what is wrong: where, what stands there, what the complaint names."""


def test_grafana_s_own_types_find_mistakes() -> None:
    broken = {}
    for mistake, (path, value, _) in MISTAKES.items():
        document = copy.deepcopy(DASHBOARDS["service"])
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        broken[mistake] = document
    found = complaints(broken)
    for mistake, (_, _, named) in MISTAKES.items():
        assert any(named in one for one in found if one.startswith(mistake)), mistake


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    with prometheus() as server:
        yield Answers(server, RecordStore(SPAN.end))


@pytest.mark.slow
@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_gets_data_from_a_real_prometheus(name: str, answers: Answers) -> None:
    dashboard = DASHBOARDS[name]
    span = shown(dashboard, SPAN.end)
    empty = [panel["title"] for panel in panels(dashboard) if not answers.of(panel, span)]
    assert empty == []


@pytest.mark.slow
def test_each_query_alone_gets_data_but_those_about_what_rarely_happens(answers: Answers) -> None:
    """A panel with two queries has data even where one of them is wrong."""
    without = set()
    for dashboard in DASHBOARDS.values():
        span = shown(dashboard, SPAN.end)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                if not answers.of({"targets": [target]}, span):
                    without.add((panel["title"], target.get("legendFormat")))
    assert without == {("Messages by way", "{{integration}} failed")}


@pytest.mark.slow
def test_pictures_are_those_of_the_dashboards(answers: Answers) -> None:
    """Drawn anew they are the same: nobody has forgotten to draw them."""
    drawn = dict(pictures(answers))
    assert {file.stem for file in FOLDER.glob("*.svg")} == drawn.keys()
    for name, picture in drawn.items():
        kept = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        assert kept == picture, f"{name}: draw it anew with `python -m tests.artifacts.dashboards`"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_picture_has_the_dashboard_s_panels_in_their_places(name: str) -> None:
    file = FOLDER / f"{name}.svg"
    assert file.stat().st_size <= 200 * 1024
    tree = ElementTree.parse(file)
    texts = ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "No data" not in texts
    assert DASHBOARDS[name]["title"] in texts
    frames = [node for node in tree.iter("{http://www.w3.org/2000/svg}g") if node.get("class") == "panel"]
    titles = [node.get("data-title") for node in frames]
    assert titles == [panel["title"] for panel in panels(DASHBOARDS[name])]
    for title in titles:
        assert title is not None
        assert any(text == title or (text.endswith("…") and title.startswith(text[:-1])) for text in texts)


def test_the_page_shows_each_dashboard() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    for name, dashboard in DASHBOARDS.items():
        assert f"](images/dashboards/{name}.svg)" in page
        assert f"## {dashboard['title']}" in page
        assert expressions(panels(dashboard)[0]) or name == "audit"


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="rsvg-convert is not on PATH")
def test_pictures_can_be_rendered(tmp_path: Path) -> None:
    for name in DASHBOARDS:
        target = tmp_path / f"{name}.png"
        subprocess.run(["rsvg-convert", FOLDER / f"{name}.svg", "-o", target], check=True, timeout=60)
        assert target.stat().st_size > 20_000
