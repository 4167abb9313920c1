"""A cluster of real etcd processes, configured by the component's own plan and started by its own tools."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.etcd.configuration import DATA, TLS
from components.etcd.plan import EtcdPlan, plan_etcd
from components.etcd.settings import EtcdSettings
from etcd_tools import bootstrap
from etcd_tools.cluster import Cluster, Health
from etcd_tools.decision import Start
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials, Gateway, decoded, encoded, prefix_end
from tests.chaos.etcd import switch
from tests.chaos.etcd.namespaces import Namespace
from tests.chaos.etcd.pki import Authority
from tests.chaos.etcd.writer import PREFIX, Acknowledged, Writer

NAMESPACE = "chaos"
_CLIENT_ADDRESS = "10.99.0.100"
IMAGES = {name: f"example.test/{name}@sha256:{'0' * 64}" for name in ("etcd", "etcd-tools")}


@dataclass(frozen=True)
class Binaries:
    """etcd's programs."""

    etcd: Path
    etcdctl: Path
    etcdutl: Path


def plan(changes: Mapping[str, Any] | None = None) -> EtcdPlan:
    """The component's plan of a cluster with its defaults, but for what is changed."""
    settings = EtcdSettings.model_validate({"name": "etcd", **(changes or {})})
    planned, problems = plan_etcd(settings, namespace=NAMESPACE, images=IMAGES, protect=False)
    assert planned is not None, problems
    return planned


