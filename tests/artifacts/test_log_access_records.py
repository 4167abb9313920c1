"""Access lines become audit records in Logstash, the same ones that the audit trail's readers make.

Lines are of programs that ran here: `vllm-access.log` is a container's log of vLLM 0.32 on an embedded
cluster, as containerd wrote it, probed, scraped and asked; `uvicorn-access.log` is of uvicorn 0.54, its HTTP
server, asked for more than people ask; `haproxy.log` is of HAProxy 2.6. `logstash_filters` runs the filters.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from audit_trail.errors import Unreadable
from audit_trail.records import Record, parse, parse_time
from audit_trail.sources import READERS
from audit_trail.sources.http import _QUIET
from audit_trail.sources.line import Line, unframe
from components.logging import sizing
from components.logging.lifecycle import _audit_mappings
from components.logging.pipelines import access, logstash
from components.logging.pipelines.access import GATEWAY, MODEL, AccessLog
from tests.artifacts.logstash_filters import Event, filters
from tests.artifacts.test_log_masking import JWT, PHONE
from tests.artifacts.test_log_pipelines import recorded

LOGS = (AccessLog(MODEL, "autoglm", "vllm"), AccessLog(GATEWAY, "entry", "haproxy"))
WRITTEN = "2026-11-21T12:13:02.506963257Z"


@cache
def pipeline(*, trail: bool = True, logs: tuple[AccessLog, ...] = LOGS) -> Any:
    return filters(logstash.pods("default", ("node-agents", "collector") if trail else None, logs))


def event(log: AccessLog, text: str, written: str = WRITTEN) -> Event:
    """As Filebeat sends a line; its times have milliseconds."""
    moment = datetime.fromisoformat(parse_time(written))
    return {
        "@timestamp": moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        "@metadata": {"_id": hashlib.sha256(f"{written}{text}".encode()).hexdigest()},
        "message": text,
        "stream": "stdout",
        "kubernetes": {
            "namespace": log.namespace,
            "container": {"name": log.container},
            "pod": {"name": "pod-0", "uid": "0"},
        },
        "host": {"name": "node-1"},
        "log": {"offset": 0, "file": {"path": "/var/log/pods/x"}},
    }


def logged(log: AccessLog, text: str, written: str = WRITTEN) -> tuple[list[Event], list[Event]]:
    """What comes to the ordinary streams, and to that of audit records."""
    after = pipeline()(event(log, text, written))
    audit = [one for one in after if one["data_stream"]["dataset"] == "audit"]
    return [one for one in after if one not in audit], audit


def document(found: Event) -> dict[str, Any]:
    """What a record says, beside what every document of a data stream has."""
    return {
        key: value for key, value in found.items() if key not in ("@timestamp", "@metadata", "data_stream")
    }


def by_the_trail(log: AccessLog, text: str, written: str = WRITTEN) -> dict[str, Any] | None:
    """What the collector makes of the line, without what cannot be the same."""
    record: Record | None = READERS[log.source](Line(text, "node-1", written, "/logs"))
    if record is None:
        return None
    found: dict[str, Any] = json.loads(record.line())
    del found["id"]
    # Beats send milliseconds.
    return {**found, "timestamp": found["timestamp"][:23] + "000Z"}


def container_lines() -> list[tuple[str, str]]:
    """Text and time, of the real server's log."""
    framed = [unframe(line.encode()) for line in recorded("vllm-access")]
    return [(content.decode(), written) for written, _, content in framed]


