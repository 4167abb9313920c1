"""The registry says of each server what it serves and since when it has been ready, and nothing of those that
are not."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fake_etcd import FakeCluster, FakeEtcd

from etcd_tools import registry
from etcd_tools.errors import Refused, Unreachable
from etcd_tools.registry import PREFIX, Backend, Registrar, Vitals, keep, listed, served_models, table

KEY = f"{PREFIX}phone/10.0.0.7:8000"


class Servers:
    """Model servers by address, and the time."""

    def __init__(self) -> None:
        self.models: dict[str, tuple[str, ...] | None] = {}
        self.hour = 8

    def registrar(self, cluster: FakeCluster, told: list[str]) -> Registrar:
        return Registrar(
            cluster,
            (Backend("phone", "http", "phone-endpoints", 8000),),
            15,
            told.append,
            resolve=lambda host: tuple(self.models),
            probe=lambda scheme, address, port: self.models[address],
            now=lambda: f"2026-11-21T{self.hour:02}:00:00Z",
        )


@pytest.fixture
def servers() -> Servers:
    return Servers()


def entries(cluster: FakeCluster) -> dict[str, tuple[tuple[str, ...], str]]:
    return {entry.key: (entry.models, entry.ready_since) for entry in listed(cluster)}


def test_a_ready_server_is_registered_and_stays_since_then(
    cluster: FakeCluster, servers: Servers, told: list[str]
) -> None:
    registrar = servers.registrar(cluster, told)
    servers.models["10.0.0.7"] = ("autoglm-phone-9b",)
    registrar.round()
    servers.hour = 9
    registrar.round()
    assert entries(cluster) == {KEY: (("autoglm-phone-9b",), "2026-11-21T08:00:00Z")}
    assert len(told) == 1
    assert table(listed(cluster)) == [
        "phone/10.0.0.7:8000  autoglm-phone-9b  ready since 2026-11-21T08:00:00Z"
    ]


@pytest.mark.parametrize("how", ["does not answer", "serves nothing", "is gone"])
def test_a_server_that_is_not_ready_is_withdrawn(
    cluster: FakeCluster, etcd: FakeEtcd, servers: Servers, told: list[str], how: str
) -> None:
    registrar = servers.registrar(cluster, told)
    servers.models["10.0.0.7"] = ("autoglm-phone-9b",)
    registrar.round()
    if how == "is gone":
        servers.models.clear()
    else:
        servers.models["10.0.0.7"] = None if how == "does not answer" else ()
    registrar.round()
    assert entries(cluster) == {}
    assert etcd.leases == set()
    servers.models, servers.hour = {"10.0.0.7": ("autoglm-phone-9b",)}, 10
    registrar.round()
    assert entries(cluster)[KEY][1] == "2026-11-21T10:00:00Z"


def test_an_entry_whose_lease_ran_out_comes_back_as_it_was(
    cluster: FakeCluster, etcd: FakeEtcd, servers: Servers, told: list[str]
) -> None:
    registrar = servers.registrar(cluster, told)
    servers.models["10.0.0.7"] = ("autoglm-phone-9b",)
    registrar.round()
    etcd.expire(next(iter(etcd.leases)))
    assert entries(cluster) == {}
    servers.hour = 9
    registrar.round()
    assert entries(cluster)[KEY][1] == "2026-11-21T08:00:00Z"


def test_a_restarted_registry_takes_its_entries_over(
    cluster: FakeCluster, etcd: FakeEtcd, servers: Servers, told: list[str]
) -> None:
    servers.models["10.0.0.7"] = ("autoglm-phone-9b",)
    servers.registrar(cluster, told).round()
    leases = set(etcd.leases)
    servers.hour = 9
    second = servers.registrar(cluster, told)
    second.adopt()
    second.round()
    assert entries(cluster)[KEY][1] == "2026-11-21T08:00:00Z"
    assert etcd.leases == leases
    third = servers.registrar(cluster, told)
    servers.models.clear()
    third.adopt()
    third.round()
    assert entries(cluster) == {}


def test_a_server_that_serves_something_else_is_ready_anew(
    cluster: FakeCluster, servers: Servers, told: list[str]
) -> None:
    registrar = servers.registrar(cluster, told)
    servers.models["10.0.0.7"] = ("one",)
    registrar.round()
    servers.models["10.0.0.7"], servers.hour = ("two",), 9
    registrar.round()
    assert entries(cluster) == {KEY: (("two",), "2026-11-21T09:00:00Z")}


def test_what_etcd_does_not_take_is_tried_again(
    cluster: FakeCluster, etcd: FakeEtcd, servers: Servers, told: list[str]
) -> None:
    registrar = servers.registrar(cluster, told)
    servers.models["10.0.0.7"] = ("autoglm-phone-9b",)
    etcd.fail["lease/grant"] = [Unreachable("x", "no answer")] * 3
    rounds, stop = [0], threading.Event()

    def clock() -> float:
        rounds[0] += 1
        if rounds[0] > 6:
            stop.set()
        return float(rounds[0])

    vitals = Vitals(10, clock)
    keep(registrar, vitals, 0.0, stop)
    assert KEY in entries(cluster)
    assert vitals.last_success is not None


def test_vitals() -> None:
    now = [0.0]
    vitals = Vitals(60, lambda: now[0])
    assert (vitals.answer("/livez"), vitals.answer("/readyz")) == (200, 503)
    vitals.last_success = 0.0
    assert vitals.answer("/readyz") == 200
    now[0] = 61
    assert (vitals.answer("/livez"), vitals.answer("/readyz"), vitals.answer("/")) == (503, 503, 404)
    server = registry.serve_vitals(Vitals(60, lambda: 0.0), 0, "127.0.0.1")
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/livez", timeout=5) as response:
        assert response.status == 200
    server.shutdown()


def test_foreign_values_are_passed_over(cluster: FakeCluster, etcd: FakeEtcd) -> None:
    etcd.store = {"a2V5": ("bm90IGpzb24=", 1), "a2V6": ("e30=", 1)}
    assert entries(cluster) == {}


@pytest.mark.parametrize(
    "text", ["", "phone", "phone=host:8000", "phone=http://host", "=http://host:1", "a=ftp://h:1"]
)
def test_a_backend_that_is_none(text: str) -> None:
    with pytest.raises(Refused, match="is not model=http"):
        Backend.parse(text)


def test_a_backend() -> None:
    assert Backend.parse("phone=https://phone-endpoints:8000") == Backend(
        "phone", "https", "phone-endpoints", 8000
    )


class Answer(BaseHTTPRequestHandler):
    body, status = b"", 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Answer,), {}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "models"),
    [
        (200, json.dumps({"data": [{"id": "b"}, {"id": "a"}]}).encode(), ("a", "b")),
        (200, b"{}", None),
        (200, b"not json", None),
        (503, b'{"data": []}', None),
    ],
)
def test_what_a_server_says_it_serves(
    server: HTTPServer, status: int, body: bytes, models: tuple[str, ...] | None
) -> None:
    server.RequestHandlerClass.status, server.RequestHandlerClass.body = status, body  # type: ignore[attr-defined]
    assert served_models("http", "127.0.0.1", server.server_port) == models


def test_a_server_that_is_not_there() -> None:
    assert served_models("http", "127.0.0.1", 1) is None
    assert registry.addresses("no-such-host.invalid") == ()
    assert registry.addresses("127.0.0.1") == ("127.0.0.1",)
