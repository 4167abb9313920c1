"""One holder, whatever happens: real keepalived and haproxy, real kernels' addresses, sampled every 20 ms.

The rule in all cases: never two holders in any sample, not even while the network is divided; none for a
bounded time while the address moves; exactly one otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.virtual_ip import vrrp
from tests.chaos.virtual_ip.conftest import plan
from tests.chaos.virtual_ip.lab import SAMPLE_SECONDS, Lab, Node, longest_gap

SLACK_SECONDS = 1.5
"""For starting and scheduling the processes of three nodes on a busy machine; there is none for a second
holder. benchmarks/vip_failover.py measures."""


def moves(lab: Lab, disturb: Callable[[], object], *, from_: Node, within_seconds: float) -> Node:
    """The next holder after a disturbance of `from_`; all that holds for every move is asserted."""
    first = len(lab.samples)
    disturb()
    lab.wait_for_holder(within_seconds + 10, other_than=from_)
    lab.stay(1.0)
    successor = the_holder(lab)
    samples = lab.samples[first:]
    assert max(len(sample.holders) for sample in samples) == 1, lab.logs()
    assert longest_gap(samples) <= within_seconds + SLACK_SECONDS + SAMPLE_SECONDS, lab.logs()
    settled = [sample for sample in samples if sample.at >= samples[-1].at - 0.8]
    assert {sample.holders for sample in settled} == {(successor.member.name,)}
    return successor


def stays(lab: Lab, disturb: Callable[[], object], *, seconds: float) -> None:
    """Nothing happens to the address: the same single holder in every sample."""
    holder = lab.holder()
    assert holder is not None
    first = len(lab.samples)
    disturb()
    lab.stay(seconds)
    assert {sample.holders for sample in lab.samples[first:]} == {(holder.member.name,)}, lab.logs()


def crash_seconds(lab: Lab) -> float:
    return lab.plan.failover.crash_ms / 1000


def kill(lab: Lab, holder: Node) -> Node:
    """keepalived of the holder is killed; the next holder."""
    return moves(
        lab,
        lambda: holder.processes["keepalived"].send(signal.SIGKILL),
        from_=holder,
        within_seconds=crash_seconds(lab),
    )


def the_holder(lab: Lab) -> Node:
    holder = lab.holder()
    assert holder is not None
    return holder


def test_the_lab_leaves_nothing_behind(root: Path) -> None:
    with Lab(plan(), root, ("192.168.1.253:8000",)) as lab:
        lab.settle()
        networks = {Path(f"/run/netns/{node.namespace}").stat().st_ino for node in lab.nodes}
        assert _processes_in(networks)
    assert _processes_in(networks) == []
    assert not any(Path(f"/run/netns/{node.namespace}").exists() for node in lab.nodes)


def _processes_in(networks: set[int]) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            if link.stat().st_ino in networks:
                found.append(link.parts[2])
    return found


def test_the_samples_are_dense(steady: Lab) -> None:
    steady.stay(2)
    samples = steady.samples[-80:]
    apart = [later.at - earlier.at for earlier, later in itertools.pairwise(samples)]
    assert sum(apart) / len(apart) < 1.5 * SAMPLE_SECONDS
    assert {len(sample.holders) for sample in samples} == {1}


def test_f33_keepalived_killed(lab: Lab) -> None:
    dead = the_holder(lab)
    kill(lab, dead)
    # It comes back, although its predecessor could not clear up.
    dead.start_keepalived()
    lab.stay(2)
    assert "Entering BACKUP STATE" in dead.log("keepalived").rpartition("Starting Keepalived")[2]


def test_f33_keepalived_killed_while_its_guard_is_down(lab: Lab) -> None:
    """Both at once: the address stays until the container starts again, which removes it first."""
    dead = the_holder(lab)
    dead.processes["guard"].send(signal.SIGKILL)
    dead.processes["keepalived"].send(signal.SIGKILL)
    dead.start_keepalived()
    lab.wait_for_holder(10, other_than=dead) if lab.holder() is not dead else lab.stay(3)
    lab.stay(1)
    assert {len(sample.holders) for sample in lab.samples[-40:]} == {1}


def test_f33_vrrp_process_alone_killed(lab: Lab) -> None:
    holder = the_holder(lab)
    parent = holder.processes["keepalived"].pid
    first = len(lab.samples)
    (child, *_) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    lab.stay(3)
    assert max(len(sample.holders) for sample in lab.samples[first:]) == 1, lab.logs()
    assert {len(sample.holders) for sample in lab.samples[-40:]} == {1}, lab.logs()


def test_f34_graceful_stop(lab: Lab) -> None:
    leaving = the_holder(lab)
    moves(
        lab,
        lambda: leaving.processes["keepalived"].send(signal.SIGTERM),
        from_=leaving,
        within_seconds=lab.plan.failover.graceful_ms / 1000,
    )


def test_f35_proxy_killed(lab: Lab) -> None:
    holder = the_holder(lab)
    successor = moves(
        lab,
        lambda: holder.processes["haproxy"].send(signal.SIGKILL),
        from_=holder,
        within_seconds=crash_seconds(lab),
    )
    # It recovers, and does not take the address back.
    stays(lab, lambda: holder.start_container("haproxy"), seconds=2)
    assert the_holder(lab) is successor


def test_f35_proxy_hangs(lab: Lab) -> None:
    holder = the_holder(lab)
    proxy = holder.processes["haproxy"].pid
    (worker, *_) = _descendants(proxy, "haproxy")[-1:]
    moves(
        lab,
        lambda: os.kill(worker, signal.SIGSTOP),
        from_=holder,
        within_seconds=crash_seconds(lab),
    )
    os.kill(worker, signal.SIGCONT)


def test_f35_proxy_killed_while_the_monitor_is_down(lab: Lab) -> None:
    holder = the_holder(lab)

    def both() -> None:
        holder.processes["monitor"].send(signal.SIGKILL)
        holder.processes["haproxy"].send(signal.SIGKILL)

    moves(lab, both, from_=holder, within_seconds=crash_seconds(lab))


def test_f36_link_down(lab: Lab) -> None:
    holder = the_holder(lab)
    successor = moves(lab, lambda: lab.unplug(holder), from_=holder, within_seconds=crash_seconds(lab))
    stays(lab, lambda: lab.plug_in(holder), seconds=2)
    assert the_holder(lab) is successor


def test_f37_partition_then_heal(lab: Lab) -> None:
    holder = the_holder(lab)
    successor = moves(lab, lambda: lab.isolate(holder), from_=holder, within_seconds=crash_seconds(lab))
    stays(lab, lambda: lab.heal(holder), seconds=2.5)
    assert the_holder(lab) is successor


def test_f37_a_backup_cut_off_changes_nothing(steady: Lab) -> None:
    holder = the_holder(steady)
    other = next(node for node in steady.nodes if node is not holder)
    stays(steady, lambda: steady.isolate(other), seconds=2)
    stays(steady, lambda: steady.heal(other), seconds=2)


def test_f37_without_the_majority_check_each_side_has_a_holder_until_it_heals(
    lab_of: Callable[..., Lab],
) -> None:
    """What VRRP alone does, and why the check is there."""
    lab = lab_of(plan(quorum=False))
    holder = lab.settle()
    lab.isolate(holder)
    lab.stay(crash_seconds(lab) + 1)
    assert len(lab.samples[-1].holders) == 2
    lab.heal(holder)
    lab.stay(2)
    assert {len(sample.holders) for sample in lab.samples[-30:]} == {1}, lab.logs()


def test_two_virtual_ips_on_the_same_nodes_do_not_disturb_each_other(lab: Lab) -> None:
    """The API's own and the models': two keepalived in one network, each with its id, ports and rules."""
    other = lab.beside(
        plan(instance="VI_API", address="192.168.1.101/24", routerId=52, healthPort=8414, peerPort=8415)
    )
    try:
        other.settle()
        both = the_holder(lab)
        # All on one node, so that what happens to one could hit the other.
        while the_holder(other) is not other.nodes[lab.nodes.index(both)]:
            holder = the_holder(other)
            kill(other, holder)
            holder.start_keepalived()
        first = len(lab.samples)
        kill(other, the_holder(other))
        assert {sample.holders for sample in lab.samples[first:]} == {(both.member.name,)}
    finally:
        other.close()


def test_f38_recovered_node_does_not_preempt(lab: Lab) -> None:
    first = lab.nodes[0]
    assert first.member.priority == max(node.member.priority for node in lab.nodes)
    # On a busy machine another one may have been up before it.
    while (holder := the_holder(lab)) is not first:
        kill(lab, holder)
        holder.start_keepalived()
    kill(lab, first)
    stays(lab, first.start_keepalived, seconds=2.5)


@pytest.mark.parametrize("firewall", [True, False], ids=["firewall", "keepalived-alone"])
def test_f39_unknown_source_ignored(steady: Lab, firewall: bool) -> None:
    holder = the_holder(steady)
    before = holder.dropped_packets()
    if not firewall:
        holder.nft("delete", "table", "inet", f"virtual_ip_{steady.plan.settings.router_id}")
    stays(steady, lambda: _advertise(steady, holder, source=steady.stranger_address), seconds=1.5)
    if firewall:
        assert holder.dropped_packets() >= before + 10
    else:
        holder.load_firewall()


def test_f39_foreign_router_id_ignored(steady: Lab) -> None:
    holder = the_holder(steady)
    peer = steady.plan.peers(holder.member)[0]
    foreign = steady.plan.settings.router_id + 1
    stays(steady, lambda: _advertise(steady, holder, source=peer.address, router_id=foreign), seconds=1.5)


def test_f39_packets_that_crossed_a_router_are_dropped(steady: Lab) -> None:
    holder = the_holder(steady)
    peer = steady.plan.peers(holder.member)[0]
    before = holder.dropped_packets()
    stays(steady, lambda: _advertise(steady, holder, source=peer.address, ttl=254), seconds=1.5)
    assert holder.dropped_packets() >= before + 10


def test_f39_control_the_same_packet_from_a_peers_address_is_obeyed(steady: Lab) -> None:
    """The packets above are well-formed; and VRRP cannot tell a peer from who takes its address."""
    holder = the_holder(steady)
    peer = steady.plan.peers(holder.member)[0]
    _advertise(steady, holder, source=peer.address)
    assert any(not sample.holders for sample in steady.samples[-20:]), steady.logs()
    steady.wait_for_holder(10)
    steady.stay(1)


def _advertise(
    lab: Lab,
    target: Node,
    *,
    source: vrrp.IPv4Address,
    router_id: int | None = None,
    ttl: int = 255,
) -> None:
    """Ten advertisements of the highest priority in half a second."""
    settings = lab.plan.settings
    packet = vrrp.advertisement(
        source,
        target.member.address,
        lab.plan.address.ip,
        router_id=router_id or settings.router_id,
        priority=255,
        advert_ms=settings.advert_interval_ms,
        ttl=ttl,
    )
    for _ in range(10):
        vrrp.send(lab.stranger, packet, target.member.address)
        time.sleep(0.05)


def _descendants(pid: int, name: str) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().strip() == name:
            found.append(int(child))
        found += _descendants(int(child), name)
    return found