TRACED = (
    "192.0.2.7:41234 [21/Nov/2026:12:34:58.744] model_api~ model_servers/model-0 0/0/1/250/901 200 4711 - - "
    '---- 3/3/0/0/0 0/0 {00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|curl} "POST '
    '/v1/chat/completions HTTP/1.1"'
)
BROKEN_OFF = (
    "192.0.2.7:41234 [21/Nov/2026:12:34:58.744] model_api~ model_servers/model-0 0/0/1/-1/901 -1 0 - - CD-- "
    '3/3/0/0/0 0/0 "GET /v1/models HTTP/1.1"'
)
CUT = TRACED.partition(" {")[0] + ' "POST /v1/chat/completions?q=' + "x" * 600
LINES = [
    *((LOGS[0], text, written) for text, written in container_lines()),
    *((LOGS[0], text, WRITTEN) for text in recorded("uvicorn-access")),
    *((LOGS[0], text, WRITTEN) for text in recorded("vllm")),
    *((LOGS[1], text, WRITTEN) for text in recorded("haproxy")),
    *((LOGS[1], text, WRITTEN) for text in (TRACED, BROKEN_OFF, CUT)),
    (LOGS[0], f"(APIServer pid=1) {recorded('uvicorn-access')[5]}", WRITTEN),
    (LOGS[0], 'INFO:     ::ffff:192.0.2.9:58614 - "POST /v1/completions HTTP/1.1" 200 OK', WRITTEN),
]
QUOTED = '"a"'
"""In a query. The trail's reader takes the line for a broken one and tells somebody; here it is a record."""


def test_every_line_becomes_the_record_that_the_trail_makes_of_it() -> None:
    sources = {MODEL: 0, GATEWAY: 0}
    for log, text, written in LINES:
        if QUOTED in text:
            continue
        ordinary, audit = logged(log, text, written)
        assert len(ordinary) == 1, text
        found = [document(one) for one in audit]
        for one in found:
            assert one.pop("id")
            sources[log.source] += 1
        expected = by_the_trail(log, text, written)
        assert found == ([] if expected is None else [expected]), text
    # Of people: vLLM's, uvicorn's, two more forms; HAProxy's, three more forms.
    assert sources == {MODEL: 6 + 13 + 2, GATEWAY: 4 + 3}


def test_requests_of_people_are_records_and_probes_and_scrapes_are_not() -> None:
    asked = [text for text, _ in container_lines() if "HTTP/1.1" in text]
    audit = [text for text, written in container_lines() if logged(LOGS[0], text, written)[1]]
    assert audit == [text for text in asked if "POST /v1/chat/completions" in text]
    assert len(asked) > len(audit) > 0
    assert {path for path in access.QUIET_PATHS if f"GET {path} " in "\n".join(asked)} >= {
        "/health",
        "/metrics",
        "/v1/models",
    }
    assert set(access.QUIET_PATHS) == _QUIET


