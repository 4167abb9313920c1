"""A network of its own for a virtual IP: entry nodes as network namespaces on one switch, each running what
the DaemonSet runs, from the image's file system, with the containers' users and capabilities.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from components.virtual_ip.firewall import render_firewall, table_name
from components.virtual_ip.haproxy import render_haproxy
from components.virtual_ip.keepalived import render_keepalived
from components.virtual_ip.plan import Member, VirtualIpPlan
from components.virtual_ip.scripts import (
    render_guard,
    render_haproxy_start,
    render_keepalived_start,
    render_monitor,
)

SAMPLE_SECONDS: Final = 0.02
_ENTER: Final = Path(__file__).with_name("enter.py")
_CLONE_NEWNET: Final = 0x40000000
_SETGID, _SETUID, _NET_ADMIN, _NET_RAW = 6, 7, 12, 13
UNPRIVILEGED: Final = 65532
# linux/rtnetlink.h, linux/if_addr.h
_RTM_GETADDR, _NLM_F_DUMP_REQUEST, _NLMSG_DONE, _IFA_LOCAL = 22, 0x301, 3, 2


class LabError(Exception):
    """The machine cannot give the lab what it needs."""


def ip(*arguments: str) -> None:
    """`ip`; raises LabError with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in the network namespace: sockets made meanwhile stay in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise LabError(f"setns {namespace}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(here.fileno(), _CLONE_NEWNET)


@dataclass
class Process:
    """One of a node's processes, in namespaces of its own like a container."""

    name: str
    launcher: subprocess.Popen[bytes]
    pid_file: Path

    @property
    def pid(self) -> int:
        """Of the program itself, as this machine sees it."""
        deadline = time.monotonic() + 60
        while not (self.pid_file.exists() and self.pid_file.read_text()):
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not start")
            time.sleep(0.005)
        return int(self.pid_file.read_text())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program; its children share its fate if it is killed (PID namespace)."""
        # Once its launcher has seen it end, the number may be another's.
        if self.launcher.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it and all that it has started, and wait until they are gone."""
        # The first process of a PID namespace takes the others with it.
        with contextlib.suppress(ProcessLookupError, LabError):
            self.send(signal.SIGKILL)
        try:
            self.launcher.wait(10)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            self.launcher.wait(10)


@dataclass
class Node:
    """An entry node."""

    member: Member
    namespace: str
    folder: Path
    root: Path
    plan: VirtualIpPlan
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def run_folder(self) -> Path:
        """/run/virtual-ip of the node's containers."""
        return self.folder / "run" / "virtual-ip"

    def prepare(self, servers: Sequence[str]) -> None:
        """Write everything rendered."""
        self.run_folder.mkdir(parents=True)
        self.run_folder.chmod(0o777)
        shutil.copytree(self.root / "etc", self.folder / "etc")
        # Of a container runtime: haproxy wants one. Servers are given by address here.
        (self.folder / "etc" / "resolv.conf").touch()
        configuration = self.folder / "run" / "configuration"
        configuration.mkdir()
        files = {
            "keepalived.conf": render_keepalived(self.plan, self.member, script_user="nonroot"),
            "haproxy.cfg": render_haproxy(self.plan, self.member, servers),
            "vrrp.nft": render_firewall(self.plan, self.member),
            "keepalived.sh": render_keepalived_start(self.plan, "/run/configuration/keepalived.conf"),
            "guard.sh": render_guard(self.plan),
            "monitor.sh": render_monitor(self.plan),
            "haproxy.sh": render_haproxy_start("/run/configuration/haproxy.cfg"),
        }
        for name, text in files.items():
            (configuration / name).write_text(text, encoding="utf-8")

    def start_container(
        self, name: str, *, user: int = UNPRIVILEGED, capabilities: Iterable[int] = ()
    ) -> Process:
        """Start one of the scripts."""
        pid_file = self.folder / f"{name}.pid"
        pid_file.unlink(missing_ok=True)
        options = {
            "netns": self.namespace,
            "root": str(self.root),
            "run": str(self.folder / "run"),
            "etc": str(self.folder / "etc"),
            "user": user,
            "capabilities": list(capabilities),
            "pid_file": str(pid_file),
        }
        script = f"/run/configuration/{name}.sh"
        log = (self.folder / f"{name}.log").open("ab")
        launcher = subprocess.Popen(
            [sys.executable, _ENTER, json.dumps(options), "/usr/bin/busybox", "sh", script],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.processes[name] = Process(f"{name} of {self.member.name}", launcher, pid_file)
        return self.processes[name]

    def load_firewall(self) -> None:
        """What the init container does."""
        self.nft("-f", str(self.folder / "run/configuration/vrrp.nft"))

    def nft(self, *arguments: str) -> str:
        """`nft` in the node's network; returns what it printed."""
        libraries = self.root / "usr/lib/x86_64-linux-gnu"
        loader = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)]
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *loader, str(self.root / "usr/sbin/nft"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LabError(f"nft {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def dropped_packets(self) -> int:
        """Packets that the node's rules have dropped."""
        listing = json.loads(self.nft("--json", "list", "table", "inet", table_name(self.plan)))
        return sum(
            expression["counter"]["packets"]
            for item in listing["nftables"]
            for expression in item.get("rule", {}).get("expr", [])
            if "counter" in expression
        )

    def start_proxy(self) -> None:
        """haproxy and the monitor of its health: no user, no capability."""
        self.start_container("haproxy")
        self.start_container("monitor")

    def start_router(self) -> None:
        """keepalived and its guard."""
        self.start_container("guard", user=0, capabilities=[_NET_ADMIN])
        self.start_keepalived()

    def start_keepalived(self) -> None:
        """keepalived alone."""
        self.start_container("keepalived", user=0, capabilities=[_NET_ADMIN, _NET_RAW, _SETGID, _SETUID])

    def start(self) -> None:
        """Everything that the pod runs."""
        self.load_firewall()
        self.start_proxy()
        self.start_router()

    def log(self, name: str) -> str:
        """Everything that a container has printed."""
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""


@dataclass(frozen=True)
class Sample:
    """Who held the address at a moment."""

    at: float
    """time.monotonic()."""
    holders: tuple[str, ...]


class Sampler(threading.Thread):
    """Asks the kernel every 20 ms, over netlink, which nodes have the address."""

    def __init__(self, nodes: Sequence[Node], address: IPv4Address) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._address = address.packed
        self._stop_asked = threading.Event()
        self._sockets: list[tuple[str, socket.socket]] = []
        for node in nodes:
            with inside(node.namespace):
                connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
                connection.bind((0, 0))
                self._sockets.append((node.member.name, connection))

    def run(self) -> None:
        """Sample until stopped."""
        due = time.monotonic()
        while not self._stop_asked.is_set():
            self.samples.append(Sample(time.monotonic(), self.holders()))
            due = max(due + SAMPLE_SECONDS, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def holders(self) -> tuple[str, ...]:
        """Names of the nodes that have the address now."""
        return tuple(name for name, connection in self._sockets if self._has_address(connection))

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self.join(5)
        for _, connection in self._sockets:
            connection.close()

    def _has_address(self, connection: socket.socket) -> bool:
        connection.send(
            struct.pack("=IHHIIBBBBI", 24, _RTM_GETADDR, _NLM_F_DUMP_REQUEST, 1, 0, 2, 0, 0, 0, 0)
        )
        found = False
        while True:
            data = connection.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _NLMSG_DONE:
                    return found
                found = found or _local_address(data[24:length]) == self._address
                data = data[(length + 3) & ~3 :]


def _local_address(attributes: bytes) -> bytes:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == _IFA_LOCAL:
            return attributes[4:length]
        attributes = attributes[(length + 3) & ~3 :]
    return b""


class Lab:
    """The switch, the nodes, a client's place and a stranger's."""

    def __init__(self, plan: VirtualIpPlan, root: Path, servers: Sequence[str] = ()) -> None:
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix="virtual-ip-"))
        self._prefix = f"vip{os.getpid()}-{self.folder.name[-4:]}"
        self._namespaces: list[str] = []
        self._servers = list(servers)
        self.nodes = [
            Node(member, f"{self._prefix}-{member.name}", self.folder / member.name, root, plan)
            for member in plan.members
        ]
        self.switch = f"{self._prefix}-switch"
        self.stranger = f"{self._prefix}-stranger"
        self.client = f"{self._prefix}-client"
        self.sampler: Sampler | None = None

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self) -> None:
        _remove_stale_namespaces()
        self._namespace(self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")
        network = self.plan.address.network
        for node in self.nodes:
            self._plug(node.namespace, f"{node.member.address}/{network.prefixlen}")
            node.prepare(self._servers)
        spare = iter(sorted(network.hosts(), reverse=True))
        self.stranger_address, self.client_address = next(spare), next(spare)
        self._plug(self.stranger, f"{self.stranger_address}/{network.prefixlen}")
        self._plug(self.client, f"{self.client_address}/{network.prefixlen}")
        self.sampler = Sampler(self.nodes, self.plan.address.ip)
        self.sampler.start()

    def _namespace(self, name: str) -> None:
        ip("netns", "add", name)
        self._namespaces.append(name)
        ip("-n", name, "link", "set", "lo", "up")

    def _plug(self, namespace: str, address: str) -> None:
        self._namespace(namespace)
        port, interface = self.port(namespace), self.plan.settings.interface
        ip(
            "-n",
            self.switch,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            interface,
            "netns",
            namespace,
        )
        ip("-n", self.switch, "link", "set", port, "master", "br0", "up")
        ip("-n", namespace, "address", "add", address, "dev", interface)
        ip("-n", namespace, "link", "set", interface, "up")

    def port(self, namespace: str) -> str:
        """The switch's port that a namespace is plugged into."""
        return f"p{self._namespaces.index(namespace)}"

    def close(self) -> None:
        """End every process of the lab and remove its network."""
        if self.sampler is not None:
            self.sampler.stop()
        for node in self.nodes:
            for process in node.processes.values():
                process.end()
        for name in reversed(self._namespaces):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def beside(self, plan: VirtualIpPlan) -> Lab:
        """Another virtual IP on the same nodes: its own processes, the same networks."""
        other = Lab(plan, self.nodes[0].root, self._servers)
        for mine, node in zip(self.nodes, other.nodes, strict=True):
            node.namespace = mine.namespace
            node.prepare(self._servers)
        other.sampler = Sampler(other.nodes, plan.address.ip)
        other.sampler.start()
        return other

    # What is done to it.

    def unplug(self, node: Node) -> None:
        """The node's link goes down: it notices, as with a pulled cable."""
        ip("-n", self.switch, "link", "set", self.port(node.namespace), "down")

    def plug_in(self, node: Node) -> None:
        """The link comes up again."""
        ip("-n", self.switch, "link", "set", self.port(node.namespace), "up")

    def isolate(self, node: Node) -> None:
        """The network beyond the node's link is cut: the node itself notices nothing."""
        ip("-n", self.switch, "link", "set", self.port(node.namespace), "nomaster")

    def heal(self, node: Node) -> None:
        """The network is whole again."""
        ip("-n", self.switch, "link", "set", self.port(node.namespace), "master", "br0")

    # What is seen.

    @property
    def samples(self) -> list[Sample]:
        """All samples so far."""
        assert self.sampler is not None
        return list(self.sampler.samples)

    def holder(self) -> Node | None:
        """The node that has the address now; None without one. AssertionError with several."""
        assert self.sampler is not None
        names = self.samples[-1].holders
        assert len(names) <= 1, f"several holders: {names}"
        return next((node for node in self.nodes if node.member.name in names), None)

    def wait_for_holder(self, seconds: float, *, other_than: Node | None = None) -> Node:
        """The first node, other than the one named, that has the address."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            holder = self.holder()
            if holder is not None and holder is not other_than:
                return holder
            time.sleep(SAMPLE_SECONDS)
        raise AssertionError(f"no holder after {seconds:.1f} s\n{self.logs()}")

    def settle(self) -> Node:
        """Start every node and wait until one has the address and all are well."""
        for node in self.nodes:
            node.start()
        holder = self.wait_for_holder(90)
        self.stay(0.8)
        return holder

    def stay(self, seconds: float) -> None:
        """Let time pass, sampled."""
        time.sleep(seconds)

    def logs(self) -> str:
        """The end of every log, for a failure's message."""
        return "\n".join(
            f"--- {node.member.name} {name}\n{node.log(name)[-1500:]}"
            for node in self.nodes
            for name in node.processes
        )


def _remove_stale_namespaces() -> None:
    """Those of test runs that were killed; their processes have gone with them."""
    for file in Path("/run/netns").glob("vip*-*"):
        owner = re.match(r"vip(\d+)-", file.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            subprocess.run(["ip", "netns", "delete", file.name], check=False, capture_output=True)


def longest_gap(samples: Sequence[Sample]) -> float:
    """Longest time in seconds without a holder, over consecutive samples."""
    longest, since = 0.0, None
    for sample in samples:
        if sample.holders:
            if since is not None:
                longest = max(longest, sample.at - since)
            since = None
        elif since is None:
            since = sample.at
    return longest if since is None else max(longest, samples[-1].at - since)
