"""Logging as it is planned: memory, disks, buffers, ages; and bad input, each with its key and a fix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.quantities import GIB, MIB
from components.logging import lifecycle, sizing, views
from components.logging.plan import plan_logging
from components.logging.settings import Ingest
from components.monitoring.durations import DAY, HOUR
from tests.unit.logging.examples import FULL, IMAGES, plan, settings


def problems(*, nodes: int = 6, protect: bool = True, images: Any = IMAGES, **changes: Any) -> dict[str, str]:
    planned, found = plan_logging(settings(**changes), nodes=nodes, images=images, protect=protect)
    assert (planned is None) == bool(found)
    return {one.path: one.message for one in found}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("elasticsearch.hot.nodes", {"elasticsearch": {"hot": {"nodes": 2}}}, "write 3"),
    (
        "elasticsearch.hot.nodes",
        {"elasticsearch": {"hot": {"nodes": 1, "volume": {"size": "2Ti"}}, "replicas": 0}},
        "write 3 or more",
    ),
    ("elasticsearch.replicas", {"elasticsearch": {"replicas": 0}}, "write 1 or more"),
    ("elasticsearch.replicas", {"elasticsearch": {"replicas": 3}}, "need 4 nodes"),
    ("elasticsearch.shards", {"elasticsearch": {"shards": 4}}, "write at most 3"),
    ("elasticsearch.hot.memory", {"elasticsearch": {"hot": {"memory": "512Mi"}}}, "write 2Gi or more"),
    ("elasticsearch.hot.volume.size", {"elasticsearch": {"hot": {"volume": {"size": "5Gi"}}}}, "raise it"),
    (
        "elasticsearch.warm.volume.size",
        {"elasticsearch": {"warm": {"nodes": 2, "volume": {"size": "5Gi"}}}},
        "raise it",
    ),
    ("retention.warmAfter", {"retention": {"warmAfter": "2d"}}, "there is no warm tier"),
    (
        "retention.deleteAfter",
        {
            "elasticsearch": {"warm": {"volume": {"size": "500Gi"}}},
            "retention": {"warmAfter": "7d", "deleteAfter": "7d"},
        },
        "lower retention.warmAfter",
    ),
    ("retention.rolloverAfter", {"retention": {"rolloverAfter": "8d", "deleteAfter": "7d"}}, "lower it"),
    ("retention.accessRecords", {"retention": {"accessRecords": "199d"}}, "write 200d or more"),
    ("logstash.queue", {"logstash": {"queue": "64Mi"}}, "write 256Mi or more"),
    ("logstash.memory", {"logstash": {"memory": "512Mi"}}, "write 1Gi or more"),
    ("shipper.queue", {"shipper": {"queue": "200Mi"}}, "remove it or shorten outage"),
    ("shipper.queue", {"shipper": {"queue": "50Mi"}, "outage": "1m"}, "write 100Mi or more"),
    ("outage", {"outage": "30d", "ingest": {"linesPerSecond": 1000}}, "shorten it"),
    (
        "shipper.hostLogs[0].path",
        {"shipper": {"hostLogs": [{"dataset": "secrets", "path": "/etc/shadow"}]}},
        "name a directory of logs",
    ),
    (
        "shipper.hostLogs[1].dataset",
        {"shipper": {"hostLogs": [{"dataset": "a", "path": "/var/log/a.log"}] * 2}},
        "choose another",
    ),
    ("readers[1]", {"readers": ["a", "a"]}, "remove one"),
]


@pytest.mark.parametrize(("path", "changes", "fix"), BAD, ids=[f"{path}-{fix[:12]}" for path, _, fix in BAD])
def test_bad_settings_name_their_key_and_the_fix(path: str, changes: dict[str, Any], fix: str) -> None:
    found = problems(**changes)
    assert path in found
    assert fix in found[path]


def test_missing_images_are_named() -> None:
    assert "log-setup" in problems(images={"elasticsearch": "x"})[""]


def test_sound_settings_have_no_problem() -> None:
    assert problems() == {}
    assert problems(**FULL) == {}


@given(st.integers(min_value=GIB, max_value=512 * GIB))
def test_half_of_the_memory_is_heap_and_never_more_than_pointers_stay_small(memory: int) -> None:
    heap = sizing.heap(memory)
    assert heap % MIB == 0
    assert heap <= memory // 2
    assert heap <= 31 * GIB
    assert heap == 31 * GIB or memory // 2 - heap < MIB


@given(
    st.integers(min_value=1, max_value=500),
    st.integers(min_value=1, max_value=4000),
    st.integers(min_value=60, max_value=3 * DAY),
)
def test_the_queue_holds_an_outage(lines: int, size: int, outage: int) -> None:
    ingest = Ingest.model_validate({"linesPerSecond": lines, "bytesPerLine": size})
    queue = sizing.shipper_queue(ingest, outage)
    assert queue % GIB == 0
    assert queue >= lines * outage * (size + sizing.QUEUED_EVENT)
    assert queue - GIB < lines * outage * (size + sizing.QUEUED_EVENT) or queue == GIB


@given(st.integers(min_value=GIB, max_value=20_000 * GIB))
def test_a_volume_is_never_planned_full(volume: int) -> None:
    assert 0.84 * volume <= sizing.usable(volume) < volume


@given(
    rollover=st.integers(min_value=1, max_value=10),
    warm=st.none() | st.integers(min_value=1, max_value=20),
    more=st.integers(min_value=1, max_value=60),
)
def test_phases_follow_each_other(rollover: int, warm: int | None, more: int) -> None:
    delete = max(warm or 0, rollover) + more
    changes: dict[str, Any] = {
        "retention": {"rolloverAfter": f"{rollover}d", "deleteAfter": f"{delete}d"},
        "elasticsearch": {"hot": {"volume": {"size": "20Ti"}}},
    }
    if warm is not None:
        changes["retention"]["warmAfter"] = f"{warm}d"
        changes["elasticsearch"]["warm"] = {"volume": {"size": "20Ti"}}
    planned = plan(**changes)
    for phases in (lifecycle.data_stream_phases(planned), lifecycle.daily_phases(planned)):
        ages = [int(phase["min_age"].removesuffix("d").removesuffix("0ms") or 0) for phase in phases.values()]
        assert ages == sorted(ages)
        assert list(phases) == (["hot", "warm", "delete"] if warm is not None else ["hot", "delete"])
        assert "delete" in phases["delete"]["actions"]


@given(days=st.integers(min_value=1, max_value=1000), trail=st.integers(min_value=200, max_value=1000))
def test_audit_records_are_kept_half_a_year_and_more(days: int, trail: int) -> None:
    planned, found = plan_logging(
        settings(
            retention={"accessRecords": f"{days}d"}, elasticsearch={"hot": {"volume": {"size": "20Ti"}}}
        ),
        nodes=6,
        images=IMAGES,
        protect=True,
        trail_retention=trail * DAY,
    )
    if planned is None:
        assert days < 200
        assert [one.path for one in found] == ["retention.accessRecords"]
    else:
        kept = int(lifecycle.audit_phases(planned)["delete"]["min_age"].removesuffix("d"))
        assert kept == max(days, trail) >= days >= 200


@pytest.mark.parametrize(("seconds", "text"), [(2 * DAY, "2d"), (36 * HOUR, "36h"), (90, "90s"), (120, "2m")])
def test_ages_have_one_unit(seconds: int, text: str) -> None:
    assert lifecycle.age(seconds) == text


def test_templates_name_what_is_set_before_them() -> None:
    seen: set[str] = set()
    for call in lifecycle.calls(plan(**FULL)):
        if call.path.startswith("/_index_template/"):
            assert {f"/_component_template/{name}" for name in call.body["composed_of"]} <= seen
        if "settings" in call.body.get("template", {}):
            policy = call.body["template"]["settings"]["index"]["lifecycle"]["name"]
            assert f"/_ilm/policy/{policy}" in seen
        assert call.path not in seen
        seen.add(call.path)


def test_templates_that_fit_the_same_index_differ_in_priority() -> None:
    templates = [call.body for call in lifecycle.calls(plan()) if "/_index_template/" in call.path]
    assert len({one["priority"] for one in templates}) == len(templates)
    assert all(one["priority"] > 100 for one in templates)


def test_saved_searches_refer_to_data_views_that_come_first() -> None:
    lines = views.saved_objects().splitlines()
    assert len(lines) == len(views.DATA_VIEWS) + len(views.SAVED_SEARCHES)
    assert all('"index-pattern"' in line for line in lines[: len(views.DATA_VIEWS)])
    assert {search.view for search in views.SAVED_SEARCHES} <= set(views.DATA_VIEWS)


def test_demand_counts_every_pod() -> None:
    planned = plan(**FULL)
    demand = planned.demand
    assert demand.pods == 3 + 2 + (2 + 1) + (2 + 1) + 1
    assert demand.claims == 3 + 2 + 3
    assert demand.storage == 3 * 200 * GIB + 2 * 500 * GIB + 3 * 10 * GIB
    assert planned.agents_demand.pods == 1
