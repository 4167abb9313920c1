"""The service registry: which model server serves what, and since when it has been ready.

    /autoglm/v1/servers/<model>/<address>:<port>
        {"address": "http://10.244.0.7:8000", "models": ["autoglm-phone-9b"], "readySince":
        "2026-11-21T08:00:00Z"}

A key is there while its server answers: it hangs on a lease that is kept alive after each good answer and
revoked after a bad one, and that runs out by itself when this program is gone.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from etcd_tools.cluster import Cluster
from etcd_tools.errors import ApiError, Refused, Unreachable
from etcd_tools.gateway import decoded, encoded, prefix_end

PREFIX = "/autoglm/v1/servers/"
_PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Backend:
    """The servers of one model: every address that the host name leads to."""

    model: str
    scheme: str
    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Backend:
        """From `model=http://host:port`."""
        model, _, address = text.partition("=")
        try:
            url = urlsplit(address)
            port = url.port
        except ValueError:
            port = None
        if not model or port is None or not url.hostname or url.scheme not in ("http", "https"):
            raise Refused(text, "is not model=http://host:port or model=https://host:port")
        return Backend(model, url.scheme, url.hostname, port)


@dataclass(frozen=True)
class Entry:
    """A server as it is registered."""

    key: str
    address: str
    models: tuple[str, ...]
    ready_since: str
    lease: int

    def value(self) -> str:
        document = {"address": self.address, "models": list(self.models), "readySince": self.ready_since}
        return json.dumps(document, sort_keys=True)


def addresses(host: str) -> tuple[str, ...]:
    """Addresses of the pods behind a headless Service; none while no pod is ready."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(item[4][0]) for item in found}))


def served_models(scheme: str, address: str, port: int) -> tuple[str, ...] | None:
    """Models that a server says it serves; None if it does not answer as it should."""
    connection: http.client.HTTPConnection
    if scheme == "https":
        # Asked by address, as the kubelet does: the certificate is for the Service's name, which would lead
        # anywhere.
        connection = http.client.HTTPSConnection(
            address,
            port,
            timeout=_PROBE_SECONDS,
            context=_unverified(),
        )
    else:
        connection = http.client.HTTPConnection(address, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/v1/models")
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            return None
        return tuple(sorted(str(item["id"]) for item in json.loads(body)["data"]))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Registrar:
    """Keeps the registry as the servers are."""

    cluster: Cluster
    backends: tuple[Backend, ...]
    ttl: int
    """Seconds that an entry outlives this program."""
    report: Callable[[str], None]
    resolve: Callable[[str], tuple[str, ...]] = addresses
    probe: Callable[[str, str, int], tuple[str, ...] | None] = served_models
    now: Callable[[], str] = _now
    entries: dict[str, Entry] = field(default_factory=dict)
    """What this program has registered, by key."""

    def adopt(self) -> None:
        """Take over what an earlier run has registered: readiness did not begin with this process."""
        ours = tuple(f"{PREFIX}{backend.model}/" for backend in self.backends)
        for entry in listed(self.cluster):
            if entry.key.startswith(ours):
                self.entries[entry.key] = entry

    def round(self) -> None:
        """Look at every server once.

        :raises Unreachable, ApiError: etcd cannot be written to; the next round tries again.
        """
        ready: dict[str, tuple[str, tuple[str, ...]]] = {}
        for backend in self.backends:
            for address in self.resolve(backend.host):
                models = self.probe(backend.scheme, address, backend.port)
                if models:
                    host = f"[{address}]" if ":" in address else address
                    key = f"{PREFIX}{backend.model}/{host}:{backend.port}"
                    ready[key] = (f"{backend.scheme}://{host}:{backend.port}", models)
        for key in sorted(self.entries.keys() - ready.keys()):
            self._withdraw(self.entries[key])
        for key, (address, models) in ready.items():
            self._keep(key, address, models)

    def _keep(self, key: str, address: str, models: tuple[str, ...]) -> None:
        entry = self.entries.get(key)
        if entry is not None and entry.models == models and self._alive(entry.lease):
            return
        since = entry.ready_since if entry is not None and entry.models == models else self.now()
        lease = int(self.cluster.call("lease/grant", {"TTL": str(self.ttl)})["ID"])
        entry = Entry(key, address, models, since, lease)
        self.cluster.call(
            "kv/put", {"key": encoded(key), "value": encoded(entry.value()), "lease": str(lease)}
        )
        self.entries[key] = entry
        self.report(f"{key}: ready, serves {', '.join(models)} since {since}")

    def _alive(self, lease: int) -> bool:
        answer = self.cluster.call("lease/keepalive", {"ID": str(lease)})
        # A lease that has run out is answered with a time to live of 0, which the gateway leaves out.
        return int(answer.get("TTL", 0)) > 0

    def _withdraw(self, entry: Entry) -> None:
        try:
            self.cluster.call("lease/revoke", {"ID": str(entry.lease)})
        except ApiError as error:
            if "lease not found" not in error.message:
                raise
        del self.entries[entry.key]
        self.report(f"{entry.key}: not ready any more")


def listed(cluster: Cluster) -> Iterator[Entry]:
    """What is registered."""
    answer = cluster.call("kv/range", {"key": encoded(PREFIX), "range_end": prefix_end(PREFIX)})
    for item in answer.get("kvs", ()):
        try:
            value = json.loads(decoded(item.get("value")))
            models = tuple(str(model) for model in value["models"])
            address, since = str(value["address"]), str(value["readySince"])
        except (ValueError, KeyError, TypeError):
            continue
        yield Entry(decoded(item["key"]), address, models, since, int(item.get("lease", 0)))


@dataclass
class Vitals:
    """For probes: whether the loop runs, and whether the registry is what it should be."""

    stale_seconds: float
    clock: Callable[[], float]
    last_round: float = 0.0
    last_success: float | None = None

    def answer(self, path: str) -> int:
        """HTTP status of a probe."""
        now = self.clock()
        if path == "/livez":
            return 200 if now - self.last_round < self.stale_seconds else 503
        if path == "/readyz":
            fresh = self.last_success is not None and now - self.last_success < self.stale_seconds
            return 200 if fresh else 503
        return 404


def serve_vitals(vitals: Vitals, port: int, host: str = "0.0.0.0") -> ThreadingHTTPServer:
    """Answer probes in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(vitals.answer(self.path))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Probes are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def keep(registrar: Registrar, vitals: Vitals, interval: float, stop: threading.Event) -> None:
    """Round after round until `stop`; what etcd has not taken is tried again."""
    adopted = False
    while not stop.is_set():
        vitals.last_round = vitals.clock()
        try:
            if not adopted:
                registrar.adopt()
                adopted = True
            registrar.round()
            vitals.last_success = vitals.clock()
        except (Unreachable, ApiError) as error:
            registrar.report(f"registry not updated: {error}")
        stop.wait(interval)


def table(entries: Mapping[str, Entry] | Iterator[Entry]) -> list[str]:
    """For people."""
    items = entries.values() if isinstance(entries, Mapping) else entries
    return [
        f"{item.key.removeprefix(PREFIX)}  {','.join(item.models)}  ready since {item.ready_since}"
        for item in items
    ]
