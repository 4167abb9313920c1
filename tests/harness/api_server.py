"""The real API server with an etcd of its own for as long as a test: admission, defaults, validation.

Both listen on loopback only, with certificates and tokens made for this one run, and keep everything in the
folder that they are given. Neither root nor a cluster is needed, and no kubelet or controller runs: objects
are admitted and stored, nothing ever becomes of them.

    with api_server.start(tmp_path) as server:
        server.install_crds(*folder.glob("*.yaml"))
        server.namespace("tenant", {"pod-security.kubernetes.io/enforce": "restricted"})
        assert server.create(manifest, dry_run=True).accepted
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.harness.commands import Result, run
from toolchain import golang

Manifest = Mapping[str, Any]
"""A Kubernetes object."""

ADMINISTRATOR: Final = "system:masters"
_READY_SECONDS: Final = 60
_REQUEST_SECONDS: Final = 60
_STOP_SECONDS: Final = 10
_ATTEMPTS: Final = 3
"""Another process may take a free port between the moment it is found and the moment it is used."""
_DAY: Final = datetime.timedelta(days=1)
_ADVERTISED: Final = "192.0.2.1"
"""An address for documentation (RFC 5737): loopback is refused, and nobody follows it."""


class ServerError(Exception):
    """The server could not be started, or an object that a test builds on was refused."""


@dataclass(frozen=True)
class Answer:
    """What the API server says to a request."""

    status: int
    body: Any
    """The object, or a `Status` that says why not."""
    warnings: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the object was admitted."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """Why it was refused."""
        return "" if self.accepted else str(self.body.get("message", self.body))

    def succeeded(self) -> Answer:
        """Itself; ServerError with the server's words if the request was refused."""
        if not self.accepted:
            raise ServerError(f"{self.status}: {self.message}")
        return self


