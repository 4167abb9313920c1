"""A cluster starts from nothing in whatever order its members come, and never begins anew where one is known.

The init containers are processes of their own here, as in pods, so that they can be stopped and killed.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from etcd_tools.errors import Refused
from tests.chaos.etcd.clusters import EtcdMember, EtcdUnderTest
from tests.chaos.etcd.conftest import Factory
from toolchain import paths

_SECONDS = 60.0
_TOOLS = os.environ.get("ETCD_TOOLS_UNDER_TEST", str(paths.ROOT / "apps" / "etcd"))
"""Where `etcd_tools` is; elsewhere to see these tests fail with a version that has the fault."""
STAGGER = 0.7
"""Seconds between pods: longer than a round of questions takes."""


class Pod:
    """What a kubelet does for a member: the init container until it succeeds, then etcd."""

    def __init__(self, member: EtcdMember) -> None:
        self.member = member
        self.init_log = member.root / "init.log"
        self.before_etcd = threading.Event()
        """Cleared, nothing happens between the init container and etcd."""
        self.before_etcd.set()
        self.running = threading.Event()
        self._init: subprocess.Popen[bytes] | None = None
        self._removed = threading.Event()
        self._thread: threading.Thread | None = None

    def create(self) -> None:
        """From now on it runs by itself."""
        self._removed.clear()
        self.running.clear()
        self.init_log.write_bytes(b"")
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        template = self.member.write_template()
        command = [
            *("/usr/bin/env", f"PYTHONPATH={_TOOLS}", sys.executable, "-m", "etcd_tools"),
            *("--tls", str(self.member.tls / "client"), "bootstrap", "--name", self.member.name),
            *("--template", str(template), "--output", str(self.member.root / "etcd.json")),
        ]
        while not self._removed.is_set():
            self._init = self.member.host.start(command, self.init_log)
            if self._init.wait() == 0:
                break
            self._removed.wait(0.5)
        while not self.before_etcd.wait(0.1):
            if self._removed.is_set():
                return
        if not self._removed.is_set():
            self.member.start()
            self.running.set()

    def signal_init(self, number: signal.Signals) -> None:
        assert self._init is not None
        self._init.send_signal(number)

    def said(self, text: str) -> bool:
        """Whether the init container has said that."""
        return self.init_log.exists() and text in self.init_log.read_text(errors="replace")

    @property
    def announces(self) -> bool:
        """Whether its init container asks, as opposed to being loaded still."""
        return self.init_log.exists() and self.init_log.stat().st_size > 0

    def delete(self) -> None:
        self._removed.set()
        if self._init is not None:
            self._init.kill()
        if self._thread is not None:
            self._thread.join(timeout=10)
            assert not self._thread.is_alive()
        self.member.kill()


@pytest.fixture
def pods(fresh_cluster: Factory) -> Iterator[list[Pod]]:
    cluster = fresh_cluster()
    made = [Pod(member) for member in cluster.members]
    yield made
    for pod in made:
        pod.delete()


def cluster_of(pods: list[Pod]) -> EtcdUnderTest:
    return pods[0].member._cluster


def until(what: str, probe: Callable[[], bool], seconds: float = _SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def assert_serves(pods: list[Pod]) -> None:
    """All members run, agree, and hold what is written."""
    for pod in pods:
        assert pod.running.wait(_SECONDS), f"{pod.member.name} stalls: {pod.init_log.read_text()[-600:]}"
    cluster = cluster_of(pods)
    cluster.wait_healthy(_SECONDS)
    cluster.put("/chaos/first", "written")
    cluster.assert_equal_hashes()
    assert all(cluster.keys(pod.member) == {"/chaos/first": "written"} for pod in pods)


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
def test_members_that_come_one_after_the_other_in_any_order(pods: list[Pod], order: tuple[int, ...]) -> None:
    for index in order:
        pods[index].create()
        time.sleep(STAGGER)
    assert_serves(pods)


def init_is_stopped(pod: Pod, pods: list[Pod]) -> Callable[[], None]:
    """While it asks, and is known to the others."""
    until("asks", lambda: pod.announces)
    pod.signal_init(signal.SIGSTOP)
    return lambda: pod.signal_init(signal.SIGCONT)


def init_is_killed(pod: Pod, pods: list[Pod]) -> Callable[[], None]:
    """What it has heard is forgotten."""
    until("asks", lambda: pod.announces)
    pod.signal_init(signal.SIGKILL)
    return lambda: None


def etcd_comes_late(pod: Pod, pods: list[Pod]) -> Callable[[], None]:
    """It has decided, answers nobody any more, and does not run yet."""
    pod.before_etcd.clear()
    return pod.before_etcd.set


def etcd_is_stopped(pod: Pod, pods: list[Pod]) -> Callable[[], None]:
    """As soon as it listens, in the way or not of the others' decision."""

    def stop() -> None:
        if pod.running.wait(_SECONDS):
            pod.member.signal(signal.SIGSTOP)

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()

    def go_on() -> None:
        stopper.join(timeout=_SECONDS)
        pod.member.signal(signal.SIGCONT)

    return go_on


