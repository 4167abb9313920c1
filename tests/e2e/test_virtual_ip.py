"""The DaemonSet of the virtual IP on a real kubelet, in a namespace and a network segment of its own.

The segment is a veth pair: one end is the node's, as `eth0` is of an entry node, the other leads to a network
namespace with a client and a second entry node, which runs what the DaemonSet's pods run.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.virtual_ip.component import (
    FIREWALL_CAPABILITIES,
    KEEPALIVED_CAPABILITIES,
    VirtualIp,
    VirtualIpArgs,
)
from components.virtual_ip.firewall import table_name
from components.virtual_ip.plan import VirtualIpPlan, plan_virtual_ip
from components.virtual_ip.settings import VirtualIp as VirtualIpSettings
from tests.chaos.virtual_ip.lab import Node, inside
from tests.e2e.conftest import Deployment
from tests.harness import kube
from tests.harness.published import MODEL
from tests.unit.graph import record
from toolchain import cluster
from toolchain.cluster import hosttools, layout, netlink, processes
from toolchain.errors import ToolchainError
from toolchain.images import build, definitions, virtual_ip

Json = dict[str, Any]

NAMESPACE: Final = "e2e-virtual-ip"
INTERFACE: Final = "e2e-vip0"
"""The segment's, at both ends."""
ADDRESS, NODE, PEER, CLIENT = "198.51.100.100", "198.51.100.11", "198.51.100.12", "198.51.100.200"
"""TEST-NET-2 (RFC 5737), which nobody has."""
PORT: Final = 8443
ROUTER_ID: Final = 77
NAMESPACES: Final = Path("/run/netns")
"""Where `ip netns` keeps network namespaces."""
HERE, THERE = "pod", "peer"
SAMPLE_SECONDS: Final = 0.02
_READY_SECONDS = 180
_CAPABILITY_BITS: Final = {"SETGID": 6, "SETUID": 7, "NET_ADMIN": 12, "NET_RAW": 13}
"""linux/capability.h."""
_HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "guard": FIREWALL_CAPABILITIES,
    "keepalived": KEEPALIVED_CAPABILITIES,
    "monitor": (),
    "haproxy": (),
}


@dataclass(frozen=True)
class Sample:
    """Who held the address at a moment."""

    at: float
    """time.monotonic()."""
    holders: tuple[str, ...]


class Watch(threading.Thread):
    """Asks the kernel every 20 ms which end of the segment has the address."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.samples.append(Sample(time.monotonic(), holders()))

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(5)

    def first(self, since: float, *expected: str) -> float:
        """Seconds from `since` to the first sample after it with these holders."""
        return next(s.at - since for s in self.samples if s.at > since and s.holders == expected)


@dataclass(frozen=True)
class Entry:
    """The DaemonSet's pod, and the segment."""

    plan: VirtualIpPlan
    peer: Node
    """The second entry node; not started."""
    watch: Watch

    def pods(self) -> list[Json]:
        """Pods that are not about to go."""
        pods = kube.items("pods", "--namespace", NAMESPACE)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready(self) -> Json | None:
        """The pod, if it is ready."""
        for pod in self.pods():
            conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
            if conditions.get("Ready") == "True":
                return pod
        return None

    def wait(self, *expected: str) -> Json:
        """The pod, as soon as it is ready and the address is where it is expected."""
        return kube.wait_until(
            f"pod ready, address with {expected}",
            lambda: self.ready() if holders() == expected else None,
            _READY_SECONDS,
        )


def holders() -> tuple[str, ...]:
    """`pod` and `peer`, as the node's kernel and the segment's far end tell it."""
    found = [HERE] if _has_address() else []
    with inside(NAMESPACE):
        return (*found, *([THERE] if _has_address() else []))


def _has_address() -> bool:
    return any(str(one.address.ip) == ADDRESS for one in netlink.addresses())


