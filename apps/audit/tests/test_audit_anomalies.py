"""The rules: each fires at its threshold, and not below."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_trail import records
from audit_trail.anomalies import BULK_EXPORT, DENIALS, UNUSUAL_ADMIN, Detector, Thresholds, inspect
from audit_trail.cli import main
from audit_trail.errors import Refused
from audit_trail.records import Record
from audit_trail.store import Store

NIGHT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
"""Two in the morning in Shanghai."""
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
LIMITS = Thresholds(time_zone="Asia/Shanghai", export_reads=5, export_bytes=1000, denials=3, learning_days=0)


def record(moment: datetime, number: int = 0, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": records.identity("test", moment.isoformat(), str(number)),
        "timestamp": records.utc(moment),
        "source": "kubernetes",
        "action": "list",
        "resource": "pods",
        "result": "success",
        "user": "alice",
        "ip": "192.0.2.7",
        **changes,
    }
    return Record(**values)


def rules(given: list[Record], thresholds: Thresholds = LIMITS) -> list[str]:
    return [one.action for one in inspect(given, thresholds)]


def test_many_reads_at_night_are_raised_once() -> None:
    reads = [record(NIGHT + timedelta(seconds=index), index) for index in range(20)]
    assert rules(reads[:4]) == []
    assert rules(reads) == [BULK_EXPORT]


def test_as_many_reads_by_day_are_not() -> None:
    assert rules([record(NOON + timedelta(seconds=index), index) for index in range(20)]) == []


def test_the_night_is_in_the_zone_of_the_settings() -> None:
    detector = Detector(Thresholds(time_zone="Asia/Shanghai", night_begins=22, night_ends=6))
    for hour, night in ((13, False), (14, True), (21, True), (22, False)):
        assert detector.at_night(datetime(2026, 11, 20, hour, tzinfo=UTC)) is night, hour
    early = Detector(Thresholds(night_begins=1, night_ends=5))
    assert [early.at_night(datetime(2026, 11, 20, hour, tzinfo=UTC)) for hour in (0, 1, 4, 5)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_many_bytes_at_night_are_raised() -> None:
    given = [
        record(NIGHT, number, source="gateway", action="POST", resource="/v1/x", user=None, bytes=500)
        for number in range(2)
    ]
    assert rules(given[:1]) == []
    assert rules(given) == [BULK_EXPORT]


def test_reads_over_a_long_time_are_everyday_work() -> None:
    assert rules([record(NIGHT + timedelta(minutes=3 * index), index) for index in range(20)]) == []


def test_denials_from_one_address_are_raised() -> None:
    denied = [record(NOON, number, result="denied", status=403, user=f"user-{number}") for number in range(3)]
    assert rules(denied[:2]) == []
    (raised,) = inspect(denied, LIMITS)
    assert (raised.action, raised.ip, raised.user) == (DENIALS, "192.0.2.7", None)
    scattered = [record(NOON, n, result="denied", ip=f"192.0.2.{n}") for n in range(9)]
    assert rules(scattered) == []


@pytest.mark.parametrize(
    "deed",
    [
        {"action": "exec", "resource": "pods/exec"},
        {"action": "get", "resource": "secrets", "namespace": "tenant"},
        {"action": "list", "resource": "secrets"},
        {"action": "create", "resource": "serviceaccounts/token"},
        {"action": "create", "resource": "clusterrolebindings.rbac.authorization.k8s.io"},
        {"action": "delete", "resource": "validatingwebhookconfigurations.admissionregistration.k8s.io"},
        {"action": "delete", "resource": "secrets"},
    ],
)
def test_the_first_deed_of_administration_by_a_user_is_raised(deed: dict[str, Any]) -> None:
    assert rules([record(NOON, 1, **deed), record(NOON, 2, **deed)]) == [UNUSUAL_ADMIN]
    assert rules([record(NOON, 1, **deed, result="denied")]) == []


def test_everyday_work_is_no_administration() -> None:
    for deed in ({"action": "get", "resource": "pods"}, {"action": "create", "resource": "deployments.apps"}):
        assert rules([record(NOON, **deed)]) == []


def test_what_users_do_while_it_learns_is_usual() -> None:
    limits = Thresholds(learning_days=7)
    given = [
        record(NOON, 1, action="exec"),
        record(NOON + timedelta(days=8), 2, action="exec"),
        record(NOON + timedelta(days=8), 3, action="exec", user="mallory"),
    ]
    assert [one.user for one in inspect(given, limits)] == ["mallory"]


def test_users_that_are_ignored_raise_nothing() -> None:
    assert rules([record(NOON, user="system:apiserver", action="exec")]) == []


def test_a_rule_raises_a_record_like_any_other() -> None:
    (raised,) = inspect([record(NOON, action="exec", resource="pods/exec", name="x")], LIMITS)
    assert records.parse(raised.line()) == raised
    assert (raised.source, raised.result, raised.user, raised.name) == ("anomaly", "raised", "alice", "x")
    assert raised.detail == "first exec into pods by this user"


def test_what_a_rule_remembers_outlives_a_restart() -> None:
    before = Detector(LIMITS)
    for number in range(4):
        assert before.observe(record(NIGHT, number)) == []
    after = Detector(LIMITS)
    after.restore(json.loads(json.dumps(before.state())))
    assert [one.action for one in after.observe(record(NIGHT, 4))] == [BULK_EXPORT]
    again = Detector(LIMITS)
    again.restore(json.loads(json.dumps(after.state())))
    assert again.observe(record(NIGHT, 5)) == []


def test_what_rules_remember_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_trail.anomalies._SUBJECTS", 50)
    detector = Detector(LIMITS)
    for number in range(200):
        detector.observe(record(NIGHT, number, user=f"user-{number}", action="exec"))
        detector.observe(record(NIGHT, number, result="denied", ip=f"2001:db8::{number:x}"))
    assert len(detector.deeds) <= 50
    assert all(len(windows) <= 50 for windows in detector.windows.values())


def test_unknown_zones_and_thresholds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refused, match="zone"):
        Detector(Thresholds(time_zone="Asia/Nowhere"))
    assert main(["anomalies", f"--store={tmp_path}", '--thresholds={"typo": 1}']) == 2
    assert "typo" in capsys.readouterr().err


def test_rules_can_be_applied_to_records_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    store.create()
    given = [record(NIGHT, number) for number in range(5)]
    store.records(given[0].day).write_bytes(b"".join(one.line() for one in given))
    thresholds = '{"export_reads": 5, "time_zone": "Asia/Shanghai"}'
    assert main(["anomalies", f"--store={tmp_path}", f"--thresholds={thresholds}"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == BULK_EXPORT


def test_records_are_found_by_day_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.create()
    later = NIGHT + timedelta(days=1)
    given = [record(NIGHT), record(NIGHT, 1, user="bob"), record(later), record(later, 1, action="get")]
    for one in given:
        with store.records(one.day).open("ab") as file:
            file.write(one.line())
    # The collector is writing.
    with store.records(later.date()).open("ab") as file:
        file.write(b'{"half')

    def found(*arguments: str) -> list[Record]:
        assert main(["records", f"--store={tmp_path}", *arguments]) == 0
        return [records.parse(line) for line in capsys.readouterr().out.encode().splitlines(keepends=True)]

    assert found() == given
    assert found("--field=user=alice", "--field=action=list") == [given[0], given[2]]
    assert found(f"--since={later.date()}") == given[2:]
    assert found(f"--until={NIGHT.date()}", "--field=user=bob") == [given[1]]
    assert main(["records", f"--store={tmp_path}", "--field=who=bob"]) == 2
    assert "'who=bob': write NAME=VALUE with a name of id, timestamp" in capsys.readouterr().err