class Net:
    """Hosts that reach each other through the switch."""

    def __init__(self, hosts_file: Path, addresses: Iterable[str]) -> None:
        self.hosts = {address: Namespace(address, hosts_file) for address in addresses}
        tuns = {address: host.tun for address, host in self.hosts.items()}
        self._process = subprocess.Popen(
            [sys.executable, switch.__file__, *(f"{address}={tun}" for address, tun in tuns.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=list(tuns.values()),
        )
        self.set()

    def set(
        self,
        drop: Iterable[tuple[str, str]] = (),
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
    ) -> None:
        """The state of the network from now on: dropped directions, delay in seconds, part of packets
        lost."""
        command = {"drop": list(drop), "delay": delay, "jitter": jitter, "loss": loss, "seed": 1}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        for host in self.hosts.values():
            host.close()


class EtcdMember:
    """One member: its host, its directories and its process."""

    def __init__(self, cluster: EtcdUnderTest, index: int, host: Namespace) -> None:
        self.name = f"{cluster.plan.name}-{index}"
        self.endpoint = cluster.plan.member_endpoints[index]
        self.host = host
        self.root = cluster.root / self.name
        self.data = self.root / "data-volume" / "data"
        self.tls = self.root / "tls"
        self.log = self.root / "etcd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._cluster = cluster
        self.data.parent.mkdir(parents=True)

    @property
    def database(self) -> Path:
        return self.data / "member" / "snap" / "db"

    def write_template(self) -> Path:
        """What the pod's annotation holds, with this host's directories."""
        template = self.root / "template.json"
        text = json.dumps(self._cluster.plan.configuration).replace(DATA, str(self.data.parent))
        template.write_text(text.replace(TLS, str(self.tls)))
        return template

    def prepare(self, snapshot: Path | None = None, sha256: str | None = None) -> Start:
        """What the init container does."""
        wanted = bootstrap.Bootstrap(
            self.write_template(), self.root / "etcd.json", self.name, snapshot, sha256, wait_seconds=60
        )
        start = self.host.run(
            bootstrap.run,
            wanted,
            Credentials(self.tls / "client"),
            lambda text: None,
            sleep=lambda _: time.sleep(0.2),
            etcdutl=str(self._cluster.binaries.etcdutl),
        )
        self._cluster.configured(self)
        return start

    def start(self) -> None:
        """What the container does."""
        assert self.process is None
        command = [str(self._cluster.binaries.etcd), f"--config-file={self.root / 'etcd.json'}"]
        self.process = self.host.start(command, self.log)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a lost machine: no goodbye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def ended(self, seconds: float) -> int:
        """Exit status of a process that ends by itself."""
        assert self.process is not None
        status = self.process.wait(timeout=seconds)
        self.process = None
        return status

    def wipe(self) -> None:
        """As a lost volume."""
        self.host.run(shutil.rmtree, self.data)

    def logged(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


class EtcdUnderTest:
    """The whole cluster, with a client's host beside it."""

    def __init__(self, root: Path, binaries: Binaries, changes: Mapping[str, Any] | None = None) -> None:
        self.root = root
        self.binaries = binaries
        self.plan = plan(changes)
        count = self.plan.settings.members
        addresses = [f"10.99.0.{10 + index}" for index in range(count)]
        root.mkdir(parents=True, exist_ok=True)
        hosts_file = root / "hosts"
        lines = ["127.0.0.1 localhost"]
        for index, address in enumerate(addresses):
            full = f"{self.plan.name}-{index}.{self.plan.name}-peers.{NAMESPACE}.svc"
            lines.append(f"{address} {full} {full}.cluster.local")
        hosts_file.write_text("\n".join(lines) + "\n")
        self.net = Net(hosts_file, [*addresses, _CLIENT_ADDRESS])
        self.client = self.net.hosts[_CLIENT_ADDRESS]
        self.members = [EtcdMember(self, i, self.net.hosts[a]) for i, a in enumerate(addresses)]
        self.peer_authority = Authority.create("members")
        self.client_authority = Authority.create("clients")
        self.credentials = Credentials(root / "tls" / "client")
        self.issue_all()

    def issue_all(self) -> None:
        """Certificates as the plan has them."""
        wanted = self.plan.certificates
        self.client_authority.issue(self.credentials.directory, "maintenance", usages=("client auth",))
        for member in self.members:
            for kind, leaf, authority in (
                ("server", wanted.server, self.client_authority),
                ("peer", wanted.peer, self.peer_authority),
                ("client", wanted.clients[0], self.client_authority),
            ):
                authority.issue(
                    member.tls / kind,
                    leaf.common_name,
                    usages=leaf.usages,
                    dns_names=leaf.dns_names,
                    ip_addresses=leaf.ip_addresses,
                )

    def configured(self, member: EtcdMember) -> None:
        """Called whenever a member's configuration has been written."""

    # --- life

    def start(self, snapshot: Path | None = None, sha256: str | None = None) -> list[Start]:
        """All members at once, without data, and how each has begun.

        Each starts as soon as its own init container is through, as in a pod: the others may still be asking,
        and then it has to answer.
        """

        def begin(member: EtcdMember) -> Start:
            how = member.prepare(snapshot, sha256)
            member.start()
            return how

        with ThreadPoolExecutor(len(self.members)) as pool:
            begun = list(pool.map(begin, self.members))
        self.wait_healthy()
        return begun

    def close(self) -> None:
        for member in self.members:
            member.kill()
        self.net.close()

    def heal(self) -> None:
        """Network whole, everybody running and healthy."""
        self.net.set()
        for member in self.members:
            if member.process is None or member.process.poll() is not None:
                member.process = None
                member.prepare()
                member.start()
            else:
                member.signal(signal.SIGCONT)
        self.wait_healthy()

    # --- asking

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    def admin(self, *endpoints: str, timeout: float = 3.0) -> Cluster:
        """For use on the client's host, see `ask`."""
        return Cluster(endpoints or self.endpoints, self.credentials, timeout=timeout)

    def ask(
        self, method: str, body: Mapping[str, Any] | None = None, *, at: EtcdMember, timeout: float = 3.0
    ) -> Any:
        """One member's answer, as the client's host gets it."""
        return self.client.run(Gateway(at.endpoint, self.credentials, timeout).call, method, body)

    def health(self) -> Health:
        return self.client.run(self.admin(timeout=1.0).health)

    def leader(self) -> EtcdMember:
        """The leader that most members agree on."""
        leader = self.health().leader
        assert leader is not None
        return next(member for member in self.members if member.name == leader.name)

    def followers(self) -> list[EtcdMember]:
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def wait_healthy(self, seconds: float = 30.0) -> None:
        """All members answer, and agree on a leader."""
        deadline = time.monotonic() + seconds
        while True:
            problem = "?"
            try:
                health = self.health()
                ill = [m.label for m in health.members if not health.healthy(m)]
                leaders = {status.leader for status in health.statuses.values()}
                if not ill and len(leaders) == 1 and len(health.members) == len(self.members):
                    return
                problem = f"ill: {ill}, leaders: {len(leaders)}"
            except Refused as error:
                problem = str(error)
            assert time.monotonic() < deadline, f"not healthy within {seconds} s: {problem}"
            time.sleep(0.1)

    def writer(self, name: str, *, endpoints: tuple[str, ...] | None = None, **options: Any) -> Writer:
        return Writer(self.client, endpoints or self.endpoints, self.credentials, name=name, **options)

    def put(self, key: str, value: str, *, at: EtcdMember | None = None, timeout: float = 3.0) -> None:
        body = {"key": encoded(key), "value": encoded(value)}
        if at is not None:
            self.ask("kv/put", body, at=at, timeout=timeout)
        else:
            self.client.run(self.admin(timeout=timeout).call, "kv/put", body)

    def keys(self, member: EtcdMember, prefix: str = PREFIX) -> dict[str, str]:
        """What one member itself has, without asking the others."""
        body = {"key": encoded(prefix), "range_end": prefix_end(prefix), "serializable": True}
        answer = self.ask("kv/range", body, at=member, timeout=20)
        return {decoded(item["key"]): decoded(item.get("value")) for item in answer.get("kvs", ())}

    def links(self, a: Iterable[EtcdMember], b: Iterable[EtcdMember]) -> list[tuple[str, str]]:
        """Directions from each of `a` to each of `b`, for `Net.set`."""
        return [(x.host.address, y.host.address) for x in a for y in b if x is not y]

    # --- asserting

    def assert_equal_hashes(self, seconds: float = 20.0) -> None:
        """All members hold the same, revision by revision."""
        deadline = time.monotonic() + seconds
        while True:
            # Nobody writes any more; whoever was away has to catch up first.
            revisions = [
                int(self.ask("maintenance/status", at=m)["header"]["revision"]) for m in self.members
            ]
            hashes = set()
            for member in self.members:
                answer = self.ask("maintenance/hashkv", {"revision": str(min(revisions))}, at=member)
                hashes.add((answer["hash"], answer.get("compact_revision", "0")))
            if len(set(revisions)) == len(hashes) == 1:
                return
            assert time.monotonic() < deadline, f"revisions {revisions}, hashes {hashes}"
            time.sleep(0.2)

    def assert_nothing_lost(self, *written: Writer | Iterable[Acknowledged]) -> None:
        """Every acknowledged write is on every member, and the members are equal."""
        self.assert_equal_hashes()
        held = {member.name: self.keys(member) for member in self.members}
        for item in written:
            acknowledged = item.acknowledged if isinstance(item, Writer) else list(item)
            assert acknowledged, "nothing was written: the case proves nothing"
            for write in acknowledged:
                for name, keys in held.items():
                    assert keys.get(write.key) == write.value, f"{write.key} lost on {name}"


def requirements() -> str | None:
    """Why these tests cannot run here; None if they can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun: the kernel has no TUN driver"
    for program in ("ip", "setpriv"):
        if shutil.which(program) is None:
            return f"no {program} on PATH (Debian: iproute2, util-linux)"
    return None
