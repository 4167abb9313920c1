"""The Job: what it asks, what it does when answers are bad, what it leaves behind."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_servers import asked_for, matrix, serve
from hypothesis import given
from hypothesis import strategies as st
from weeks import MODEL, WEEK, document

from trend_report import announce, cli, configuration, figures, http, prometheus, store
from trend_report.errors import BadConfiguration, Refused, ReportError, Unreachable

RANGE = "/api/v1/query_range"


class Clock:
    """Waits without waiting."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


def closed_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def test_what_fails_for_a_while_is_tried_again_with_growing_pauses() -> None:
    answers = iter([(503, b"starting"), (429, b""), (200, matrix())])
    clock = Clock()
    with serve(lambda path, body: next(answers)) as server:
        assert prometheus.Prometheus(server.url, clock).range("up", 0, 60, 60) == []
    assert clock.waited == [1, 2]
    assert [path for path, _ in server.requests] == [RANGE] * 3


def test_who_does_not_answer_is_given_up_after_a_bounded_number_of_attempts() -> None:
    clock = Clock()
    with pytest.raises(Unreachable, match="refused"):
        http.post(f"http://127.0.0.1:{closed_port()}/x", b"", "text/plain", wait=clock)
    assert len(clock.waited) == http.ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 401, 404, 422, 301, 302])
def test_what_is_refused_is_not_tried_again_and_no_redirect_is_followed(status: int) -> None:
    answer = json.dumps({"status": "error", "error": "parse error at char 3"}).encode()
    refused = pytest.raises(Refused, match=f"answers {status}: parse error at char 3")
    with serve(lambda path, body: (status, answer)) as server, refused:
        prometheus.Prometheus(server.url, Clock()).range("up", 0, 60, 60)
    assert len(server.requests) == 1


def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAXIMUM_BYTES", 10)
    with serve(lambda path, body: (200, matrix())) as server, pytest.raises(Refused, match="larger than"):
        prometheus.Prometheus(server.url, Clock()).range("up", 0, 60, 60)


def test_more_series_than_any_report_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAXIMUM_SERIES", 1)
    many = matrix(({"a": "1"}, {0: 1}), ({"a": "2"}, {0: 1}))
    with serve(lambda path, body: (200, many)) as server, pytest.raises(Refused, match="2 series"):
        prometheus.Prometheus(server.url, Clock()).range("up", 0, 60, 60)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": []}]}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [1]}]}}',
        b'{"status": "error", "error": "no"}',
        b"\xff\xfe",
    ],
)
def test_an_answer_of_something_else_is_refused(body: bytes) -> None:
    with serve(lambda path, asked: (200, body)) as server, pytest.raises(Refused):
        prometheus.Prometheus(server.url, Clock()).range("up", 0, 60, 60)


@given(st.dictionaries(st.integers(0, 10**9), st.floats(), max_size=8))
def test_only_finite_values_are_data(values: dict[int, float]) -> None:
    spelt = {moment: value if math.isfinite(value) else "NaN" for moment, value in values.items()}
    text = json.loads(matrix(({}, spelt)))["data"]["result"][0]
    found = prometheus._series(text).values
    assert set(found) == {moment for moment, value in values.items() if math.isfinite(value)}


def test_warnings_of_prometheus_are_kept_once() -> None:
    with serve(lambda path, body: (200, matrix(warnings=("exceeded limit",)))) as server:
        asked = prometheus.Prometheus(server.url, Clock())
        asked.range("up", 0, 60, 60)
        asked.range("up", 0, 60, 60)
    assert asked.warnings == ["exceeded limit"]


def test_the_replica_that_has_seen_the_most_is_asked() -> None:
    less, more = (matrix(({"job": "a"}, dict.fromkeys(range(hours), 240.0))) for hours in (5, 9))
    with serve(lambda *_: (200, less)) as one, serve(lambda *_: (200, more)) as other:
        urls = [one.url, f"http://127.0.0.1:{closed_port()}", other.url]
        server, silent = prometheus.most_complete(urls, "autoglm", 0, 36_000, Clock())
    assert server.url == other.url
    assert len(silent) == 1
    assert 'namespace="autoglm"' in asked_for(one.requests[0][1])["query"]


