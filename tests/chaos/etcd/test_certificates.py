"""F31: who has no valid certificate of the right authority for the right place is nobody."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from etcd_tools.errors import Refused, Unreachable
from etcd_tools.gateway import Credentials, Gateway
from tests.chaos.etcd.clusters import EtcdMember, EtcdUnderTest
from tests.chaos.etcd.pki import Authority

EXPIRED = (timedelta(hours=-2), timedelta(hours=-1))
_SECONDS = 10.0


def call_with(cluster: EtcdUnderTest, credentials: Credentials, member: EtcdMember) -> object:
    return cluster.client.run(Gateway(member.endpoint, credentials, 3.0).call, "maintenance/status")


@pytest.fixture
def client_directory(tmp_path: Path) -> Path:
    return tmp_path / "client"


def issue_client(authority: Authority, directory: Path, **options: object) -> Credentials:
    authority.issue(directory, "maintenance", **{"usages": ("client auth",), **options})  # type: ignore[arg-type]
    return Credentials(directory)


def trust(cluster: EtcdUnderTest, credentials: Credentials) -> None:
    """Let a client trust the servers' authority, whoever has signed its own certificate."""
    credentials.authority.write_bytes(cluster.credentials.authority.read_bytes())


def test_f31_a_valid_client_certificate_is_accepted(cluster: EtcdUnderTest, client_directory: Path) -> None:
    credentials = issue_client(cluster.client_authority, client_directory)
    assert call_with(cluster, credentials, cluster.members[0])


def expired(cluster: EtcdUnderTest, directory: Path) -> Credentials:
    return issue_client(cluster.client_authority, directory, valid=EXPIRED)


def foreign_authority(cluster: EtcdUnderTest, directory: Path) -> Credentials:
    credentials = issue_client(Authority.create("clients"), directory)
    trust(cluster, credentials)
    return credentials


def members_authority(cluster: EtcdUnderTest, directory: Path) -> Credentials:
    credentials = issue_client(cluster.peer_authority, directory)
    trust(cluster, credentials)
    return credentials


def server_usage_only(cluster: EtcdUnderTest, directory: Path) -> Credentials:
    return issue_client(cluster.client_authority, directory, usages=("server auth",))


@pytest.mark.parametrize("bad", [expired, foreign_authority, members_authority, server_usage_only])
def test_f31_a_bad_client_certificate_is_refused(
    cluster: EtcdUnderTest, client_directory: Path, bad: Callable[[EtcdUnderTest, Path], Credentials]
) -> None:
    credentials = bad(cluster, client_directory)
    for member in cluster.members:
        with pytest.raises(Unreachable):
            call_with(cluster, credentials, member)


def test_f31_a_client_without_certificate_is_refused(cluster: EtcdUnderTest) -> None:
    context = ssl.create_default_context(cafile=str(cluster.credentials.authority))
    member = cluster.members[0]

    def talk() -> bytes:
        with (
            socket.create_connection((member.host.address, 2379), timeout=3) as raw,
            context.wrap_socket(raw, server_hostname="etcd") as wrapped,
        ):
            wrapped.sendall(
                b"POST /v3/maintenance/status HTTP/1.1\r\nHost: etcd\r\nContent-Length: 2\r\n\r\n{}"
            )
            return wrapped.recv(100)

    try:
        answer = cluster.client.run(talk)
    except (ssl.SSLError, ConnectionError):
        return
    assert answer == b"", "answered a client without certificate"


def test_f31_plain_http_is_refused(cluster: EtcdUnderTest) -> None:
    def talk() -> bytes:
        with socket.create_connection((cluster.members[0].host.address, 2379), timeout=3) as raw:
            raw.sendall(b"POST /v3/maintenance/status HTTP/1.1\r\nHost: etcd\r\nContent-Length: 2\r\n\r\n{}")
            return raw.recv(200)

    try:
        answer = cluster.client.run(talk)
    except ConnectionError:
        return
    assert b"HTTP/1.1 200" not in answer


def test_f31_a_server_with_the_wrong_name_is_refused_by_clients(cluster: EtcdUnderTest) -> None:
    victim = cluster.followers()[0]
    wanted = cluster.plan.certificates.server
    cluster.client_authority.issue(
        victim.tls / "server", wanted.common_name, usages=wanted.usages, dns_names=("elsewhere.test",)
    )
    try:
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            call_with(cluster, cluster.credentials, victim)
    finally:
        cluster.issue_all()
    assert call_with(cluster, cluster.credentials, victim)


@pytest.mark.parametrize("fault", ["expired", "wrong name", "clients' authority", "wrong common name"])
def test_f31_a_member_with_a_bad_certificate_is_not_let_in(cluster: EtcdUnderTest, fault: str) -> None:
    victim = cluster.followers()[0]
    others = [member for member in cluster.members if member is not victim]
    wanted = cluster.plan.certificates.peer
    authority = cluster.client_authority if fault == "clients' authority" else cluster.peer_authority
    victim.kill()
    authority.issue(
        victim.tls / "peer",
        "etcd-server" if fault == "wrong common name" else wanted.common_name,
        usages=wanted.usages,
        dns_names=("elsewhere.test",) if fault == "wrong name" else wanted.dns_names,
        valid=EXPIRED if fault == "expired" else (timedelta(hours=-1), timedelta(hours=1)),
    )
    (victim.tls / "peer" / "ca.crt").write_bytes((others[0].tls / "peer" / "ca.crt").read_bytes())
    offsets = {member: member.log.stat().st_size for member in others}
    with cluster.writer(
        f"f31-{fault.replace(' ', '-')}", endpoints=tuple(m.endpoint for m in others)
    ) as writer:
        victim.prepare()
        victim.start()
        deadline = time.monotonic() + _SECONDS
        while not any("rejected connection" in m.log.read_text()[offsets[m] :] for m in others):
            assert time.monotonic() < deadline, "nobody has rejected it"
            time.sleep(0.1)
        writer.wait_for(50, _SECONDS)
        with pytest.raises(Refused):
            cluster.put("/chaos-refused/f31", "must not be", at=victim, timeout=2.0)
        # A valid certificate in its place is enough, nobody is restarted.
        cluster.issue_all()
        cluster.wait_healthy()
    cluster.assert_nothing_lost(writer)


def test_f31_renewed_certificates_are_used_without_a_restart(cluster: EtcdUnderTest) -> None:
    member = cluster.members[0]
    pids = [m.process.pid for m in cluster.members if m.process is not None]

    def serial(port: int, kind: str) -> int:
        context = ssl.create_default_context(cafile=str(member.tls / kind / "ca.crt"))
        own = member.tls / ("client" if kind == "server" else "peer")
        context.load_cert_chain(own / "tls.crt", own / "tls.key")
        name = member.endpoint.removeprefix("https://").rpartition(":")[0]
        with (
            socket.create_connection((member.host.address, port), timeout=3) as raw,
            context.wrap_socket(raw, server_hostname=name) as wrapped,
        ):
            der = wrapped.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).serial_number

    with cluster.writer("f31-renewed") as writer:
        writer.wait_for(20, _SECONDS)
        before = [member.host.run(serial, port, kind) for port, kind in ((2379, "server"), (2380, "peer"))]
        cluster.issue_all()
        after = [member.host.run(serial, port, kind) for port, kind in ((2379, "server"), (2380, "peer"))]
        assert before[0] != after[0]
        assert before[1] != after[1]
        writer.wait_for(20, _SECONDS)
    assert pids == [m.process.pid for m in cluster.members if m.process is not None]
    cluster.assert_nothing_lost(writer)
