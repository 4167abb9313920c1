"""Prometheus and Alertmanager on loopback that answer what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, bytes]


@dataclass
class FakeServer:
    """What it was asked, and its address."""

    port: int
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serve(answer: Callable[[str, bytes], Answer]) -> Iterator[FakeServer]:
    """A server until the end of the block; `answer` is given path and body of each POST."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.requests.append((self.path, body))
            status, text = answer(self.path, body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{asked.url}/elsewhere")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            raise AssertionError("neither program is asked with GET")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        asked = FakeServer(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def matrix(*series: tuple[dict[str, str], dict[int, float | str]], warnings: tuple[str, ...] = ()) -> bytes:
    """Prometheus' answer to a range query."""
    result = [
        {"metric": labels, "values": [[moment, str(value)] for moment, value in values.items()]}
        for labels, values in series
    ]
    answer: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    if warnings:
        answer["warnings"] = list(warnings)
    return json.dumps(answer).encode()


def asked_for(body: bytes) -> dict[str, str]:
    """The form of a query."""
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}
