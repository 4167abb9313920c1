"""Messages as they are parsed, signed and refused."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_relay import cli, dingtalk, message
from alert_relay.errors import Malformed, Undelivered, UnknownRobot
from alert_relay.server import MAXIMUM_BODY, Relay, Server

TOKEN = "canary-token"
SECRET = "this is secret"


def alert(
    name: str = "A", *, status: str = "firing", severity: str = "page", **annotations: str
) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": severity},
        "annotations": annotations,
        "startsAt": "2026-11-21T09:00:00.5Z",
    }


def webhook(*alerts: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"version": "4", "alerts": list(alerts), **more}).encode()


@pytest.fixture
def robots(tmp_path: Path) -> Path:
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "access-token").write_text(f"{TOKEN}\n", encoding="utf-8")
    (folder / "signing-secret").write_text(f"{SECRET}\n", encoding="utf-8")
    return tmp_path


def test_the_signature_is_the_one_that_openssl_computes() -> None:
    # printf '1700000000000\nthis is secret' | openssl dgst -sha256 -hmac 'this is secret' -binary | base64
    assert dingtalk.signature(SECRET, 1_700_000_000_000) == "sSFWELbV2YwjdDQhWZwTcWlX5BWUx5J6TPpsZmuPii0="


def test_the_address_carries_token_time_and_quoted_signature(robots: Path) -> None:
    address = dingtalk.Robot.find(robots, "group").address("https://example.com/send", 1_700_000_000_000)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query, strict_parsing=True)
    assert query == {
        "access_token": [TOKEN],
        "timestamp": ["1700000000000"],
        "sign": [dingtalk.signature(SECRET, 1_700_000_000_000)],
    }


@pytest.mark.parametrize("name", ["", "..", "../group", "group/..", "other", "GROUP", "a" * 64, "group\n"])
def test_a_robot_that_is_not_there_is_refused(name: str, robots: Path) -> None:
    with pytest.raises(UnknownRobot):
        dingtalk.Robot.find(robots, name)


def test_credentials_that_are_empty_are_refused(robots: Path) -> None:
    (robots / "group" / "signing-secret").write_text("\n", encoding="utf-8")
    with pytest.raises(UnknownRobot, match="signing-secret is empty"):
        dingtalk.Robot.find(robots, "group").address("https://example.com", 0)


def test_a_page_notifies_everybody() -> None:
    assert message.parse(webhook(alert(severity="page"))).everybody
    assert not message.parse(webhook(alert(severity="ticket"))).everybody
    assert not message.parse(webhook(alert(severity="page", status="resolved"))).everybody


def test_what_is_over_is_told_as_such() -> None:
    parsed = message.parse(webhook(alert("Slow", status="resolved", summary="was slow")))
    assert parsed.title == "resolved: Slow"
    assert "was slow" in parsed.text


def test_many_alerts_are_cut_and_counted() -> None:
    parsed = message.parse(webhook(*(alert(f"A{n}", summary=f"s{n}") for n in range(30)), truncatedAlerts=7))
    assert parsed.title == "firing (30): A0 and 29 more"
    assert f"and {30 - message.SHOWN_ALERTS + 7} more" in parsed.text


def test_only_https_addresses_become_links() -> None:
    link = message.parse(webhook(alert(runbook_url="https://example.com/x.md"))).text
    assert "[what to do](https://example.com/x.md)" in link
    for address in ("javascript:alert(1)", "http://example.com", "https://example.com/) [x](https://evil"):
        assert "what to do" not in message.parse(webhook(alert(runbook_url=address))).text


def test_labels_make_no_links_and_no_lines() -> None:
    text = message.parse(webhook(alert("[x](https://evil)\n# big", summary="![p](https://evil/p.png)"))).text
    assert "](https://evil" not in text
    assert "\n# big" not in text


def test_half_a_character_does_not_stop_a_message() -> None:
    parsed = message.parse(b'{"alerts": [{"annotations": {"summary": "\\ud83d"}}]}')
    json.dumps(parsed.body(), ensure_ascii=False).encode()


@given(st.text(max_size=3000), st.integers(1, 40))
def test_a_message_is_never_longer_than_dingtalk_takes(text: str, count: int) -> None:
    parsed = message.parse(webhook(*(alert(text, description=text * 3) for _ in range(count))))
    assert len(parsed.text.encode()) <= message.MAXIMUM_BYTES
    json.dumps(parsed.body(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"alerts": 1}',
        b'{"alerts": []}',
        b'{"alerts": [1]}',
        b'{"alerts": [{"labels": ["alertname"]}]}',
        b'{"alerts": [{}], "truncatedAlerts": "many"}',
        b"\xff",
        b'{"alerts": [{"labels": 7}]}',
    ],
)
def test_what_alertmanager_never_sends_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        message.parse(body)


@pytest.mark.parametrize(
    "text", ["http://example.com/robot/send", "ftp://x", "oapi.dingtalk.com", "https://"]
)
def test_a_token_is_not_sent_in_plain_text(text: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--endpoint", text])


@pytest.fixture
def relay(robots: Path) -> Iterator[Server]:
    """Nobody listens at the endpoint."""
    server = Server(("127.0.0.1", 0), Relay(robots, "http://127.0.0.1:9/robot/send"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_alertmanager_tries_again_only_where_that_can_help(
    relay: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(relay, "POST", "/dingtalk/group", webhook(alert()))[0] == 502
    assert ask(relay, "POST", "/dingtalk/unknown", webhook(alert()))[0] == 503
    assert ask(relay, "POST", "/dingtalk/group", b"{}")[0] == 400
    written = capfd.readouterr()
    assert "no answer (ConnectionRefusedError)" in written.err
    assert TOKEN not in written.err + written.out


def test_other_requests_are_refused(relay: Server) -> None:
    assert ask(relay, "POST", "/", b"{}")[0] == 404
    assert ask(relay, "GET", "/dingtalk/group")[0] == 404
    assert ask(relay, "PUT", "/dingtalk/group", b"{}")[0] == 501
    assert ask(relay, "POST", "/dingtalk/group", b"", **{"Content-Length": "none"})[0] == 411
    assert ask(relay, "POST", "/dingtalk/group", b"", **{"Content-Length": str(MAXIMUM_BODY + 1)})[0] == 413


def test_probes_and_metrics_are_answered(relay: Server) -> None:
    assert ask(relay, "GET", "/healthz") == (200, "ok\n")
    ask(relay, "POST", "/dingtalk/group", webhook(alert()))
    ask(relay, "POST", "/dingtalk/nobody-knows-this", webhook(alert()))
    metrics = ask(relay, "GET", "/metrics")[1]
    assert 'alert_relay_messages_total{robot="group",result="failed"} 1' in metrics
    # A name that anybody may invent must not become a series.
    assert "nobody-knows-this" not in metrics


def test_a_redirect_is_not_followed(robots: Path) -> None:
    """It would take the token elsewhere."""
    import http.server

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        robot = dingtalk.Robot.find(robots, "group")
        with pytest.raises(Undelivered, match="answers 307"):
            dingtalk.send(robot, {}, endpoint=f"http://127.0.0.1:{server.server_port}/", timestamp=1)


@pytest.mark.parametrize("answer", [b"", b"ok", b"[]", b'{"errcode": "x"}', b'{"errmsg": "ok"}'])
def test_an_answer_that_is_not_dingtalks_is_no_delivery(answer: bytes, robots: Path) -> None:
    with pytest.raises(Undelivered):
        dingtalk._check(dingtalk.Robot.find(robots, "group"), answer)