def test_a_record_is_one_of_the_schema_to_the_letter() -> None:
    for log, text, written in LINES:
        for found in logged(log, text, written)[1]:
            canonical = json.dumps(
                document(found), sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
            record = parse(canonical + b"\n")
            assert found["@metadata"]["_id"] == record.id
            assert record.user is None
            assert found["@timestamp"] == datetime.fromisoformat(record.timestamp)
    assert set(access.FIELDS) <= {one.name for one in fields(Record)}
    assert set(access.FIELDS) <= set(_audit_mappings()["properties"])


def test_the_room_of_a_record_is_what_one_takes() -> None:
    """A path of a thousand characters is left out: it is none of the API's."""
    sizes = [
        len(json.dumps({key: value for key, value in found.items() if key != "@metadata"}, default=str))
        for log, text, written in LINES
        for found in logged(log, text, written)[1]
        if "x" * 600 not in text
    ]
    assert 0.75 * sizing.ACCESS_RECORD < sum(sizes) / len(sizes) < max(sizes) <= sizing.ACCESS_RECORD


def test_a_line_stays_among_the_logs_of_its_container() -> None:
    text, written = next(one for one in container_lines() if "POST" in one[0])
    ((line,), (record,)) = logged(LOGS[0], text, written)
    assert line["message"] == text
    assert line["data_stream"] == {"dataset": "model"}
    assert line["http"]["response"]["status_code"] == 200
    assert "access" not in line
    assert line["@metadata"]["_id"] == record["id"]
    # A probe's line, too.
    assert "access" not in logged(LOGS[0], container_lines()[0][0])[0][0]


def test_nothing_of_a_query_is_in_a_record_and_what_masking_leaves_is_still_an_access() -> None:
    start = 'INFO:     192.0.2.9:58614 - "POST /v1/chat/completions'
    for query in (
        f"?phone={PHONE}&access_token={JWT}",
        "?q=[300 characters]",
        "?q=[phone]",
        f'?q="{PHONE}"',
        "#x",
    ):
        _, (record,) = logged(LOGS[0], f'{start}{query} HTTP/1.1" 200 OK')
        assert record["resource"] == "/v1/chat/completions"
        assert PHONE not in json.dumps(record, default=str)
    _, (record,) = logged(
        LOGS[0], 'INFO:     192.0.2.9:5 - "GET /v1/[300 characters]/x HTTP/1.1" 404 Not Found'
    )
    assert record["resource"] == "/v1/[300 characters]/x"


def test_a_line_that_cannot_be_read_is_found_among_what_was_not_understood() -> None:
    for text in (
        'INFO:     nobody - "POST /v1/completions HTTP/1.1" 200',
        'INFO:     192.0.2.9:5 - "POST /v1/comp letions HTTP/1.1" 200',
    ):
        (line,), audit = logged(LOGS[0], text)
        assert not audit
        assert "unparsed" in line["tags"]
        with pytest.raises(Unreadable):
            by_the_trail(LOGS[0], text)


def test_nobody_elses_lines_become_records() -> None:
    text = next(text for text, _ in container_lines() if "POST" in text)
    for log in (
        AccessLog(MODEL, "somebody", "vllm"),
        AccessLog(MODEL, "autoglm", "fetch"),
        AccessLog(GATEWAY, "autoglm", "haproxy"),
    ):
        ((line,), audit) = logged(log, text)
        assert line["message"] == text
        assert not audit
    # An engine that writes JSON says nothing of accesses by it.
    forged = json.dumps({"http": {"response": {"status_code": 200}}, "access": {"source": "model"}})
    assert not logged(LOGS[0], forged)[1]


def test_each_access_is_kept_once_where_there_is_a_trail() -> None:
    """Collectors read the same lines; what they print of them is left out, and nothing else of theirs."""
    collector = AccessLog("", "node-agents", "collector")
    text, written = next(one for one in container_lines() if "POST" in one[0])
    record = READERS[MODEL](Line(text, "node-1", written, "/logs"))
    assert record is not None
    printed = record.line().decode()
    assert pipeline()(event(collector, printed, written)) == []
    assert len(logged(LOGS[0], text, written)[1]) == 1
    for source in ("kubernetes", "anomaly"):
        (kept,) = pipeline()(event(collector, printed.replace('"model"', f'"{source}"'), written))
        assert kept["data_stream"]["dataset"] == "audit"
        assert (kept["source"], kept["id"]) == (source, record.id)
    # Of a source whose lines are not read here, the collectors' are all there is.
    (kept,) = pipeline(logs=LOGS[:1])(event(collector, printed.replace('"model"', '"gateway"'), written))
    assert kept["source"] == GATEWAY


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 200 OK', "success"),
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 302 Found', "success"),
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 401 Unauthorized', "denied"),
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 403 Forbidden', "denied"),
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 429 Too Many Requests', "failure"),
        ('INFO:     192.0.2.9:1 - "POST /v1/completions HTTP/1.1" 500 Internal Server Error', "failure"),
    ],
)
def test_results(text: str, result: str) -> None:
    _, (record,) = logged(LOGS[0], text)
    assert record["result"] == result


def test_a_moment_is_of_the_line_and_in_utc() -> None:
    _, (record,) = logged(LOGS[1], TRACED)
    assert record["@timestamp"] == datetime(2026, 11, 21, 12, 34, 58, 744000, UTC)
    assert (record["timestamp"], record["bytes"]) == ("2026-11-21T12:34:58.744000Z", 4711)
    assert record["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