def test_without_any_replica_there_is_no_report() -> None:
    with pytest.raises(Unreachable):
        prometheus.most_complete([f"http://127.0.0.1:{closed_port()}"], "autoglm", 0, 3_600, Clock())


def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "alertmanager-operated.monitoring.svc"
        addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses] + [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", port, 0, 0))
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert http.addresses(["http://alertmanager-operated.monitoring.svc:9093"]) == [
        "http://10.0.0.1:9093",
        "http://10.0.0.2:9093",
        "http://[fd00::1]:9093",
    ]
    assert http.addresses(["https://prometheus.example.com/x"]) == ["https://prometheus.example.com/x"]


def answer_all(path: str, body: bytes) -> tuple[int, bytes]:
    """A Prometheus with one model that answered a hundred requests in each hour."""
    asked = asked_for(body)
    hours = range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"]))
    query, labels = asked["query"], {"model": MODEL}
    if "_bucket" in query:
        counts = {"0.5": 60.0, "1.0": 100.0, "+Inf": 100.0}
        series = [({**labels, "le": bound}, dict.fromkeys(hours, count)) for bound, count in counts.items()]
        return 200, matrix(*series)
    if "http_requests_total" in query:
        return 200, matrix(({**labels, "status": "2xx"}, dict.fromkeys(hours, 100.0)))
    if "by (model)" in query:
        return 200, matrix((labels, dict.fromkeys(hours, 0.5)))
    return 200, matrix(({}, dict.fromkeys(hours, 0.25)))


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., int]:
    """Runs the program's command line; the configuration is the usual one with changes."""

    def start(*arguments: str, **changes: Any) -> int:
        file = tmp_path / "report.json"
        file.write_text(json.dumps(document(**{"alertmanagers": [], **changes})), encoding="utf-8")
        return cli.main([f"--config={file}", f"--out={tmp_path / 'reports'}", *arguments])

    return start


def test_a_report_is_written_told_and_printed(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(answer_all) as server, serve(lambda *_: (200, b"")) as alertmanager:
        changes = {"prometheus": [server.url], "alertmanagers": [alertmanager.url]}
        assert job("--week=2026-W46", **changes) == 0
    reports = tmp_path / "reports"
    assert sorted(file.name for file in reports.iterdir()) == [
        "2026-W46.html",
        "2026-W46.json",
        "2026-W46.md",
        "index.html",
    ]
    assert capsys.readouterr().out.startswith("# Model service of stack prod, week 2026-W46")
    ((path, body),) = alertmanager.requests
    assert path == "/api/v2/alerts"
    assert json.loads(body)[0]["labels"]["alertname"] == announce.NAME
    kept = json.loads((reports / "2026-W46.json").read_text(encoding="utf-8"))
    assert kept["figures"][MODEL]["answers"] == 100 * 168
    assert kept["figures"][MODEL]["availability"] == 1


def test_the_same_report_twice_is_the_same(job: Callable[..., int], tmp_path: Path) -> None:
    texts = []
    with serve(answer_all) as server:
        for _ in range(2):
            assert job("--week=2026-W46", "--quiet", prometheus=[server.url]) == 0
            texts.append({file.name: file.read_bytes() for file in (tmp_path / "reports").iterdir()})
    assert texts[0] == texts[1]


def test_a_query_that_fails_is_named_and_the_rest_is_reported(
    job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if "DCGM_FI_DEV_GPU_UTIL" in asked_for(body)["query"]:
            return 422, json.dumps({"status": "error", "error": "query timed out"}).encode()
        return answer_all(path, body)

    with serve(answer) as server:
        assert job("--week=2026-W46", prometheus=[server.url]) == 0
    text = capsys.readouterr().out
    assert "| GPUs busy | no data |" in text
    assert "Missing or partial: gpu:" in text
    assert "query timed out" in text


def test_a_report_without_any_answer_is_none(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if "count_over_time" in asked_for(body)["query"]:
            return 200, matrix()
        return 422, b'{"status": "error", "error": "too many samples"}'

    with serve(answer) as server:
        assert job("--week=2026-W46", prometheus=[server.url]) == cli.STATUS_FAILED
    assert "too many samples" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_each_replica_of_alertmanager_is_told_and_one_is_enough() -> None:
    with serve(lambda *_: (200, b"")) as one, serve(lambda *_: (200, b"")) as other:
        silent = announce.send([one.url, f"http://127.0.0.1:{closed_port()}", other.url], {"a": 1}, Clock())
    assert len(silent) == 1
    assert len(one.requests) == len(other.requests) == 1


def test_a_summary_that_reaches_nobody_fails_the_job_and_the_report_is_there(
    job: Callable[..., int], tmp_path: Path
) -> None:
    with serve(answer_all) as server, serve(lambda *_: (400, b"bad")) as alertmanager:
        changes = {"prometheus": [server.url], "alertmanagers": [alertmanager.url]}
        assert job("--week=2026-W46", **changes) == cli.STATUS_FAILED
    assert (tmp_path / "reports" / "2026-W46.html").is_file()


def texts(week: str) -> dict[str, str]:
    figures_of = {"week": week, "figures": {MODEL: {"latency_p99": 0.8}}}
    return {"html": "<p>", "md": "#", "json": json.dumps(figures_of)}


def test_only_so_many_weeks_are_kept_and_the_list_has_them(tmp_path: Path) -> None:
    for week in range(40, 47):
        store.write(tmp_path, f"2026-W{week}", texts(f"2026-W{week}"), keep=3)
    kept = sorted(file.stem for file in tmp_path.glob("*.md"))
    assert kept == ["2026-W44", "2026-W45", "2026-W46"]
    listed = (tmp_path / store.LIST).read_text(encoding="utf-8")
    assert listed.index("2026-W46") < listed.index("2026-W44")
    assert "2026-W43" not in listed


def test_other_files_of_the_volume_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "lost+found").mkdir()
    store.write(tmp_path, "2026-W46", texts("2026-W46"), keep=1)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"figures": 1}', '{"figures": {"m": 3}}', "null"])
def test_earlier_figures_that_cannot_be_read_are_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "2026-W44.json").write_text(content, encoding="utf-8")
    (tmp_path / "2026-W45.json").write_text(texts("2026-W45")["json"], encoding="utf-8")
    (tmp_path / "2026-W46.json").write_text(texts("2026-W46")["json"], encoding="utf-8")
    found = store.earlier(tmp_path, "2026-W46")
    assert found["2026-W45"] == {MODEL: {"latency_p99": 0.8}}
    assert found.get("2026-W44", {}) == {}
    assert "2026-W46" not in found


