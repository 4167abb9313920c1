"""The service registry on a real cluster: leases outlive a lost leader, not their server or the registry."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from etcd_tools.errors import Refused
from etcd_tools.registry import PREFIX, Backend, Registrar, listed
from tests.chaos.etcd.clusters import EtcdUnderTest

_TTL = 5
_MODELS = {"object": "list", "data": [{"id": "autoglm-phone-9b"}]}


class ModelServer(BaseHTTPRequestHandler):
    """What of vLLM the registry sees."""

    ready = True

    def do_GET(self) -> None:
        body = json.dumps(_MODELS).encode()
        self.send_response(200 if type(self).ready and self.path == "/v1/models" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Not of interest."""


@pytest.fixture
def model_server(cluster: EtcdUnderTest) -> Iterator[type[ModelServer]]:
    """A server on the client's host, port 8000."""
    handler = type("Handler", (ModelServer,), {"ready": True})
    server = cluster.client.run(ThreadingHTTPServer, ("127.0.0.1", 8000), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def registrar(cluster: EtcdUnderTest) -> Iterator[Registrar]:
    yield Registrar(
        cluster.admin(timeout=1.0),
        (Backend("phone", "http", "localhost", 8000),),
        _TTL,
        lambda text: None,
        resolve=lambda host: ("127.0.0.1",),
    )
    for entry in cluster.client.run(lambda: list(listed(cluster.admin()))):
        cluster.client.run(cluster.admin().call, "lease/revoke", {"ID": str(entry.lease)})


def entries(cluster: EtcdUnderTest) -> dict[str, str]:
    """Since when each server has been ready, by key."""
    return {e.key: e.ready_since for e in cluster.client.run(lambda: list(listed(cluster.admin())))}


def test_a_servers_entry_survives_the_leaders_loss(
    cluster: EtcdUnderTest, model_server: type[ModelServer], registrar: Registrar
) -> None:
    cluster.client.run(registrar.round)
    before = entries(cluster)
    assert list(before) == [f"{PREFIX}phone/127.0.0.1:8000"]
    cluster.leader().kill()
    deadline = time.monotonic() + 2 * _TTL
    while time.monotonic() < deadline:
        # Without a leader the next round tries again, as in production.
        with contextlib.suppress(Refused):
            cluster.client.run(registrar.round)
        time.sleep(0.5)
    assert entries(cluster) == before


def test_an_entry_goes_with_its_server(
    cluster: EtcdUnderTest, model_server: type[ModelServer], registrar: Registrar
) -> None:
    cluster.client.run(registrar.round)
    assert entries(cluster)
    model_server.ready = False
    cluster.client.run(registrar.round)
    assert entries(cluster) == {}


def test_an_entry_goes_with_the_registry(
    cluster: EtcdUnderTest, model_server: type[ModelServer], registrar: Registrar
) -> None:
    cluster.client.run(registrar.round)
    assert entries(cluster)
    deadline = time.monotonic() + 3 * _TTL
    while entries(cluster):
        assert time.monotonic() < deadline, "the lease does not run out"
        time.sleep(0.5)
