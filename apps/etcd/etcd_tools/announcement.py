"""A member without data tells the others so, at the address where they will reach its etcd.

Answers only whoever shows a members' certificate, as etcd itself does there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials, Json

PATH = "/bootstrap"
"""etcd has nothing there: it answers 404."""
_SECONDS = 10.0
"""For a handshake and a request."""


def announcement(name: str, snapshot: str | None) -> Json:
    """What is said; the name, because addresses change hands."""
    return {"name": name, "state": "empty", "snapshot": snapshot}


def _common_names(certificate: Mapping[str, Any]) -> set[str]:
    """Of a certificate's subject."""
    return {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], text: bytes, credentials: Credentials, allowed: Sequence[str]
    ) -> None:
        self.text, self.credentials, self.allowed = text, credentials, frozenset(allowed)
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: who does not end the handshake holds up nobody else.
        request.settimeout(_SECONDS)
        with self.credentials.server_context().wrap_socket(request, server_side=True) as connection:
            names = _common_names(connection.getpeercert() or {})
            if self.allowed and not names & self.allowed:
                return
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is no member, or has gone: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        found = self.path == PATH
        text = self.server.text if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Asked every second: not worth a line."""


@contextmanager
def announced(
    listen_url: str, text: Json, credentials: Credentials, allowed: Sequence[str]
) -> Iterator[None]:
    """Say it as long as the context lasts.

    :param listen_url: etcd's `listen-peer-urls`.
    :param allowed: common names of members' certificates.
    :raises Refused: somebody else listens there.
    """
    address = urlsplit(listen_url)
    try:
        server = _Server(
            (address.hostname or "", address.port or 2380), json.dumps(text).encode(), credentials, allowed
        )
    except OSError as error:
        raise Refused(listen_url, f"cannot be listened at: {error}; does etcd run there?") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