def test_a_write_that_fails_leaves_the_old_report_and_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(tmp_path, "2026-W46", texts("2026-W46"), keep=3)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="No space left"):
        store.write(tmp_path, "2026-W46", {**texts("2026-W46"), "html": "<h1>"}, keep=3)
    assert (tmp_path / "2026-W46.html").read_text(encoding="utf-8") == "<p>"
    assert len(list(tmp_path.iterdir())) == 4


BROKEN: dict[str, dict[str, Any]] = {
    "timeZone": {"timeZone": "Mars/Olympus"},
    "prometheus": {"prometheus": []},
    "prometheus'": {"prometheus": ["ftp://x"]},
    "objectives.availability": {"objectives": {**document()["objectives"], "availability": 2}},
    "objectives.firstToken": {"objectives": {"availability": 0.9}},
    "price.low": {"price": {**document()["price"], "low": "ten"}},
    "keepWeeks": {"keepWeeks": True},
    "stack": {"stack": ""},
}


@pytest.mark.parametrize("path", BROKEN)
def test_a_bad_configuration_is_refused_by_key(path: str) -> None:
    with pytest.raises(BadConfiguration, match=rf"^{path.rstrip(chr(39))}: "):
        configuration.parse(document(**BROKEN[path]))


@pytest.mark.parametrize("content", [None, "", "[]", "{", "null"])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(BadConfiguration):
        configuration.load(file)


def test_queries_ask_for_the_models_of_one_namespace_only() -> None:
    asked: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(asked_for(body)["query"])
        return answer_all(path, body)

    with serve(answer) as server:
        figures.collect(prometheus.Prometheus(server.url, Clock()), WEEK, "mine")
    assert len(asked) == len(figures.MODEL_QUERIES) + len(figures.STACK_QUERIES)
    for query in asked:
        assert "SELECTOR" not in query
        assert ('namespace="mine"' in query) == ("DCGM" not in query and "node_cpu" not in query)
