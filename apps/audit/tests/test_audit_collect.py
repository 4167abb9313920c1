"""Lines of logs become records: what is read, what is refused, what a crash leaves, what rotation does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_trail import records, seal, tail
from audit_trail.__main__ import UMASK
from audit_trail.anomalies import RULES
from audit_trail.collect import Collector
from audit_trail.errors import Unreadable
from audit_trail.journal import REMOVED
from audit_trail.records import Record
from audit_trail.sources import READERS, haproxy, kubernetes, uvicorn
from audit_trail.sources.line import Line
from audit_trail.store import Store

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 21)


def event(number: int = 0, **changes: Any) -> dict[str, Any]:
    """An event as kube-apiserver 1.36 writes it."""
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"1020c2e8-fcd6-43d4-91e7-{number:012d}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/tenant/secrets/s?timeout=1s",
        "verb": "get",
        "user": {"username": "alice", "uid": "u", "groups": ["system:authenticated"]},
        "sourceIPs": ["192.0.2.7", "10.0.0.1"],
        "userAgent": "kubectl/v1.36.3",
        "objectRef": {"resource": "secrets", "namespace": "tenant", "name": "s", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-21T11:59:58.123456Z",
        "stageTimestamp": "2026-11-21T11:59:58.223456Z",
        **changes,
    }


def read(**changes: Any) -> Record | None:
    return kubernetes.read(Line(json.dumps(event(**changes)), "node-1"))


def test_an_event_of_the_api_server_becomes_a_record() -> None:
    found = read()
    assert found is not None
    assert json.loads(found.line()) == {
        "id": found.id,
        "timestamp": "2026-11-21T11:59:58.123456Z",
        "source": "kubernetes",
        "user": "alice",
        "action": "get",
        "resource": "secrets",
        "namespace": "tenant",
        "name": "s",
        "ip": "192.0.2.7",
        "result": "success",
        "status": 200,
        "trace_id": "1020c2e8-fcd6-43d4-91e7-000000000000",
        "node": "node-1",
    }


def test_a_way_into_a_container_is_an_action_of_its_own() -> None:
    found = read(
        verb="create",
        stage="ResponseStarted",
        requestURI="/api/v1/namespaces/tenant/pods/x/exec?command=CANARY",
        objectRef={"resource": "pods", "subresource": "exec", "namespace": "tenant", "name": "x"},
    )
    assert found is not None
    assert (found.action, found.resource) == ("exec", "pods/exec")
    assert b"CANARY" not in found.line()


def test_the_address_of_a_request_without_object_loses_its_query() -> None:
    found = read(objectRef=None, requestURI="/apis/custom?token=CANARY")
    assert found is not None
    assert found.resource == "/apis/custom"
    assert b"CANARY" not in found.line()


def test_who_acts_as_somebody_else_is_named() -> None:
    found = read(impersonatedUser={"username": "system:admin"})
    assert found is not None
    assert found.user == "alice as system:admin"


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "success"), (403, "denied"), (401, "denied"), (404, "failure"), (500, "failure")],
)
def test_a_status_is_a_result(status: int, result: str) -> None:
    found = read(responseStatus={"code": status})
    assert found is not None
    assert (found.status, found.result) == (status, result)


def test_a_long_request_is_recorded_once_when_it_begins() -> None:
    begins, ends = (read(verb="watch", stage=stage) for stage in ("ResponseStarted", "ResponseComplete"))
    assert begins is not None
    assert ends is None
    assert read(stage="RequestReceived") is None


def test_a_request_without_identity_has_no_user() -> None:
    found = read(user={}, responseStatus={"code": 401})
    assert found is not None
    assert found.user is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "Policy"},
        {"apiVersion": "audit.k8s.io/v2"},
        {"stage": "Dreamt"},
        {"auditID": None},
        {"verb": ""},
        {"requestReceivedTimestamp": "yesterday"},
        {"requestReceivedTimestamp": "2026-13-41T00:00:00Z"},
        {"responseStatus": {"code": "200"}},
        {"responseStatus": 7},
        {"objectRef": [], "requestURI": None},
        {"user": "alice"},
    ],
)
def test_an_event_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read(**changes)


MODEL_LINE = (
    '(APIServer pid=1) INFO:     192.0.2.9:58614 - "POST /v1/chat/completions?x=CANARY HTTP/1.1" 200 OK'
)


def model(text: str, written: str | None = "2026-11-21T12:13:02.506963257Z") -> Record | None:
    return uvicorn.read(Line(text, "node-1", written, "/logs/pod/vllm"))


def test_an_access_line_of_the_model_server_becomes_a_record() -> None:
    found = model(MODEL_LINE)
    assert found is not None
    assert (found.source, found.action, found.resource) == ("model", "POST", "/v1/chat/completions")
    assert (found.ip, found.status, found.user) == ("192.0.2.9", 200, None)
    assert found.timestamp == "2026-11-21T12:13:02.506963Z"
    assert b"CANARY" not in found.line()


def test_what_else_the_engine_says_and_probes_are_no_records() -> None:
    for text in (
        "INFO 11-21 12:13:02 [loggers.py:236] Engine 000: Avg prompt throughput: 0.0 tokens/s",
        'INFO:     10.244.0.1:34650 - "GET /health HTTP/1.1" 200 OK',
        'INFO:     10.244.0.1:34650 - "GET /v1/models HTTP/1.1" 200 OK',
        "",
    ):
        assert model(text) is None
    assert model('INFO:     10.244.0.1:34650 - "GET /v1/models HTTP/1.1" 401 Unauthorized') is not None


def test_a_broken_access_line_is_refused() -> None:
    for text in ('INFO:     nobody - "POST /v1/completions HTTP/1.1" 200', MODEL_LINE.replace("200", "999")):
        with pytest.raises(Unreadable):
            model(text)
    with pytest.raises(Unreadable):
        model(MODEL_LINE, None)


GATEWAY_LINE = (
    "192.0.2.8:33317 [21/Nov/2026:12:14:14.655] model_api~ model_servers/model-0 10/0/30/69/109 200 2750 "
    "- - ---- 1/1/1/1/0 0/0 {00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01} "
    '"POST /v1/chat/completions?k=CANARY HTTP/1.1"'
)


def test_a_line_of_the_gateway_becomes_a_record() -> None:
    found = haproxy.read(Line(GATEWAY_LINE))
    assert found is not None
    assert (found.source, found.action, found.resource) == ("gateway", "POST", "/v1/chat/completions")
    assert (found.ip, found.status, found.bytes) == ("192.0.2.8", 200, 2750)
    assert found.timestamp == "2026-11-21T12:14:14.655000Z"
    assert found.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert b"CANARY" not in found.line()


def test_an_address_of_version_6_is_read() -> None:
    found = haproxy.read(Line(GATEWAY_LINE.replace("192.0.2.8", "2001:db8::1")))
    assert found is not None
    assert found.ip == "2001:db8::1"


def test_a_request_that_was_none_is_recorded() -> None:
    text = (
        "192.0.2.8:33317 [21/Nov/2026:12:14:14.655] model_api model_api/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- "
        '1/1/0/0/0 0/0 "<BADREQ>"'
    )
    found = haproxy.read(Line(text))
    assert found is not None
    assert (found.action, found.resource, found.result) == ("-", "<BADREQ>", "failure")


def test_what_else_haproxy_says_is_no_record() -> None:
    assert haproxy.read(Line("Server model_servers/model-0 is UP, reason: Layer7 check passed")) is None
    with pytest.raises(Unreadable):
        haproxy.read(Line(GATEWAY_LINE.replace("Nov", "Nix")))
    with pytest.raises(Unreadable):
        haproxy.read(Line(GATEWAY_LINE.replace(" 200 ", " two ")))


@given(text=st.text(max_size=200), source=st.sampled_from(sorted(READERS)))
@settings(max_examples=300, deadline=None)
def test_a_reader_reads_refuses_or_leaves_a_line_and_never_fails(text: str, source: str) -> None:
    for line in (text, GATEWAY_LINE + text, text + MODEL_LINE, json.dumps(event()) + text):
        try:
            READERS[source](Line(line, written="2026-11-21T12:13:02Z"))
        except Unreadable:
            continue


_text = st.text(min_size=1, max_size=40).map(records.text).filter(bool)


@given(
    user=st.none() | _text,
    resource=_text,
    status=st.none() | st.integers(100, 599),
    moment=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),
)
def test_a_record_is_what_its_line_says(user: Any, resource: Any, status: Any, moment: datetime) -> None:
    made = Record(
        id="0" * 64,
        timestamp=records.utc(moment),
        source="gateway",
        action="GET",
        resource=resource,
        result="success",
        user=user,
        status=status,
    )
    assert records.parse(made.line()) == made
    assert made.line().count(b"\n") == 1


def test_only_the_canonical_form_of_a_record_is_one() -> None:
    line = Record("0" * 64, "2026-11-21T12:00:00.000000Z", "model", "GET", "/", "success").line()
    assert records.parse(line)
    for other in (
        line.replace(b",", b", ", 1),
        line.replace(b"success", b"splendid"),
        line.replace(b'"GET"', b"7"),
        line[:-2] + b',"more":1}\n',
        b"[]\n",
        b"{}\n",
        line.rstrip(),
    ):
        with pytest.raises(Unreadable):
            records.parse(other)


Make = Callable[..., Collector]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "trail")


@pytest.fixture
def make(logs: Path, store: Store) -> Make:
    """A collector as it starts; each call is a restart."""

    def start(**changes: Any) -> Collector:
        return Collector(
            store,
            {"kubernetes": [f"{logs}/audit*.log"], "model": [f"{logs}/pod/*.log*"]},
            clock=lambda: NOW,
            node="node-1",
            **changes,
        )

    return start


def add(path: Path, *numbers: int, **changes: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        for number in numbers:
            file.write(json.dumps(event(number, **changes)) + "\n")


def numbers(store: Store, day: date = TODAY) -> list[int]:
    """Which events are recorded, in order."""
    path = store.records(day)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [int((records.parse(line).trace_id or "")[-12:]) for line in lines]


def test_lines_that_come_are_collected_once(make: Make, logs: Path, store: Store) -> None:
    collector = make()
    add(logs / "audit.log", 1, 2)
    assert collector.run_pass() == 2
    assert collector.run_pass() == 0
    add(logs / "audit.log", 3)
    collector.run_pass()
    assert numbers(store) == [1, 2, 3]


def test_a_line_that_is_still_being_written_waits(make: Make, logs: Path, store: Store) -> None:
    collector, whole = make(), json.dumps(event(1))
    (logs / "audit.log").write_text(whole[:50])
    assert collector.run_pass() == 0
    (logs / "audit.log").write_text(whole + "\n")
    collector.run_pass()
    assert numbers(store) == [1]


def test_a_rotated_file_is_read_to_its_end_and_not_again(make: Make, logs: Path, store: Store) -> None:
    collector = make()
    add(logs / "audit.log", 1, 2)
    collector.run_pass()
    add(logs / "audit.log", 3)
    (logs / "audit.log").rename(logs / "audit-2026-11-21T12-00-00.000.log")
    add(logs / "audit.log", 4)
    os.utime(logs / "audit-2026-11-21T12-00-00.000.log", (NOW, NOW))
    collector.run_pass()
    assert numbers(store) == [1, 2, 3, 4]
    assert make().run_pass() == 0


def test_a_file_that_was_emptied_is_read_from_its_beginning(make: Make, logs: Path, store: Store) -> None:
    collector = make()
    add(logs / "audit.log", 1, 2)
    collector.run_pass()
    (logs / "audit.log").write_text("")
    add(logs / "audit.log", 3)
    collector.run_pass()
    assert numbers(store) == [1, 2, 3]


def test_a_restart_goes_on_where_it_was(make: Make, logs: Path, store: Store) -> None:
    add(logs / "audit.log", 1, 2)
    make().run_pass()
    add(logs / "audit.log", 3)
    collector = make()
    collector.run_pass()
    assert numbers(store) == [1, 2, 3]
    assert collector.records["kubernetes"] == 3


def test_a_crash_between_writing_and_noting_repeats_nothing(
    make: Make, logs: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(logs / "audit.log", 1)
    make().run_pass()
    add(logs / "audit.log", 2, 3)

    def crash(self: Store, state: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "save_state", crash)
        with pytest.raises(KeyboardInterrupt):
            make().run_pass()
    assert numbers(store) == [1, 2, 3], "written, but not noted"
    make().run_pass()
    assert numbers(store) == [1, 2, 3]


def test_lost_notes_repeat_nothing(make: Make, logs: Path, store: Store) -> None:
    add(logs / "audit.log", 1, 2)
    make().run_pass()
    (store.root / "state" / "collector.json").unlink()
    add(logs / "audit.log", 3)
    make().run_pass()
    assert numbers(store) == [1, 2, 3]


def test_what_cannot_be_read_is_kept_aside_and_counted(make: Make, logs: Path, store: Store) -> None:
    add(logs / "audit.log", 1)
    with (logs / "audit.log").open("ab") as file:
        file.write(b"\xff\xfe nonsense\n")
    add(logs / "audit.log", 2)
    collector = make()
    collector.run_pass()
    assert numbers(store) == [1, 2]
    letter = json.loads(store.refused(TODAY).read_text())
    assert (letter["source"], letter["reason"]) == ("kubernetes", "no JSON")
    assert letter["line"] == "\\xff\\xfe nonsense"
    assert 'audit_refused_lines_total{source="kubernetes"} 1\n' in collector.page()
    assert 'audit_records_total{source="kubernetes"} 2\n' in collector.page()
    assert make().run_pass() == 0


def test_a_line_beyond_all_measure_is_refused_and_the_next_is_read(
    make: Make, logs: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LINE", 2000)
    add(logs / "audit.log", 1)
    with (logs / "audit.log").open("a") as file:
        file.write("x" * 5000 + "\n")
    add(logs / "audit.log", 2)
    collector = make()
    collector.run_pass()
    assert numbers(store) == [1, 2]
    assert collector.refused["kubernetes"] == 1


def test_records_belong_to_the_day_they_tell_of(make: Make, logs: Path, store: Store) -> None:
    add(logs / "audit.log", 1, requestReceivedTimestamp="2026-11-20T23:59:59Z")
    add(logs / "audit.log", 2)
    make().run_pass()
    assert numbers(store, date(2026, 11, 20)) == [1]
    assert numbers(store) == [2]


def test_what_comes_after_the_seal_goes_to_the_day_that_is_open(make: Make, logs: Path, store: Store) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    collector, yesterday = make(), date(2026, 11, 20)
    add(logs / "audit.log", 1, requestReceivedTimestamp="2026-11-20T23:59:59Z")
    collector.run_pass()
    seal.seal_days(store, Ed25519PrivateKey.generate(), "node-1", yesterday, lambda text: None)
    sealed = store.records(yesterday).read_bytes()
    add(logs / "audit.log", 2, requestReceivedTimestamp="2026-11-20T23:59:59.5Z")
    add(logs / "audit.log", 3, requestReceivedTimestamp="2027-01-01T00:00:00Z")
    collector.run_pass()
    assert store.records(yesterday).read_bytes() == sealed
    assert numbers(store) == [2, 3]
    assert make().run_pass() == 0


def test_what_a_crash_left_is_not_sealed(make: Make, logs: Path, store: Store) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    yesterday = date(2026, 11, 20)
    add(logs / "audit.log", 1, requestReceivedTimestamp="2026-11-20T23:59:59Z")
    make().run_pass()
    with store.records(yesterday).open("ab") as file:
        file.write(b'{"half')
    (made,) = seal.seal_days(store, Ed25519PrivateKey.generate(), "node-1", yesterday, lambda text: None)
    assert made.count == 1
    assert numbers(store, yesterday) == [1]


def test_f42_records_removed_before_the_seal_are_told_at_the_next_start(
    make: Make, logs: Path, store: Store
) -> None:
    add(logs / "audit.log", 1, 2)
    make().run_pass()
    whole = store.records(TODAY).read_bytes().splitlines(keepends=True)
    store.records(TODAY).write_bytes(whole[0])
    collector = make()
    collector.run_pass()
    told = records.parse(store.records(TODAY).read_bytes().splitlines(keepends=True)[-1])
    assert (told.action, told.resource) == (REMOVED, f"records/{TODAY}.jsonl")
    assert collector.anomalies[REMOVED] == 1


def test_the_first_anomaly_of_a_rule_is_growth_of_a_counter_that_was_there(make: Make) -> None:
    """Prometheus' increase() of a series that begins at 1 is 0."""
    page = make().page()
    for rule in (*RULES, REMOVED):
        assert f'audit_anomalies_total{{rule="{rule}"}} 0\n' in page


