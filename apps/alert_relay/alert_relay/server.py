"""HTTP server for Alertmanager: `POST /dingtalk/<robot>`; `GET /healthz` for the kubelet, `/metrics`."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from alert_relay import dingtalk, message
from alert_relay.errors import Malformed, RelayError, UnknownRobot

MAXIMUM_BODY: Final = 1024 * 1024
PREFIX: Final = "/dingtalk/"
_SOCKET_SECONDS: Final = 15.0


@dataclass
class Relay:
    """Where robots' credentials are and messages go, and what became of them."""

    robots: Path
    endpoint: str = dingtalk.ENDPOINT
    delivered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Messages by robot and result."""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, name: str, body: bytes) -> None:
        """Pass a webhook on; raises RelayError."""
        result = "failed"
        known = "unknown"
        try:
            robot = dingtalk.Robot.find(self.robots, name)
            known = robot.name
            parsed = message.parse(body)
            timestamp = time.time_ns() // 1_000_000
            dingtalk.send(robot, parsed.body(), endpoint=self.endpoint, timestamp=timestamp)
            result = "delivered"
        except (Malformed, UnknownRobot):
            result = "refused"
            raise
        finally:
            with self._guard:
                self.delivered[known, result] += 1

    def metrics(self) -> str:
        """In Prometheus' text format."""
        with self._guard:
            counts = sorted(self.delivered.items())
        lines = [
            "# HELP alert_relay_messages_total Messages by robot and result.",
            "# TYPE alert_relay_messages_total counter",
            *(
                f'alert_relay_messages_total{{robot="{robot}",result="{result}"}} {count}'
                for (robot, result), count in counts
            ),
        ]
        return "\n".join(lines) + "\n"


class Server(ThreadingHTTPServer):
    """One thread for each connection; Alertmanager opens few."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], relay: Relay) -> None:
        super().__init__(address, _Handler)
        self.relay = relay


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _SOCKET_SECONDS
    server_version = "alert-relay"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, "ok\n")
        elif self.path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.relay.metrics())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "not found\n")

    def do_POST(self) -> None:
        if not self.path.startswith(PREFIX):
            self._answer(HTTPStatus.NOT_FOUND, "not found\n")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required\n")
            return
        if int(length) > MAXIMUM_BODY:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAXIMUM_BODY} bytes\n")
            return
        try:
            self.server.relay.deliver(self.path.removeprefix(PREFIX), self.rfile.read(int(length)))
        except Malformed as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error)
        except UnknownRobot as error:
            # A Secret that is not there yet: Alertmanager tries again after 5xx only.
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, error)
        except RelayError as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, error)
        else:
            self._answer(HTTPStatus.OK, "delivered\n")

    def _refuse(self, status: HTTPStatus, error: RelayError) -> None:
        print(f"alert-relay: {error}", file=sys.stderr, flush=True)
        self._answer(status, f"{error}\n")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Failures are reported with their reason; a line for each request would hide them."""