@dataclass
class ApiServer:
    """A running API server and a client of it, which threads may share."""

    folder: Path
    port: int
    token: str
    """Of the administrator."""
    _local: threading.local = field(default_factory=threading.local)
    _kinds: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that has signed the server's."""
        return self.folder / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """For kubectl, helm and every other client: the administrator's."""
        return self.folder / "kubeconfig"

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> Answer:
        """One request on this thread's connection, which stays open for the next."""
        headers = {"Authorization": f"Bearer {token or self.token}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(body).encode()
        for last in (False, True):
            connection = self._connection()
            try:
                connection.request(method, path, content, headers)
                response = connection.getresponse()
                text = response.read()
                break
            except (http.client.HTTPException, ConnectionError):
                # The server closes connections that were idle.
                self._local.connection = None
                if last:
                    raise
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = {"message": text.decode("utf-8", "replace")}
        warnings = tuple(response.headers.get_all("Warning") or ())
        return Answer(response.status, decoded, warnings)

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            context = ssl.create_default_context(cafile=str(self.authority))
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=_REQUEST_SECONDS, context=context
            )
            connection.connect()
            # Headers and body leave in two segments: Nagle's algorithm would hold the second back.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._local.connection = connection
        return connection

    def path(self, api_version: str, kind: str, namespace: str | None = None) -> str:
        """Path of a kind's collection; ServerError if the server does not know the kind."""
        key = (api_version, kind)
        if key not in self._kinds:
            root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
            found = self.request("GET", root)
            for one in found.body.get("resources", []) if found.accepted else []:
                if "/" not in one["name"]:
                    self._kinds[(api_version, one["kind"])] = (f"{root}/{{}}{one['name']}", one["namespaced"])
        if key not in self._kinds:
            raise ServerError(f"the server knows no {kind} of {api_version}; install its CRD first")
        pattern, namespaced = self._kinds[key]
        return pattern.format(f"namespaces/{quote(namespace or 'default')}/" if namespaced else "")

    def _path_of(self, manifest: Manifest) -> str:
        metadata = manifest.get("metadata") or {}
        return self.path(manifest["apiVersion"], manifest["kind"], metadata.get("namespace"))

    def create(self, manifest: Manifest, *, dry_run: bool = False, token: str | None = None) -> Answer:
        """Create an object; a field that its kind does not have refuses it, as with `--validate=strict`.

        With `dry_run` everything is done (defaults, admission, validation) but storing it.
        """
        return self.request("POST", f"{self._path_of(manifest)}?{_query(dry_run)}", manifest, token=token)

    def apply(self, manifest: Manifest, *, dry_run: bool = False, token: str | None = None) -> Answer:
        """Server-side apply, as the Kubernetes provider does it; fields that the kind lacks refuse it."""
        path = f"{self._path_of(manifest)}/{quote(manifest['metadata']['name'])}"
        query = f"{_query(dry_run)}&fieldManager=test&force=true"
        return self.request("PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml", token=token)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Answer:
        """An object by name."""
        return self.request("GET", f"{self.path(api_version, kind, namespace)}/{quote(name)}")

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace with the account `default`, which a controller would make."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).succeeded()
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        self.create({**account, "metadata": {"name": "default", "namespace": name}}).succeeded()

    def install_crds(self, *sources: Path | Manifest) -> list[str]:
        """Apply CustomResourceDefinitions from files or as objects, and wait until they are served.

        Other documents of the files are left out. Returned are the names of the definitions.
        """
        definitions = [one for one in _documents(sources) if one.get("kind") == "CustomResourceDefinition"]
        if not definitions:
            raise ServerError(f"no CustomResourceDefinition in {', '.join(map(str, sources)) or 'nothing'}")
        names = [str(one["metadata"]["name"]) for one in definitions]
        for one in definitions:
            # Definitions of operators carry fields of their generator, such as `status`.
            self.apply({key: value for key, value in one.items() if key != "status"}).succeeded()
        until = time.monotonic() + _READY_SECONDS
        for one in definitions:
            while not self._served(one):
                if time.monotonic() > until:
                    raise ServerError(f"{one['metadata']['name']}: not served after {_READY_SECONDS} s")
                time.sleep(0.1)
        return names

    def _served(self, definition: Manifest) -> bool:
        spec = definition["spec"]
        for version in spec["versions"]:
            if version.get("served"):
                with suppress(ServerError):
                    path = self.path(f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    if self.request("GET", f"{path}?limit=1").accepted:
                        continue
                return False
        return True

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Result:
        """A kubectl command as the administrator."""
        kubectl = golang.ensure_binaries("kubectl")["kubectl"]
        return run([kubectl, *arguments], env={**os.environ, "KUBECONFIG": str(self.kubeconfig)}, stdin=stdin)

    def log(self) -> str:
        """What the server has written so far."""
        return (self.folder / "kube-apiserver.log").read_text(encoding="utf-8", errors="replace")


def _query(dry_run: bool) -> str:
    return urlencode({"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})})


def _documents(sources: Iterable[Path | Manifest]) -> Iterator[Manifest]:
    for source in sources:
        if isinstance(source, Path):
            text = source.read_text(encoding="utf-8")
            yield from (one for one in yaml.load_all(text, yaml.CSafeLoader) if one)
        else:
            yield source


@cache
def version() -> str:
    """Version of the server's Pod Security Standards, such as `v1.36`."""
    return ".".join(golang.module_version("k8s.io/kubernetes").split(".")[:2])


@contextmanager
def start(
    folder: Path,
    *,
    arguments: Sequence[str] = (),
    tokens: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[ApiServer]:
    """An API server until the block ends, or this process does, however it ends.

    The processes are killed with the *thread* that has started them: enter the block in the main thread.

    :param folder: for certificates, data and logs; best one that pytest makes and removes.
    :param arguments: more of kube-apiserver's, such as `--audit-policy-file=…`; the last one of a name holds.
    :param tokens: bearer tokens of other users to their groups; the user is named like the token.
    :raises ToolchainError: the binaries cannot be had here.
    :raises ServerError: it does not become ready; the end of its log is told.
    """
    binaries = golang.ensure_binaries("etcd", "kube-apiserver", link=False)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _certificates(folder)
    token = secrets.token_urlsafe(32)
    others = {one: (one, groups) for one, groups in (tokens or {}).items()}
    users = {token: ("admin", (ADMINISTRATOR,)), **others}
    (folder / "tokens.csv").write_text(
        "".join(f'{secret},{name},{name},"{",".join(groups)}"\n' for secret, (name, groups) in users.items()),
        encoding="utf-8",
    )
    for attempt in range(_ATTEMPTS):
        processes: list[subprocess.Popen[bytes]] = []
        try:
            server = _launch(folder, binaries, token, arguments, processes)
            if server is None:
                if attempt + 1 < _ATTEMPTS and "address already in use" in _ends(folder):
                    continue
                raise ServerError(_ends(folder))
            yield server
            return
        finally:
            _stop(processes)
            # etcd reserves 64 MB for its log; pytest keeps the folders of several runs.
            for data in folder.glob("etcd-*"):
                shutil.rmtree(data)


def _launch(
    folder: Path,
    binaries: Mapping[str, Path],
    token: str,
    arguments: Sequence[str],
    processes: list[subprocess.Popen[bytes]],
) -> ApiServer | None:
    """Both processes, ready; None if one of them has ended, as it does when its port was taken meanwhile."""
    client, peer, secure = _free_ports(3)
    etcd, endpoint = f"https://127.0.0.1:{peer}", f"https://127.0.0.1:{client}"
    data = folder / f"etcd-{client}"
    tls = [
        f"--{side}{name}={folder / file}"
        for side in ("", "peer-")
        for name, file in (("cert-file", "tls.crt"), ("key-file", "tls.key"), ("trusted-ca-file", "ca.crt"))
    ]
    processes.append(
        _process(
            folder,
            "etcd",
            [
                str(binaries["etcd"]),
                "--name=only",
                f"--data-dir={data}",
                f"--listen-client-urls={endpoint}",
                f"--advertise-client-urls={endpoint}",
                f"--listen-peer-urls={etcd}",
                f"--initial-advertise-peer-urls={etcd}",
                f"--initial-cluster=only={etcd}",
                *tls,
                "--client-cert-auth",
                "--peer-client-cert-auth",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )
    )
    processes.append(
        _process(
            folder,
            "kube-apiserver",
            [
                str(binaries["kube-apiserver"]),
                f"--etcd-servers={endpoint}",
                f"--etcd-cafile={folder / 'ca.crt'}",
                f"--etcd-certfile={folder / 'tls.crt'}",
                f"--etcd-keyfile={folder / 'tls.key'}",
                "--bind-address=127.0.0.1",
                f"--secure-port={secure}",
                f"--advertise-address={_ADVERTISED}",
                "--endpoint-reconciler-type=none",
                f"--tls-cert-file={folder / 'tls.crt'}",
                f"--tls-private-key-file={folder / 'tls.key'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--anonymous-auth=false",
                "--authorization-mode=RBAC",
                "--enable-admission-plugins=PodSecurity",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'tls.key'}",
                f"--service-account-signing-key-file={folder / 'tls.key'}",
                "--service-cluster-ip-range=198.18.0.0/24",
                "--allow-privileged=true",
                "--profiling=false",
                *arguments,
            ],
        )
    )
    server = ApiServer(folder, secure, token)
    server.kubeconfig.write_text(json.dumps(_kubeconfig(server)), encoding="utf-8")
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            return None
        with suppress(OSError, http.client.HTTPException):
            if server.request("GET", "/readyz").accepted:
                return server
        time.sleep(0.1)
    raise ServerError(f"not ready after {_READY_SECONDS} s\n{_ends(folder)}")


def _process(folder: Path, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that is killed when this one ends, by whatever signal."""
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is pytest's: it ends them when the fixtures are torn down.
            start_new_session=True,
        )


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Nothing of theirs is needed any more: no graceful shutdown, which takes the API server seconds."""
    ended = list(processes)
    for process in ended:
        process.kill()
    for process in ended:
        process.wait(timeout=_STOP_SECONDS)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _ends(folder: Path) -> str:
    told = []
    for name in ("etcd", "kube-apiserver"):
        file = folder / f"{name}.log"
        text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
        told.append(f"{name}:\n" + "\n".join(text.splitlines()[-20:]))
    return "\n".join(told)


def _kubeconfig(server: ApiServer) -> dict[str, Any]:
    cluster = {"server": server.url, "certificate-authority": str(server.authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": server.token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }


def _certificates(folder: Path) -> None:
    """An authority, and one certificate for both servers and for the API server as etcd's client."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    own = (
        builder(issuer, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
    ]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signed = (
        builder(subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .sign(authority, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
