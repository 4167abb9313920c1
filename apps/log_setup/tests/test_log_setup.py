"""Elasticsearch and Kibana as they answer: late, busy, refusing, twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from log_setup import cli, client
from log_setup.client import Answer, Api, patiently
from log_setup.errors import Refused, Unavailable
from log_setup.setup import Documents, read_documents, set_up

PASSWORD = "canary-password"
CALLS = [
    {"method": "PUT", "path": "/_ilm/policy/a", "body": {"policy": {"phases": {}}}},
    {"method": "PUT", "path": "/_index_template/a", "body": {"index_patterns": ["logs-*"]}},
]
VIEWS = '{"id":"a","type":"index-pattern"}\n{"id":"b","type":"search"}\n'


class FakeApi:
    """Both APIs: keeps what is put, and answers as it is told first."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.requests: list[tuple[str, str]] = []
        self.first: list[tuple[int, Any]] = []
        self.imports: list[list[dict[str, Any]]] = []
        self.import_answer: dict[str, Any] | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.requests.append((self.command, self.path))
                status, document = fake.answer(self.command, self.path, dict(self.headers), body)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_PUT = do_POST = do_GET = _handle

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.first:
            return self.first.pop(0)
        if headers.get("Authorization") != "Basic ZWxhc3RpYzpjYW5hcnktcGFzc3dvcmQ=":
            return 401, {"error": "who are you"}
        if path.startswith("/api/saved_objects/_import"):
            if "kbn-xsrf" not in {name.lower() for name in headers}:
                return 400, {"message": "Request must contain a kbn-xsrf header."}
            parts = message_from_bytes(
                b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body
            ).get_payload()
            (part,) = parts
            text = part.get_payload(decode=True).decode()
            objects = [json.loads(line) for line in text.splitlines() if line]
            self.imports.append(objects)
            return 200, self.import_answer or {"success": True, "successCount": len(objects)}
        self.kept[path] = json.loads(body)
        return 200, {"acknowledged": True}


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    one = FakeApi()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "elasticsearch.json").write_text(json.dumps(CALLS), encoding="utf-8")
    (tmp_path / "kibana.ndjson").write_text(VIEWS, encoding="utf-8")
    (tmp_path / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    return tmp_path


def run(fake: FakeApi, folder: Path, patience: float = 5) -> int:
    return cli.main(
        [
            f"--documents={folder}",
            f"--password-file={folder / 'password'}",
            f"--elasticsearch={fake.address}",
            f"--kibana={fake.address}",
            f"--patience={patience}",
        ]
    )


def test_everything_is_set_in_order(fake: FakeApi, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fake, folder) == 0
    assert fake.kept == {one["path"]: one["body"] for one in CALLS}
    assert [path for _, path in fake.requests] == [
        "/_ilm/policy/a",
        "/_index_template/a",
        "/api/saved_objects/_import?overwrite=true",
    ]
    assert [one["id"] for one in fake.imports[0]] == ["a", "b"]
    output = capsys.readouterr()
    assert "saved views: 2 imported" in output.out
    assert PASSWORD not in output.out + output.err


def test_a_second_time_changes_nothing(fake: FakeApi, folder: Path) -> None:
    assert run(fake, folder) == 0
    first = dict(fake.kept)
    assert run(fake, folder) == 0
    assert fake.kept == first
    assert fake.imports[0] == fake.imports[1]


@pytest.mark.parametrize("status", sorted(client.RETRIED))
def test_an_api_that_is_not_ready_is_asked_again(fake: FakeApi, folder: Path, status: int) -> None:
    fake.first = [(status, {}), (status, {})]
    assert run(fake, folder) == 0
    assert fake.requests[:3] == [("PUT", "/_ilm/policy/a")] * 3


def test_nobody_listens(fake: FakeApi, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.server.shutdown()
    fake.server.server_close()
    started = time.monotonic()
    assert run(fake, folder, patience=0.2) == 1
    assert time.monotonic() - started < 5
    error = capsys.readouterr().err
    assert "PUT http://127.0.0.1" in error
    assert "/_ilm/policy/a" in error


@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_is_refused_is_not_tried_again(
    fake: FakeApi, folder: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.first = [(status, {"error": {"reason": "unknown setting [x]"}})]
    assert run(fake, folder) == 1
    assert len(fake.requests) == 1
    error = capsys.readouterr().err
    assert f"status {status}" in error
    assert "unknown setting [x]" in error
    assert PASSWORD not in error


def test_views_that_kibana_does_not_import_are_named(
    fake: FakeApi, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.import_answer = {
        "success": False,
        "successCount": 1,
        "errors": [{"type": "search", "id": "b", "error": {"type": "missing_references"}}],
    }
    assert run(fake, folder) == 1
    assert "search b: missing_references" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("elasticsearch.json", "{}"),
        ("elasticsearch.json", '[{"method":"DELETE","path":"/_all"}]'),
        ("elasticsearch.json", "not json"),
        ("kibana.ndjson", "not json\n"),
    ],
)
def test_documents_that_are_none(folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=str(folder)):
        read_documents(folder)


def test_a_password_is_in_no_representation() -> None:
    assert PASSWORD not in repr(Api("https://a", "elastic", PASSWORD))


def test_patience_ends() -> None:
    now = [0.0]

    def never() -> Answer:
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        patiently(never, 60, sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), clock=lambda: now[0])
    assert 40 < now[0] <= 60


def test_a_broken_call_stops_the_rest(fake: FakeApi) -> None:
    documents = Documents(tuple(CALLS), VIEWS)
    fake.first = [(400, {})]
    api = Api(fake.address, "elastic", PASSWORD)
    with pytest.raises(Refused):
        list(set_up(documents, api, api, time.monotonic() + 5))
    assert fake.kept == {}
    assert fake.imports == []
