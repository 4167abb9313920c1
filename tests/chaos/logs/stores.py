"""Stand-ins for what a shipper sends to, on loopback: they can be down, refuse, stall and lose connections.

A line counts as stored once it has been acknowledged; what was received before a connection broke does not.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Behaviour(Enum):
    """Of a store that listens."""

    WELL = "takes everything"
    STALLED = "takes connections and never answers"
    BREAKING = "takes half of what it is sent, and closes the connection"
    REFUSING = "answers that it has no room (429)"
    PARTIAL = "takes every other line and refuses the rest (429)"


class Stored:
    """What was acknowledged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: Counter[str] = Counter()
        self._ids: dict[str, set[str]] = {}

    def add(self, line: str, identity: str) -> None:
        with self._lock:
            self._lines[line] += 1
            self._ids.setdefault(line, set()).add(identity)

    def lines(self) -> Counter[str]:
        """How often each line was stored."""
        with self._lock:
            return Counter(self._lines)

    def identities(self, line: str) -> set[str]:
        """Ids under which a line was stored."""
        with self._lock:
            return set(self._ids[line])

    def missing(self, wanted: list[str]) -> list[str]:
        """Lines that never came."""
        with self._lock:
            return [line for line in wanted if line not in self._lines]


class FakeLogstash:
    """The Beats protocol, version 2 (github.com/elastic/go-lumber): windows of JSON, acknowledged."""

    def __init__(self) -> None:
        self.stored = Stored()
        self.behaviour = Behaviour.WELL
        self.attempts = 0
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections, and breaks those that there are."""
        if self._listener is not None:
            # A thread that waits in accept() keeps the port open; shutting down wakes it.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            connections = set(self._connections)
        for connection in connections:
            _close(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while header := stream.read(2):
                    if header != b"2W":
                        raise ValueError(f"window expected, {header!r} came")
                    (size,) = struct.unpack(">I", stream.read(4))
                    events = list(_window(stream, size))
                    self.attempts += 1
                    match self.behaviour:
                        case Behaviour.STALLED:
                            continue
                        case Behaviour.BREAKING:
                            half = len(events) // 2
                            self._store(events[:half])
                            if half:
                                connection.sendall(b"2A" + struct.pack(">I", half))
                            return
                        case _:
                            self._store(events)
                            connection.sendall(b"2A" + struct.pack(">I", size))
        except (OSError, struct.error, EOFError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _store(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.stored.add(event["message"], event["@metadata"]["_id"])


def _window(stream: Any, size: int) -> Iterator[dict[str, Any]]:
    found = 0
    while found < size:
        header = _exactly(stream, 2)
        if header == b"2C":
            (length,) = struct.unpack(">I", _exactly(stream, 4))
            for event in _frames(zlib.decompress(_exactly(stream, length))):
                found += 1
                yield event
        elif header == b"2J":
            _, length = struct.unpack(">II", _exactly(stream, 8))
            found += 1
            yield json.loads(_exactly(stream, length))
        else:
            raise ValueError(f"frame expected, {header!r} came")


def _frames(payload: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at < len(payload):
        assert payload[at : at + 2] == b"2J", payload[at : at + 2]
        _, length = struct.unpack(">II", payload[at + 2 : at + 10])
        yield json.loads(payload[at + 10 : at + 10 + length])
        at += 10 + length


def _exactly(stream: Any, size: int) -> bytes:
    data: bytes = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class FakeElasticsearch:
    """Elasticsearch's bulk API, as far as a shipper sees it."""

    def __init__(self) -> None:
        self.stored = Stored()
        self.behaviour = Behaviour.WELL
        self.attempts = 0
        self._server: ThreadingHTTPServer | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens."""
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self._answer(200, {})

            def do_GET(self) -> None:
                self._answer(200, {"version": {"number": "7.17.29", "build_flavor": "default"}})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self._answer(*store.bulk(body))

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Refuses connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def bulk(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and document of the answer to `_bulk`."""
        self.attempts += 1
        if self.behaviour is Behaviour.REFUSING:
            return 429, {"error": {"type": "es_rejected_execution_exception"}, "status": 429}
        lines = body.splitlines()
        items = []
        for index, (action, document) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            if self.behaviour is Behaviour.PARTIAL and index % 2:
                items.append(
                    {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception"}}}
                )
                continue
            (meta,) = json.loads(action).values()
            self.stored.add(json.loads(document)["message"], meta["_id"])
            items.append({"create": {"status": 201}})
        return 200, {"errors": self.behaviour is Behaviour.PARTIAL, "items": items}
