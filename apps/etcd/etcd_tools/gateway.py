"""etcd's JSON gateway: the gRPC API over HTTPS, as etcd itself serves it at /v3.

The dozen unary calls that are needed here take no library: there is no maintained Python client of etcd that
could do without one of its own for every release of grpcio and protobuf. Certificates are read anew for each
connection, so a renewed one is used without a restart.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from etcd_tools.errors import ApiError, Unreachable

Json = dict[str, Any]
_UNKNOWN = 2
"""gRPC status UNKNOWN."""


@dataclass(frozen=True)
class Credentials:
    """Certificate of a client and the authority of the servers: `tls.crt`, `tls.key` and `ca.crt` of a
    Secret."""

    directory: Path

    @property
    def certificate(self) -> Path:
        return self.directory / "tls.crt"

    @property
    def key(self) -> Path:
        return self.directory / "tls.key"

    @property
    def authority(self) -> Path:
        return self.directory / "ca.crt"

    def context(self) -> ssl.SSLContext:
        """For one connection; raises OSError where a file cannot be used."""
        return self._context(ssl.Purpose.SERVER_AUTH)

    def server_context(self) -> ssl.SSLContext:
        """For one connection of somebody who has to show a certificate of the same authority."""
        context = self._context(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        context = ssl.create_default_context(purpose, cafile=str(self.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True)
class Gateway:
    """One member's API."""

    endpoint: str
    """`https://host:port`."""
    credentials: Credentials
    timeout: float = 5.0
    """Seconds until a call without answer is given up."""

    def call(self, method: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> Json:
        """The answer of `/v3/<method>`.

        :raises Unreachable: no connection, or no answer in time; whether a write took place is then unknown.
        :raises ApiError: etcd's own error.
        """
        seconds = self.timeout if timeout is None else timeout
        response = request(
            f"{self.endpoint}/v3/{method}", self.credentials, seconds, json.dumps(body or {}).encode()
        )
        return _answer(self.endpoint, response.status, response.text)


@dataclass(frozen=True)
class Response:
    """What a server has said."""

    status: int
    text: bytes
    address: str
    """Of the server, as opposed to its name."""


def request(url: str, credentials: Credentials, timeout: float, body: bytes | None = None) -> Response:
    """The answer to POST, or to GET without a body.

    :raises Unreachable: no connection, or no answer in time.
    """
    parts = urlsplit(url)
    try:
        context = credentials.context()
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(str(credentials.directory), f"certificate cannot be used: {error}") from error
    server = f"{parts.scheme}://{parts.netloc}"
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 2379, timeout=timeout, context=context
    )
    try:
        connection.connect()
        address = str(connection.sock.getpeername()[0])
        connection.request("GET" if body is None else "POST", parts.path, body)
        response = connection.getresponse()
        return Response(response.status, response.read(), address)
    except (ConnectionRefusedError, socket.gaierror) as error:
        raise Unreachable(server, f"nobody listens there ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(server, f"no answer to {parts.path} within {timeout:g} s ({error})") from error
    finally:
        connection.close()


def _answer(endpoint: str, status: int, text: bytes) -> Json:
    """The first message of an answer; raises ApiError where it is an error.

    Errors are a google.rpc.Status with an HTTP status of their own, or, once a stream has begun, below
    `error`.
    """
    try:
        # Streaming methods answer with a line for each message; the first one is all that is asked for here.
        answer = json.loads(text.splitlines()[0]) if text else {}
    except ValueError as error:
        raise ApiError(endpoint, _UNKNOWN, f"status {status}, not JSON: {text[:200]!r}") from error
    if not isinstance(answer, dict):
        raise ApiError(endpoint, _UNKNOWN, f"status {status}, not an object: {text[:200]!r}")
    failure = answer.get("error", answer if status != http.client.OK else None)
    if failure is not None:
        details = failure if isinstance(failure, dict) else {"message": failure}
        code = details.get("code") or details.get("grpc_code") or _UNKNOWN
        raise ApiError(endpoint, int(code), str(details.get("message") or f"status {status}"))
    result = answer.get("result", answer)
    return result if isinstance(result, dict) else {}


def encoded(text: str | bytes) -> str:
    """A key or value as the gateway takes it."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def decoded(text: str | None) -> str:
    """A key or value of an answer."""
    return base64.b64decode(text or "").decode()


def prefix_end(prefix: str) -> str:
    """First key after all keys that begin with the prefix, encoded: `range_end` of a range request."""
    raw = bytearray(prefix.encode())
    raw[-1] += 1
    return encoded(bytes(raw))