def _plan() -> VirtualIpPlan:
    settings = VirtualIpSettings.model_validate(
        {
            "interface": INTERFACE,
            "address": f"{ADDRESS}/24",
            "routerId": ROUTER_ID,
            "nodes": [{"name": layout.NODE, "address": NODE}, {"name": "peer", "address": PEER}],
            "frontend": {"kind": "model-api", "port": PORT, "plainHttp": True},
        }
    )
    plan, problems = plan_virtual_ip(settings)
    assert plan is not None, problems
    return plan


def _manifests(plan: VirtualIpPlan, image: str, upstream: str) -> list[Json]:
    """What the component registers, with small requests: this node is a model server's, too."""

    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        args = VirtualIpArgs(plan, NAMESPACE, "v1.36", image, upstream)
        VirtualIp("entry", args, pulumi.ResourceOptions(providers=[provider]))

    registered = [item for item in record(program)[0] if not item.type.startswith(("pulumi:", "autoglm:"))]
    objects = [item.document for item in registered]
    for item in objects:
        if item["kind"] == "DaemonSet":
            for container in item["spec"]["template"]["spec"]["containers"]:
                # Critical pods displace others; these must fit beside the model server.
                container["resources"]["requests"]["cpu"] = "5m"
    return sorted(objects, key=lambda item: item["kind"] != "Namespace")


@contextmanager
def _segment() -> Iterator[None]:
    """The veth pair, its far end in a namespace; what an earlier run left goes first."""
    tools = hosttools.ensure()

    def remove() -> None:
        # With the link go its addresses and the namespace's end of it.
        for arguments in (("link", "del", INTERFACE), ("netns", "del", NAMESPACE)):
            _quietly(tools, "ip", *arguments)
        _quietly(tools, "nft", "delete", "table", "inet", table_name(_plan()))

    remove()
    had_namespaces = NAMESPACES.exists()
    try:
        tools.run("ip", "netns", "add", NAMESPACE)
        veth = ("link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", NAMESPACE)
        tools.run("ip", *veth)
        tools.run("ip", "address", "add", f"{NODE}/24", "dev", INTERFACE)
        tools.run("ip", "link", "set", INTERFACE, "up")
        for address in (PEER, CLIENT):
            tools.run("ip", "-n", NAMESPACE, "address", "add", f"{address}/24", "dev", INTERFACE)
        for link in ("lo", INTERFACE):
            tools.run("ip", "-n", NAMESPACE, "link", "set", link, "up")
        yield
    finally:
        remove()
        if not had_namespaces:
            # `ip netns` has made it, and a mount of itself.
            subprocess.run(["umount", NAMESPACES], check=True)
            NAMESPACES.rmdir()


def _quietly(tools: hosttools.HostTools, command: str, *arguments: str) -> None:
    """What is not there need not be removed."""
    try:
        tools.run(command, *arguments)
    except ToolchainError as error:
        if not any(absent in str(error) for absent in ("No such", "Cannot find")):
            print(error)


@contextmanager
def _image() -> Iterator[str]:
    """The image `virtual-ip`, which stack dev does without, in the node's containerd."""
    image = definitions.ON_REQUEST["virtual-ip"]()
    ctr = cluster.containerd_client()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        build.archive(image, archive)
        ctr.import_archive(archive)
    try:
        yield image.reference
    finally:
        ctr.run("images", "rm", image.reference, image.tag)


@pytest.fixture(scope="module")
def entry(deployment: Deployment, namespace: str) -> Iterator[Entry]:
    """The DaemonSet, its pod ready and the address on the node. Everything goes at the end."""
    plan = _plan()
    upstream = f"{MODEL}.{namespace}.svc.cluster.local:8000"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="virtual-ip-")))
        image = stack.enter_context(_image())
        stack.enter_context(_segment())
        peer = Node(plan.members[1], NAMESPACE, folder / "peer", virtual_ip.root(), plan)
        peer.prepare([])
        stack.callback(_end, peer)
        stack.callback(_delete_namespace)
        watch = Watch()
        kube.apply(*_manifests(plan, image, upstream)).succeeded()
        watch.start()
        stack.callback(watch.stop)
        made = Entry(plan, peer, watch)
        made.wait(HERE)
        yield made


