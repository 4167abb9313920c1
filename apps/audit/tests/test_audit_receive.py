"""Batches that somebody else has made: what is taken, known, refused, and what a failing disk leaves."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_trail import journal, receive, seal, seen
from audit_trail.errors import Malformed, Unavailable
from audit_trail.keys import Ring
from audit_trail.receive import BATCH, Outcome, Receiver
from audit_trail.records import TEXT, identity, parse
from audit_trail.store import Store
from audit_trail.verify import verify

TODAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
TRAIL = "audit-collector-0"


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def event(number: int, day: date = TODAY, **changes: Any) -> dict[str, Any]:
    """A record as Logstash sends it, with what each of its events has."""
    values = {
        "@timestamp": f"{day}T10:00:00.123Z",
        "@version": "1",
        "id": identity("test", str(number)),
        "timestamp": f"{day}T10:00:00.123000Z",
        "source": "model",
        "action": "POST",
        "resource": "/v1/chat/completions",
        "result": "success",
        "ip": "10.244.0.1",
        "status": 200,
        "node": "node-1",
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def batch(*numbers: int, day: date = TODAY, **changes: Any) -> bytes:
    return json.dumps([event(number, day, **changes) for number in numbers]).encode()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    root = tmp_path / "trail"
    root.mkdir()
    return Store(root)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(store: Store, clock: Clock) -> Callable[..., Receiver]:
    """A receiver as it starts; each call is a restart."""

    def made(**changes: Any) -> Receiver:
        return Receiver(store, clock=clock, reserve=changes.pop("reserve", 0), **changes)

    return made


def ids(store: Store) -> list[str]:
    """Of all records, in the order of the trail."""
    return [
        parse(line).id
        for day in store.days("records", ".jsonl")
        for line in store.records(day).read_bytes().splitlines(keepends=True)
    ]


def numbered(*numbers: int) -> list[str]:
    return [identity("test", str(number)) for number in numbers]


def letters(store: Store) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.refused(TODAY).read_text().splitlines()]


def test_what_is_sent_is_written_in_the_form_of_the_trail(store: Store, start: Any) -> None:
    assert start().receive(batch(1, 2)) == Outcome(recorded=2, known=0, refused=0)
    first = store.records(TODAY).read_bytes().splitlines(keepends=True)[0]
    sent = event(1)
    del sent["@timestamp"], sent["@version"]
    assert json.loads(first) == sent
    assert parse(first).line() == first


def test_what_comes_again_is_left_out(store: Store, start: Any) -> None:
    receiver = start()
    receiver.receive(batch(1, 2))
    assert receiver.receive(batch(2, 3, 3)) == Outcome(recorded=1, known=2, refused=0)
    assert start().receive(batch(1, 2, 3)) == Outcome(recorded=0, known=3, refused=0)
    assert ids(store) == numbered(1, 2, 3)


@pytest.mark.parametrize("age", [0, 1, 2, 5, 13])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_comes_again_days_later_is_known(
    store: Store, start: Any, clock: Clock, age: int, restarted: bool
) -> None:
    receiver = start()
    receiver.receive(batch(1, 2))
    clock.now += age * 86400
    if age > 1:
        seal.seal_days(store, Ed25519PrivateKey.generate(), TRAIL, TODAY, lambda text: None)
    receiver = start() if restarted else receiver
    assert receiver.receive(batch(1, 2)).known == 2
    assert ids(store) == numbered(1, 2)


@pytest.mark.parametrize("ahead", [-3, -1, 0, 1, 300])
@pytest.mark.parametrize("later", [0, 1, 4])
def test_records_of_another_day_are_known_wherever_they_were_filed(
    store: Store, start: Any, clock: Clock, ahead: int, later: int
) -> None:
    day = TODAY + timedelta(days=ahead)
    seal.seal_days(store, Ed25519PrivateKey.generate(), TRAIL, TODAY - seal.DAY, lambda text: None)
    receiver = start()
    receiver.receive(batch(7, day=TODAY - 3 * seal.DAY))
    receiver.receive(batch(1, day=day))
    clock.now += later * 86400
    expected = 0 if ahead == 300 and later > 1 else 1
    for one in (receiver, start()):
        assert one.receive(batch(1, day=day)).known == expected, "beyond: a clock that was a year ahead"
        expected = 1


def test_a_record_that_comes_after_its_day_was_sealed_goes_to_the_open_one(store: Store, start: Any) -> None:
    key = Ed25519PrivateKey.generate()
    yesterday = TODAY - seal.DAY
    start().receive(batch(1, day=yesterday))
    seal.seal_days(store, key, TRAIL, yesterday, lambda text: None)
    receiver = start()
    assert receiver.receive(batch(1, 2, day=yesterday)) == Outcome(recorded=1, known=1, refused=0)
    assert verify(store, Ring((key.public_key(),)), TRAIL, yesterday).whole
    assert [len(store.records(day).read_bytes().splitlines()) for day in (yesterday, TODAY)] == [1, 1]


def test_older_days_are_let_go_when_there_are_many_ids(
    store: Store, start: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "LIMIT", 3)
    receiver = start()
    for age in range(6, 0, -1):
        receiver.receive(batch(age * 10, age * 10 + 1, day=TODAY - age * seal.DAY))
    opened = receiver._opened
    assert opened is not None
    held = opened[1]._days
    assert sum(len(found) for day, found in held.items() if day < TODAY - seal.DAY) <= 3
    for age in range(6, 0, -1):
        assert receiver.receive(batch(age * 10, age * 10 + 1, day=TODAY - age * seal.DAY)).known == 2
    assert len(ids(store)) == 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "no"}, "timestamp or id not as records have it"),
        ({"id": None}, "no field 'id'"),
        ({"timestamp": "2026-11-21T10:00:00Z"}, "timestamp or id"),
        ({"timestamp": "2026-13-41T10:00:00.000000Z"}, "no calendar"),
        ({"timestamp": "2026-11-21T25:00:00.000000Z"}, "no calendar"),
        ({"timestamp": "２026-11-21T10:00:00.000000Z"}, "timestamp or id"),
        ({"source": "kubernetes"}, "a record of source 'kubernetes'"),
        ({"source": "anomaly"}, "a record of source 'anomaly'"),
        ({"source": "dream"}, "unknown source or result"),
        ({"result": "perhaps"}, "unknown source or result"),
        ({"status": "200"}, "field 'status' is no number"),
        ({"status": 20000}, "field 'status' is no number"),
        ({"status": True}, "field 'status' is no number"),
        ({"status": 200.0}, "field 'status' is no number"),
        ({"resource": "/" + "x" * TEXT}, "field 'resource' is no text"),
        ({"resource": "\ud800"}, "field 'resource' is no text"),
        ({"resource": ["/"]}, "field 'resource' is no text"),
        ({"tags": ["x"]}, "unknown field 'tags'"),
        ({"x" * 3000: "y"}, "unknown field 'xxx"),
    ],
)
def test_a_record_that_is_none_is_kept_apart_and_the_others_are_taken(
    store: Store, start: Any, changes: dict[str, Any], reason: str
) -> None:
    receiver = start()
    body = json.dumps([event(1), event(2, **changes), event(3)]).encode()
    assert receiver.receive(body) == Outcome(recorded=2, known=0, refused=1)
    assert ids(store) == numbered(1, 3)
    (letter,) = letters(store)
    assert reason in letter["reason"]
    assert len(letter["reason"]) < 200
    assert len(letter["line"]) <= journal.KEPT
    assert sum(receiver._opened[0].refused.values()) == 1


@pytest.mark.parametrize("one", [7, "x", None, [], [event(1)]])
def test_what_is_no_object_is_refused(store: Store, start: Any, one: Any) -> None:
    assert start().receive(json.dumps([one, event(2)]).encode()) == Outcome(1, 0, 1)
    assert letters(store)[0]["source"] == "unknown"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe[", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[NaN]", "no JSON"),
        (b"[" + b"9" * 10_000 + b"]", "no JSON"),
        (b"{}", "no array"),
        (b"[]", "no array"),
        (json.dumps([event(1)] * (BATCH + 1)).encode(), f"{BATCH + 1} records; a batch has {BATCH} at most"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_what_is_no_batch_is_refused_whole_and_its_begin_kept(
    store: Store, start: Any, body: bytes, reason: str
) -> None:
    receiver = start()
    with pytest.raises(Malformed, match=reason):
        receiver.receive(body)
    assert ids(store) == []
    (letter,) = letters(store)
    assert letter["line"] == body[: journal.KEPT].decode("utf-8", "backslashreplace")
    assert 'audit_refused_lines_total{source="unknown"} 1\n' in receiver.page()


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    )
    | st.lists(st.fixed_dictionaries({}, optional={name: st.text() | st.integers() for name in event(1)}))
)
def test_whatever_is_sent_is_answered(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    receiver = Receiver(Store(tmp_path_factory.mktemp("trail")), clock=lambda: NOON, reserve=0)
    try:
        outcome = receiver.receive(json.dumps(value).encode())
    except Malformed:
        assert not isinstance(value, list) or not value
    else:
        assert outcome.recorded + outcome.known + outcome.refused == len(value)


def test_little_room_is_left_to_the_seals(store: Store, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = start(reserve=1 << 62)
    with pytest.raises(Unavailable, match="bytes are free, and"):
        receiver.receive(batch(1))
    with pytest.raises(Unavailable):
        receiver.check()
    assert not (store.root / "records").exists()
    assert receiver.writable is None
    receiver._reserve = 0
    assert receiver.receive(batch(1)).recorded == 1


@pytest.mark.parametrize("nth", range(8))
@pytest.mark.parametrize("kind", ["fsync", "replace", "write"])
def test_a_disk_that_fails_anywhere_loses_and_doubles_nothing(
    store: Store, start: Any, monkeypatch: pytest.MonkeyPatch, kind: str, nth: int
) -> None:
    receiver = start()
    receiver.receive(batch(1))
    calls = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **more)

        return called

    with monkeypatch.context() as broken:
        if kind == "fsync":
            broken.setattr(os, "fsync", failing(os.fsync))
        elif kind == "replace":
            broken.setattr(Path, "replace", failing(Path.replace))
        else:
            # A part of it is there when the disk is full.
            def half(self: journal.Journal, name: str, lines: list[bytes]) -> None:
                with (self._store.root / name).open("ab") as file:
                    file.write(b"".join(lines)[:-20])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            broken.setattr(journal.Journal, "_append", half)
        for body in (batch(2), batch(3, 4, tags="x"), batch(5)):
            with suppress(Unavailable):
                receiver.receive(body)
    # Whoever got no answer, or 503, sends it again; here all of them.
    for body in (batch(1), batch(2), batch(5)):
        receiver.receive(body)
    assert sorted(ids(store)) == sorted(numbered(1, 2, 5))
    assert receiver._opened[0].records["model"] == 3


def test_any_other_failure_is_not_answered_and_the_journal_is_opened_anew(
    store: Store, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start()
    receiver.receive(batch(1))
    with monkeypatch.context() as broken:
        broken.setattr(journal.Journal, "_save", lambda self, own: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receiver.receive(batch(2))
    assert receiver.receive(batch(2)) == Outcome(1, 0, 0)
    assert ids(store) == numbered(1, 2)


def test_rules_look_at_the_accesses_of_all_nodes_and_only_what_they_raise_is_printed(
    store: Store, start: Any
) -> None:
    printed: list[bytes] = []
    receiver = start(emit=printed.append)
    for node in ("node-1", "node-2"):
        numbers = range(20) if node == "node-1" else range(20, 40)
        receiver.receive(batch(*numbers, status=401, result="denied", node=node))
    raised = [parse(line) for line in printed]
    assert [(one.source, one.action, one.ip) for one in raised] == [("anomaly", "denials", "10.244.0.1")]
    assert raised[0].id in ids(store)
    assert 'audit_anomalies_total{rule="denials"} 1\n' in receiver.page()


def test_records_that_have_gone_are_told_at_the_next_look(store: Store, start: Any) -> None:
    receiver = start()
    receiver.receive(batch(1, 2))
    store.records(TODAY).write_bytes(store.records(TODAY).read_bytes().splitlines(keepends=True)[0])
    receiver = start()
    receiver.check()
    assert f'audit_anomalies_total{{rule="{journal.REMOVED}"}} 1\n' in receiver.page()
    assert receiver.receive(batch(2)).recorded == 1


def test_figures(start: Any, clock: Clock) -> None:
    receiver = start()
    assert 'audit_received_batches_total{code="503"} 0\n' in receiver.page()
    receiver.receive(batch(1, 2))
    receiver.receive(batch(2))
    receiver.answered(200)
    page = receiver.page()
    for line in (
        'audit_records_total{source="model"} 2',
        'audit_records_total{source="gateway"} 0',
        'audit_refused_lines_total{source="unknown"} 0',
        "audit_repeated_records_total 1",
        'audit_received_batches_total{code="200"} 1',
        'audit_received_batches_total{code="413"} 0',
        f"audit_last_pass_timestamp_seconds {NOON:.17g}",
    ):
        assert f"{line}\n" in page


def test_a_batch_of_the_longest_records_is_within_the_limit() -> None:
    """125 records, as Logstash has them in one, with every text at its longest and of four bytes each."""
    texts = dict.fromkeys(("action", "resource", "ip", "trace_id", "node"), "\U0001f600" * TEXT)
    longest = [event(number, **texts) for number in range(125)]
    assert len(json.dumps(longest, ensure_ascii=False).encode()) < receive.BODY
