"""How a member that has no data asks and is asked: real connections, real certificates."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from etcd_tools.announcement import PATH, announced, announcement
from etcd_tools.bootstrap import Other, ask
from etcd_tools.cluster import Member
from etcd_tools.errors import Refused, Unreachable
from etcd_tools.gateway import Credentials, request
from tests.chaos.etcd.pki import Authority

NAME = "etcd-1"
BOTH = ("server auth", "client auth")
LISTED = [
    {
        "id": 17,
        "peerURLs": ["https://etcd-0.p:2380"],
        "name": "etcd-0",
        "clientURLs": ["https://etcd-0.p:2379"],
    },
    {"id": 18446744073709551615, "peerURLs": ["https://etcd-1.p:2380"], "name": "etcd-1"},
]


@dataclass(frozen=True)
class Site:
    """Certificates, and a free port on loopback for each of the two that etcd has."""

    root: Path
    peers: Authority
    clients: Authority
    peer_port: int
    client_port: int

    @property
    def listen_url(self) -> str:
        return f"https://127.0.0.1:{self.peer_port}"

    @property
    def other(self) -> Other:
        url = f"https://localhost:{self.peer_port}"
        return Other(NAME, url, f"https://localhost:{self.client_port}", self.client(), self.peer())

    def peer(self, common_name: str = "etcd-peer") -> Credentials:
        self.peers.issue(self.root / common_name, common_name, usages=BOTH, dns_names=("localhost",))
        return Credentials(self.root / common_name)

    def client(self) -> Credentials:
        self.clients.issue(self.root / "client", "maintenance", usages=("client auth",))
        return Credentials(self.root / "client")

    def announced(self, name: str = NAME, snapshot: str | None = None) -> Any:
        return announced(self.listen_url, announcement(name, snapshot), self.peer(), ["etcd-peer"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(
        tmp_path, Authority.create("members"), Authority.create("clients"), _free_port(), _free_port()
    )


@pytest.fixture
def serve(site: Site) -> Iterator[Callable[..., None]]:
    """A member whose etcd runs: answers of its two ports by path."""
    servers: list[ThreadingHTTPServer] = []

    def start(port: int, credentials: Credentials, answers: dict[str, Any]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = json.dumps(answers.get(self.path)).encode()
                self.send_response(200 if self.path in answers else 404)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.socket = credentials.server_context().wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def server_of_clients(site: Site) -> Credentials:
    site.clients.issue(site.root / "server", "etcd-server", usages=("server auth",), dns_names=("localhost",))
    return Credentials(site.root / "server")


def test_a_member_without_data_is_heard(site: Site) -> None:
    with site.announced(snapshot="5" * 64):
        peer = ask(site.other)
    assert (peer.empty, peer.snapshot, peer.members, peer.address) == (True, "5" * 64, None, "127.0.0.1")


def test_the_port_is_free_again_at_once(site: Site) -> None:
    for _ in range(3):
        with site.announced():
            assert ask(site.other).empty
    assert not ask(site.other).heard


def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with site.announced(), pytest.raises(Refused, match="does etcd run there"), site.announced():
        pass


def test_somebody_elses_answer_is_no_answer(site: Site) -> None:
    with site.announced(name="etcd-0"):
        peer = ask(site.other)
    assert not peer.heard
    assert "its name leads to etcd-0" in peer.silence


@pytest.mark.parametrize("stranger", ["another common name", "clients' authority", "no certificate"])
def test_who_is_no_member_is_told_nothing(site: Site, stranger: str) -> None:
    with site.announced():
        if stranger == "no certificate":
            context = ssl.create_default_context(cafile=str(site.peer().authority))
            with socket.create_connection(("127.0.0.1", site.peer_port), 5) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="localhost") as wrapped:
                        wrapped.sendall(f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
                        assert wrapped.recv(100) == b""
                except OSError:
                    pass
            return
        credentials = site.peer("etcd-server") if stranger == "another common name" else site.client()
        if stranger == "clients' authority":
            credentials.authority.write_bytes(site.peer().authority.read_bytes())
        with pytest.raises(Unreachable):
            request(site.listen_url.replace("127.0.0.1", "localhost") + PATH, credentials, 3.0)


def test_who_connects_and_says_nothing_holds_up_nobody(site: Site) -> None:
    with site.announced(), socket.create_connection(("127.0.0.1", site.peer_port), 5):
        assert ask(site.other).empty


def test_an_expired_certificate_is_silence_with_a_reason(site: Site) -> None:
    with site.announced():
        other = site.other
        other.peer.authority.write_bytes(Credentials(site.root / "client").authority.read_bytes())
        peer = ask(other)
    assert not peer.heard
    assert "CERTIFICATE_VERIFY_FAILED" in peer.silence


def test_a_member_with_a_quorum_answers_at_once(site: Site, serve: Callable[..., None]) -> None:
    entry = {"ID": "17", "name": "etcd-0", "peerURLs": ["https://etcd-0.p:2380"], "clientURLs": ["x"]}
    serve(site.client_port, server_of_clients(site), {"/v3/cluster/member/list": {"members": [entry]}})
    peer = ask(site.other)
    assert peer.confirmed
    assert peer.members == (Member(17, "etcd-0", ("https://etcd-0.p:2380",), ("x",)),)


def test_a_member_that_listens_and_answers_no_client_is_asked_as_a_member(
    site: Site, serve: Callable[..., None]
) -> None:
    serve(site.peer_port, site.peer(), {"/members": LISTED})
    # As etcd without a leader: the kernel takes the connection, and nobody speaks.
    with socket.create_server(("127.0.0.1", site.client_port)):
        began = time.monotonic()
        peer = ask(site.other, timeout=0.5)
    assert time.monotonic() - began < 5
    assert peer.members is not None
    assert not peer.confirmed
    assert [(m.id, m.name, m.started) for m in peer.members] == [
        (17, "etcd-0", True),
        (18446744073709551615, "etcd-1", False),
    ]


@pytest.mark.parametrize("answer", [{"members": []}, [1], [{"name": "etcd-0"}], "text", None])
def test_what_is_not_etcd_is_no_answer(site: Site, serve: Callable[..., None], answer: Any) -> None:
    serve(site.peer_port, site.peer(), {"/members": answer})
    peer = ask(site.other)
    assert not peer.heard
    assert peer.silence