def _end(node: Node) -> None:
    for process in node.processes.values():
        process.end()


def _delete_namespace() -> None:
    kube.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=300).succeeded()


def _inside_container(pod: Json, container: str, *command: str) -> str:
    arguments = ("exec", "--namespace", NAMESPACE, pod["metadata"]["name"], "-c", container, "--")
    return kube.kubectl(*arguments, "/usr/bin/busybox", *command).succeeded().stdout


def _log(pod: Json, container: str, *, since: float) -> str:
    """What a container has printed since then (seconds since 1970)."""
    moment = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
    arguments = ("logs", "--namespace", NAMESPACE, pod["metadata"]["name"], "-c", container)
    return kube.kubectl(*arguments, f"--since-time={moment}").stdout


def _request(path: str, method: str = "GET", body: Json | None = None) -> tuple[int, bytes]:
    """Status and answer, as a client in the segment gets them from the virtual address."""
    with inside(NAMESPACE):
        connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=60, source_address=(CLIENT, 0))
        connection.connect()
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_model_answers_at_the_address(entry: Entry) -> None:
    kube.wait_until("haproxy has found the model server", lambda: _request("/health")[0] == 200, 60)
    status, answer = _request("/v1/models")
    assert status == 200
    assert [one["id"] for one in json.loads(answer)["data"]] == [MODEL]
    question = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    status, answer = _request("/v1/chat/completions", "POST", question)
    assert status == 200, answer
    assert json.loads(answer)["usage"]["completion_tokens"] >= 1


def test_what_is_not_the_api_ends_at_the_proxy(entry: Entry) -> None:
    assert {path: _request(path)[0] for path in ("/metrics", "/v1/../metrics", "/")} == {
        "/metrics": 404,
        "/v1/../metrics": 404,
        "/": 404,
    }


def test_neighbours_know_the_node_by_the_address(entry: Entry) -> None:
    _request("/health")
    tools = hosttools.ensure()
    (own,) = json.loads(tools.run("ip", "-json", "link", "show", INTERFACE))
    (seen,) = json.loads(tools.run("ip", "-n", NAMESPACE, "-json", "neighbour", "show", "to", ADDRESS))
    assert seen["lladdr"] == own["address"]


def test_processes_hold_the_documented_capabilities_and_no_other(entry: Entry) -> None:
    pod = entry.wait(HERE)
    assert {status["name"] for status in pod["status"]["containerStatuses"]} == set(_HELD)
    for container, held in _HELD.items():
        status = dict(
            line.split(":", 1)
            for line in _inside_container(pod, container, "cat", "/proc/1/status").splitlines()
            if ":" in line
        )
        allowed = sum(1 << _CAPABILITY_BITS[name] for name in held)
        for kind in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(status[kind], 16) & ~allowed == 0, f"{container} {kind}{status[kind]}"
        assert int(status["CapEff"], 16) == allowed, container
        # Filtered system calls, and no way to more rights.
        assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1"), container
        assert status["Uid"].split()[0] == ("0" if held else "65532"), container


def test_the_node_drops_advertisements_of_others(entry: Entry) -> None:
    rules = hosttools.ensure().run("nft", "list", "table", "inet", table_name(entry.plan))
    assert f"elements = {{ {PEER} }}" in rules
    assert "policy accept" in rules


def _host_pid(pod: Json, program: str) -> int:
    """The container's process of that name, as this machine sees it."""
    uid = pod["metadata"]["uid"]
    found = []
    for pid in processes.running():
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        if (uid in groups or uid.replace("-", "_") in groups) and processes.name(pid) == program:
            found.append(pid)
    # keepalived's own child, which speaks VRRP, has the same name and comes later.
    return min(found)


def _one_holder_at_most(entry: Entry, since: float) -> None:
    several = [sample for sample in entry.watch.samples if sample.at > since and len(sample.holders) > 1]
    assert several == []