def test_a_containers_lines_are_joined(make: Make, logs: Path, store: Store) -> None:
    half = len(MODEL_LINE) // 2
    (logs / "pod").mkdir()
    (logs / "pod" / "0.log").write_text(
        f"2026-11-21T12:13:02.1Z stdout P {MODEL_LINE[:half]}\n"
        "2026-11-21T12:13:02.1Z stderr F something else\n"
        f"2026-11-21T12:13:02.2Z stdout F {MODEL_LINE[half:]}\n"
        "2026-11-21T12:13:02.3Z stdout P never comp"
    )
    collector = make()
    collector.run_pass()
    (line,) = store.records(TODAY).read_bytes().splitlines(keepends=True)
    assert records.parse(line).resource == "/v1/chat/completions"
    assert collector.ignored["model"] == 1
    assert make().run_pass() == 0


def test_every_record_is_told_to_a_log_shipper(make: Make, logs: Path, store: Store) -> None:
    told: list[bytes] = []
    add(logs / "audit.log", 1, 2)
    make(emit=told.append).run_pass()
    assert b"".join(told) == store.records(TODAY).read_bytes()


@pytest.fixture
def of_the_container() -> Iterator[None]:
    """The mask of files that the entry point sets."""
    before = os.umask(UMASK)
    yield
    os.umask(before)