def is_cut_off(pod: Pod, pods: list[Pod]) -> Callable[[], None]:
    cluster = cluster_of(pods)
    others = [other.member for other in pods if other is not pod]
    cluster.net.set(cluster.links([pod.member], others) + cluster.links(others, [pod.member]))
    return cluster.net.set


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize(
    "fault", [init_is_stopped, init_is_killed, etcd_comes_late, etcd_is_stopped, is_cut_off]
)
def test_one_that_pauses_in_a_bad_moment_holds_the_others_up_no_longer_than_that(
    pods: list[Pod], fault: Callable[[Pod, list[Pod]], Callable[[], None]], late: int
) -> None:
    first, last = (pods[late], [pod for pod in pods if pod is not pods[late]])
    first.create()
    go_on = fault(first, pods)
    for pod in last:
        time.sleep(STAGGER)
        pod.create()
    time.sleep(2.5)
    go_on()
    assert_serves(pods)


def answer_only(pod: Pod) -> None:
    """Give a member a certificate with which it can answer other members and cannot ask them."""
    cluster = cluster_of([pod])
    wanted = cluster.plan.certificates.peer
    cluster.peer_authority.issue(
        pod.member.tls / "peer", wanted.common_name, usages=("server auth",), dns_names=wanted.dns_names
    )


def test_a_founder_that_listens_and_answers_no_client_is_joined(pods: list[Pod]) -> None:
    founder, others = pods[1], [pods[0], pods[2]]
    for pod in others:
        answer_only(pod)
    for pod in pods:
        pod.create()
    assert founder.running.wait(_SECONDS)
    assert not any(pod.running.is_set() for pod in others)
    # What they have heard is forgotten; they find a founder that takes clients' connections and is silent.
    for pod in others:
        pod.delete()

    def silent() -> bool:
        with pytest.raises(Refused) as refused:
            cluster_of(pods).put("/chaos/none", "", at=founder.member, timeout=3.0)
        return "no answer" in str(refused.value)

    until("the founder listens and is silent", silent)
    cluster_of(pods).issue_all()
    for pod in others:
        pod.create()
    assert_serves(pods)


def test_a_member_whose_certificate_has_expired_is_waited_for(pods: list[Pod]) -> None:
    cluster, bad = cluster_of(pods), pods[1].member
    wanted = cluster.plan.certificates.peer
    cluster.peer_authority.issue(
        bad.tls / "peer",
        wanted.common_name,
        usages=wanted.usages,
        dns_names=wanted.dns_names,
        valid=(timedelta(hours=-2), timedelta(hours=-1)),
    )
    for pod in pods:
        pod.create()
    for pod in pods:
        until("says why", lambda pod=pod: pod.said("CERTIFICATE") or pod.said("alert"))  # type: ignore[misc]
    assert not any(pod.running.is_set() for pod in pods)
    cluster.issue_all()
    assert_serves(pods)


def test_all_volumes_lost_at_once_is_a_first_start(pods: list[Pod]) -> None:
    for pod in pods:
        pod.create()
    assert_serves(pods)
    for pod in pods:
        pod.delete()
        pod.member.wipe()
    for pod in reversed(pods):
        pod.create()
        time.sleep(STAGGER)
    assert_serves(pods)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_two_volumes_lost_are_no_first_start(pods: list[Pod], kept: int) -> None:
    for pod in pods:
        pod.create()
    assert_serves(pods)
    for pod in pods:
        pod.delete()
        if pod is not pods[kept]:
            pod.member.wipe()
    for pod in pods:
        pod.create()
    lost = [pod for pod in pods if pod is not pods[kept]]
    for pod in lost:
        until("waits", lambda pod=pod: pod.said(f"run `etcd_tools replace {pod.member.name}`"))  # type: ignore[misc]
    time.sleep(2)
    assert not any(pod.running.is_set() for pod in lost)
    assert pods[kept].running.is_set()


def test_a_member_that_knows_too_little_does_not_vouch_for_one_that_has_lost_its_data(
    pods: list[Pod],
) -> None:
    """The last write is on members 1 and 2; member 0 has not even heard that 2 has ever started."""
    cluster = cluster_of(pods)
    lagging, holder, loser = pods
    loser.before_etcd.clear()
    answer_only(loser)
    for pod in pods:
        pod.create()
    assert lagging.running.wait(_SECONDS)
    assert holder.running.wait(_SECONDS)
    until("quorum of two", lambda: accepts(cluster, holder, "/chaos/two"))
    # Its init container learns from the two that it is one of the first; its etcd does not start yet.
    until("decides", lambda: loser.said("starts with new"))
    lagging.delete()
    cluster.issue_all()
    loser.before_etcd.set()
    until("quorum of the other two", lambda: accepts(cluster, holder, "/chaos/kept"))
    until("started", lambda: {"etcd-1", "etcd-2"} <= started(cluster, holder))
    holder.delete()
    loser.delete()
    loser.member.wipe()

    lagging.create()
    loser.create()
    until("waits", lambda: loser.said("others may know a cluster: etcd-1"))
    time.sleep(3)
    assert not loser.running.is_set()
    holder.create()
    until("knows", lambda: loser.said("run `etcd_tools replace etcd-2`"))
    assert cluster.keys(holder.member)["/chaos/kept"] == "kept"


def accepts(cluster: EtcdUnderTest, pod: Pod, key: str) -> bool:
    try:
        cluster.put(key, "kept", at=pod.member, timeout=1.0)
    except Refused:
        return False
    return True


def started(cluster: EtcdUnderTest, pod: Pod) -> set[str]:
    answer: Mapping[str, list[dict[str, object]]] = cluster.ask("cluster/member/list", at=pod.member)
    return {str(item["name"]) for item in answer["members"] if item.get("clientURLs")}