def test_address_comes_back_when_keepalived_is_killed(
    entry: Entry, record_property: Callable[[str, object], None]
) -> None:
    pod = entry.wait(HERE)
    killed = time.monotonic()
    os.kill(_host_pid(pod, "keepalived"), signal.SIGKILL)
    kube.wait_until("the address is gone", lambda: holders() == (), 5, pause=0.005)
    again = entry.wait(HERE)
    gone, back = entry.watch.first(killed), entry.watch.first(killed + entry.watch.first(killed), HERE)
    figures = {"gone_seconds": round(gone, 3), "back_seconds": round(gone + back, 2)}
    print(f"\nkeepalived killed: {figures}")
    record_property("figures", figures)
    assert again["metadata"]["uid"] == pod["metadata"]["uid"]
    counts = {one["name"]: one["restartCount"] for one in again["status"]["containerStatuses"]}
    assert counts["keepalived"] >= 1
    assert {counts[name] for name in ("guard", "monitor", "haproxy")} == {0}
    # Before a neighbour has missed three advertisements.
    assert gone < 3 * entry.plan.settings.advert_interval_ms / 1000


def test_address_goes_with_the_pod_and_returns_with_its_successor(
    entry: Entry, record_property: Callable[[str, object], None]
) -> None:
    pod = entry.wait(HERE)
    deleted = time.monotonic()
    kube.kubectl(
        "delete", "pod", pod["metadata"]["name"], "--namespace", NAMESPACE, "--wait=false"
    ).succeeded()
    kube.wait_until("the address is gone", lambda: holders() == (), 30, pause=0.005)
    successor = entry.wait(HERE)
    gone = entry.watch.first(deleted)
    back = entry.watch.first(deleted + gone, HERE)
    figures = {"gone_seconds": round(gone, 3), "back_seconds": round(gone + back, 1)}
    print(f"\npod deleted: {figures}")
    record_property("figures", figures)
    assert successor["metadata"]["uid"] != pod["metadata"]["uid"]
    # All processes end when they are told to: requests have nothing to finish here.
    assert back < pod["spec"]["terminationGracePeriodSeconds"]


def test_peer_takes_over_from_the_pod_and_keeps_the_address(
    entry: Entry, record_property: Callable[[str, object], None]
) -> None:
    pod = entry.wait(HERE)
    started = time.monotonic()
    entry.peer.start()
    kube.wait_until("the peer is a backup", lambda: "BACKUP" in entry.peer.log("keepalived"), 30)
    # A script that has to succeed twice comes first.
    time.sleep(4)
    assert holders() == (HERE,)
    killed, killed_at = time.monotonic(), time.time()
    os.kill(_host_pid(pod, "keepalived"), signal.SIGKILL)
    kube.wait_until(
        "keepalived is a backup again",
        lambda: "Entering BACKUP STATE" in _log(pod, "keepalived", since=killed_at),
        60,
    )
    taken = entry.watch.first(killed, THERE)
    # Nobody takes the address back.
    time.sleep(3)
    assert holders() == (THERE,)
    stopped = time.monotonic()
    entry.peer.processes["keepalived"].send(signal.SIGTERM)
    entry.wait(HERE)
    returned = entry.watch.first(stopped, HERE)
    figures = {"peer_after_kill_seconds": round(taken, 2), "pod_after_stop_seconds": round(returned, 2)}
    print(f"\nfailover: {figures}")
    record_property("figures", figures)
    _one_holder_at_most(entry, started)
    # A second for a busy machine.
    assert taken < entry.plan.failover.crash_ms / 1000 + 1


def test_nothing_stays_on_the_node_when_the_daemon_set_is_deleted(entry: Entry) -> None:
    _end(entry.peer)
    entry.wait(HERE)
    _delete_namespace()
    assert holders() == ()
    assert f"inet {table_name(entry.plan)}" not in netlink.nft_tables()
