"""What clients get through the address: the API and nothing else, streams as they come, the next holder."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.chaos.virtual_ip.conftest import plan
from tests.chaos.virtual_ip.lab import Lab, Node, inside
from tests.harness.commands import run

CHUNKS = 10
CHUNK_SECONDS = 0.05


class Engine(BaseHTTPRequestHandler):
    """Answers everything, as an engine does on the paths that need no key."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v1/stream":
            self._stream()
        else:
            self._answer({"path": self.path, "forwarded": self.headers.get_all("X-Forwarded-For")})

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer({"path": self.path, "bytes": size})

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(CHUNKS):
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(CHUNK_SECONDS)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """haproxy's health checks close without reading on."""

    def handle_error(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def engine(lab: Lab) -> Iterator[None]:
    """A server in the client's place of the lab."""
    with inside(lab.client):
        server = Server((str(lab.client_address), 8000), Engine)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def served(lab_of: Callable[..., Lab]) -> Iterator[Lab]:
    """A lab whose address leads to the engine."""
    frontend = {"kind": "model-api", "plainHttp": True, "maxBody": "1Mi"}
    lab = lab_of(plan(frontend=frontend), ("192.168.1.253:8000",))
    assert str(lab.client_address) == "192.168.1.253"
    with engine(lab):
        lab.settle()
        until(10, lambda: request(lab, "GET", "/health").status == 200)
        yield lab


def connection(lab: Lab) -> http.client.HTTPConnection:
    made = http.client.HTTPConnection(str(lab.plan.address.ip), lab.plan.settings.frontend.port, timeout=5)
    with inside(lab.client):
        made.connect()
    return made


def request(
    lab: Lab, method: str, path: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    answer = connection(lab)
    answer.putrequest(method, path)
    if body is not None and not headers:
        answer.putheader("Content-Length", str(len(body)))
    for name, value in headers.items():
        answer.putheader(name.replace("_", "-"), value)
    answer.endheaders(body)
    response = answer.getresponse()
    return response


def until(seconds: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def test_clients_get_the_api_and_nothing_else_and_keep_it(served: Lab) -> None:
    lab = served
    for path in ("/v1/models", "/v1/chat/completions", "/health"):
        assert request(lab, "GET", path).status == 200
    for path in (
        *("/", "/metrics", "/invocations", "/pause", "/update_weights", "/score", "/v1", "/healthz"),
        *(
            "/v1/../pause",
            "/v1//pause",
            "/v1/%2e%2e/pause",
            "/v1/%2E./pause",
            "/health/../pause",
            "/V1/models",
        ),
    ):
        assert request(lab, "GET", path).status == 404, path
    assert request(lab, "DELETE", "/v1/models/phone").status == 405

    # Whoever calls cannot say that somebody else does.
    seen: Any = json.loads(request(lab, "GET", "/v1/models", X_Forwarded_For="10.9.9.9").read())
    assert seen["forwarded"] == ["192.168.1.253"]

    image = b"x" * (900 * 1024)
    assert json.loads(request(lab, "POST", "/v1/chat/completions", image).read())["bytes"] == len(image)
    assert request(lab, "POST", "/v1/x", b"", Content_Length=str(2 * 1024 * 1024)).status == 413
    assert request(lab, "POST", "/v1/x", b"0\r\n\r\n", Transfer_Encoding="chunked").status == 411

    stream = request(lab, "GET", "/v1/stream")
    arrivals = []
    while line := stream.readline():
        if line.startswith(b"data"):
            arrivals.append(time.monotonic())
    assert len(arrivals) == CHUNKS
    # One by one, not all at the end.
    assert arrivals[-1] - arrivals[0] > (CHUNKS - 2) * CHUNK_SECONDS

    holder = lab.holder()
    assert holder is not None
    holder.processes["keepalived"].send(signal.SIGKILL)
    started = time.monotonic()
    lab.wait_for_holder(5, other_than=holder)
    until(5, lambda: request(lab, "GET", "/v1/models").status == 200)
    # Gratuitous ARP: the client's neighbour entry still named the dead node.
    assert time.monotonic() - started < lab.plan.failover.crash_ms / 1000 + 2


def test_a_renewed_certificate_is_served_without_a_restart(lab_of: Callable[..., Lab]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("certificates: needs the program `openssl`")
    lab = lab_of(plan(frontend={"kind": "model-api", "tlsSecretName": "entry-tls"}))
    for node in lab.nodes:
        make_certificate(node, "first")
    holder = lab.settle()
    assert served_name(lab) == "first"
    make_certificate(holder, "second")
    until(10, lambda: served_name(lab) == "second")
    # Nobody has taken the address over for that.
    assert lab.holder() is holder


def make_certificate(node: Node, name: str) -> None:
    """Where the Secret is mounted: a new file in the old one's place."""
    folder = node.folder / "etc" / "virtual-ip" / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "new.key", folder / "new.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(
        ["openssl", "req", "-x509", *curve, "-subj", f"/CN={name}", "-keyout", key, "-out", certificate]
    ).succeeded()
    key.chmod(0o644)
    key.rename(folder / "tls.key")
    certificate.rename(folder / "tls.crt")


def served_name(lab: Lab) -> str:
    """Common name of the certificate at the virtual address."""
    with inside(lab.client):
        plain = socket.create_connection((str(lab.plan.address.ip), lab.plan.settings.frontend.port), 5)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with plain, context.wrap_socket(plain) as connection:
        found = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def test_a_server_that_is_down_is_an_answer_and_not_the_end_of_the_address(steady: Lab) -> None:
    """No holder could do better: clients are told 503 at once."""
    assert request(steady, "GET", "/v1/models").status == 503
    assert steady.holder() is not None


def test_the_peer_port_takes_peers_only(steady: Lab) -> None:
    made = http.client.HTTPConnection("192.168.1.11", steady.plan.settings.peer_port, timeout=1)
    with inside(steady.client), pytest.raises(TimeoutError):
        made.connect()
