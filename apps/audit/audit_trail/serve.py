"""The receiver's door: HTTPS, for one client that shows a certificate with its name.

The standard library's server is enough for it: this stack's Logstash alone has a way here (NetworkPolicy) and
a certificate; sizes, times and connections are bounded.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from audit_trail.errors import Malformed, Refused, Unavailable
from audit_trail.receive import BODY, Receiver

PATH: Final = "/records"
SECONDS: Final = 60
"""For a handshake, for each part of a request, and between requests of a connection."""
CONNECTIONS: Final = 64
"""At once; Logstash's output opens `pool_max` of them in each of its pods."""
DISCARDED: Final = 8 * BODY
"""Bytes of a batch that is refused unread which are waited for, so that the answer is seen."""
_CHUNK: Final = 1 << 16
READING: Final = 2
"""Batches in memory at once."""
_FILES: Final = ("tls.crt", "tls.key", "ca.crt")


class Certificates:
    """A folder as cert-manager's Secrets are mounted; read again when a file has changed."""

    def __init__(self, folder: Path) -> None:
        """:raises Refused: a file is missing, or is none of what it has to be."""
        self._paths = [folder / name for name in _FILES]
        self._times: list[int] = []
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """For the next connection. While new files cannot be read, the old ones serve."""
        try:
            if self._changed() != self._times:
                self._context = self._load()
        except (OSError, Refused) as error:
            print(f"audit-trail: new certificate not read: {error}", file=sys.stderr, flush=True)
        return self._context

    def _changed(self) -> list[int]:
        return [path.stat().st_mtime_ns for path in self._paths]

    def _load(self) -> ssl.SSLContext:
        certificate, key, authority = self._paths
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            times = self._changed()
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise Refused(
                str(certificate.parent), f"no certificate, key and authority in PEM ({error})"
            ) from None
        self._times = times
        return context


class Door(ThreadingHTTPServer):
    """Takes batches until it is closed."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS

    def __init__(self, port: int, receiver: Receiver, certificates: Certificates, client: str) -> None:
        """:param client: DNS name in the certificate of whoever may send."""
        self.receiver, self.client = receiver, client
        self.reading = threading.BoundedSemaphore(READING)
        self._certificates = certificates
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(("", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if there are not too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake is the client's to delay: not in the thread that accepts."""
        try:
            request.settimeout(SECONDS)
            with self._certificates.context().wrap_socket(request, server_side=True) as secured:
                self.finish_request(secured, client_address)
                secured.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # broken off, or refused in the handshake: the client knows why
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self._connections.release()
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what nobody has foreseen, without the request."""
        print(f"audit-trail: {sys.exc_info()[1]!r}", file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    server: Door

    _unread = 0

    def do_POST(self) -> None:
        receiver = self.server.receiver
        length = self.headers.get("Content-Length", "")
        self._unread = int(length[:20]) if length.isascii() and length.isdigit() else 0
        try:
            if self.path != PATH:
                self._answer(404, f"post batches to {PATH}")
            elif not self._named():
                self._answer(403, f"the certificate has not the name {self.server.client!r}")
            else:
                self._take(receiver)
        except Unavailable as error:
            self._answer(503, str(error))
        except Malformed as error:
            self._answer(400, str(error))

    def _take(self, receiver: Receiver) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse(400, "no Content-Length", receiver)
        elif int(length[:20]) > BODY:
            self._refuse(413, f"{length[:20]} bytes; a batch has {BODY} at most", receiver)
        elif not self.server.reading.acquire(timeout=SECONDS / 2):
            raise Unavailable("too many batches at once")
        else:
            try:
                body = self.rfile.read(int(length))
                self._unread = 0
                if len(body) < int(length):
                    self.close_connection = True
                    return
                self._answer(200, receiver.receive(body).body())
            finally:
                self.server.reading.release()

    def _refuse(self, status: int, reason: str, receiver: Receiver) -> None:
        """Without reading the rest, so the connection ends."""
        try:
            receiver.refuse(reason, b"")
        except Malformed:
            self._answer(status, reason)

    def _named(self) -> bool:
        """Whether the certificate, which has been verified, is of the one client."""
        assert isinstance(self.connection, ssl.SSLSocket)
        names: Any = (self.connection.getpeercert() or {}).get("subjectAltName", ())
        return ("DNS", self.server.client) in names

    def _answer(self, status: int, told: str | bytes) -> None:
        body = told if isinstance(told, bytes) else f"{told}\n".encode()
        self.server.receiver.answered(status)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if isinstance(told, bytes) else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if status != 200:
            # What was not read of the request would be taken for the next.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self._discard()

    def _discard(self) -> None:
        """Read what nobody wants: a client that is still sending when the connection ends sees no answer."""
        left = min(self._unread, DISCARDED)
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)

    def version_string(self) -> str:
        return "audit-trail"

    def log_message(self, format: str, *args: Any) -> None:
        return


def serve(door: Door) -> Callable[[], None]:
    """Open it; returns what closes it. Batches that are being written then end, or are sent again."""
    thread = threading.Thread(target=door.serve_forever, daemon=True)
    thread.start()

    def close() -> None:
        door.shutdown()
        door.server_close()
        thread.join()

    return close