def test_nobody_else_reads_the_trail(of_the_container: None, make: Make, logs: Path, store: Store) -> None:
    add(logs / "audit.log", 1)
    make().run_pass()
    for path in store.root.rglob("*"):
        assert path.stat().st_mode & 0o007 == 0, path
    assert store.records(TODAY).stat().st_mode & 0o020 == 0


@given(
    cuts=st.lists(st.integers(0, 2500), max_size=6), restarts=st.lists(st.booleans(), min_size=7, max_size=7)
)
@settings(max_examples=40, deadline=None)
def test_however_a_log_grows_each_line_is_recorded_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], restarts: list[bool]
) -> None:
    root = tmp_path_factory.mktemp("grow")
    content = "".join(json.dumps(event(number)) + "\n" for number in range(4))
    store = Store(root / "trail")

    def start() -> Collector:
        return Collector(store, {"kubernetes": [f"{root}/audit*.log"]}, clock=lambda: NOW)

    collector, done = start(), 0
    for cut, restart in zip([*sorted(cuts), len(content)], restarts, strict=False):
        with (root / "audit.log").open("a") as file:
            file.write(content[done : max(done, cut)])
        done = max(done, min(cut, len(content)))
        if restart:
            collector = start()
        collector.run_pass()
    assert numbers(store) == [0, 1, 2, 3]
