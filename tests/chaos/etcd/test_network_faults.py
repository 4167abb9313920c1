"""Lost, frozen and separated members: a quorum goes on, everybody else refuses, nothing acknowledged is
lost."""

from __future__ import annotations

import signal
import time

import pytest

from etcd_tools.errors import Refused
from tests.chaos.etcd.clusters import EtcdMember, EtcdUnderTest

_FAILOVER_SECONDS = 10.0
"""Ample for an election timeout of 1 s, at most doubled at random, on a busy machine."""


def refuses_writes(cluster: EtcdUnderTest, member: EtcdMember, key: str) -> None:
    """A write there is not acknowledged."""
    with pytest.raises(Refused):
        cluster.put(key, "must not be", at=member, timeout=2.0)


def test_f21_a_killed_leader_is_succeeded_and_nothing_is_lost(cluster: EtcdUnderTest) -> None:
    with cluster.writer("f21") as writer:
        for _ in range(2):
            writer.wait_for(50, _FAILOVER_SECONDS)
            leader = cluster.leader()
            leader.kill()
            writer.wait_for(50, _FAILOVER_SECONDS)
            assert cluster.leader() is not leader
            cluster.heal()
    cluster.assert_nothing_lost(writer)


def test_f22_a_frozen_leader_is_succeeded_and_steps_down_when_it_wakes(cluster: EtcdUnderTest) -> None:
    leader = cluster.leader()
    others = tuple(m.endpoint for m in cluster.members if m is not leader)
    with cluster.writer("f22") as writer:
        writer.wait_for(50, _FAILOVER_SECONDS)
        leader.signal(signal.SIGSTOP)
        writer.wait_for(50, _FAILOVER_SECONDS)
        assert cluster.client.run(cluster.admin(*others, timeout=1.0).health).leader is not None
        leader.signal(signal.SIGCONT)
        cluster.wait_healthy()
        assert cluster.leader() is not leader
        writer.wait_for(50, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer)


def test_f23_a_separated_leader_refuses_and_the_majority_goes_on(cluster: EtcdUnderTest) -> None:
    leader, followers = cluster.leader(), cluster.followers()
    with (
        cluster.writer("f23") as writer,
        cluster.writer("f23-minority", endpoints=(leader.endpoint,)) as lonely,
    ):
        writer.wait_for(50, _FAILOVER_SECONDS)
        lonely.wait_for(1, _FAILOVER_SECONDS)
        cluster.net.set(cluster.links([leader], followers) + cluster.links(followers, [leader]))
        writer.wait_for(100, _FAILOVER_SECONDS)
        refuses_writes(cluster, leader, "/chaos-refused/f23")
        # Only what had a quorum before the separation may have been acknowledged there.
        before = lonely.count()
        time.sleep(1.0)
        assert lonely.count() == before
        cluster.net.set()
        cluster.wait_healthy()
        lonely.wait_for(1, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer, lonely)
    for member in cluster.members:
        assert cluster.keys(member, "/chaos-refused/") == {}, "a refused write took place after all"


@pytest.mark.parametrize("direction", ["from the leader", "to the leader"])
def test_f24_one_direction_lost(cluster: EtcdUnderTest, direction: str) -> None:
    leader, followers = cluster.leader(), cluster.followers()
    with cluster.writer(f"f24-{direction.split()[0]}") as writer:
        writer.wait_for(50, _FAILOVER_SECONDS)
        outward = direction == "from the leader"
        cluster.net.set(cluster.links([leader], followers) if outward else cluster.links(followers, [leader]))
        # Whichever way is lost, the leader hears no answers: the others elect one, and it steps down.
        writer.wait_for(100, _FAILOVER_SECONDS)
        refuses_writes(cluster, leader, "/chaos-refused/f24")
        cluster.net.set()
        cluster.wait_healthy()
        writer.wait_for(20, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer)


def test_f24_one_follower_hears_nobody_and_does_not_disturb(cluster: EtcdUnderTest) -> None:
    leader, deaf = cluster.leader(), cluster.followers()[0]
    others = [member for member in cluster.members if member is not deaf]
    with cluster.writer("f24-deaf", endpoints=tuple(m.endpoint for m in others)) as writer:
        cluster.net.set(cluster.links(others, [deaf]))
        time.sleep(3.0)
        # Pre-vote: whoever would not win does not force an election.
        assert cluster.client.run(cluster.admin(leader.endpoint).status, leader.endpoint).healthy
        assert cluster.leader() is leader
        cluster.net.set()
        cluster.wait_healthy()
        assert cluster.leader() is leader
        writer.wait_for(20, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer)


def test_f25_delay_and_loss_slow_writes_down_and_lose_none(cluster: EtcdUnderTest) -> None:
    with cluster.writer("f25", attempt_seconds=3.0) as writer:
        writer.wait_for(20, _FAILOVER_SECONDS)
        cluster.net.set(delay=0.02, jitter=0.01, loss=0.05)
        writer.wait_for(30, 40.0)
        cluster.net.set()
        cluster.wait_healthy()
        writer.wait_for(20, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer)


def test_f26_without_quorum_writes_are_refused_until_members_are_back(cluster: EtcdUnderTest) -> None:
    leader = cluster.leader()
    lost, left = [leader, cluster.followers()[0]], cluster.followers()[1]
    with cluster.writer("f26") as writer:
        writer.wait_for(50, _FAILOVER_SECONDS)
        for member in lost:
            member.kill()
        refuses_writes(cluster, left, "/chaos-refused/f26")
        before = writer.count()
        time.sleep(2.0)
        assert writer.count() == before
        cluster.heal()
        writer.wait_for(50, _FAILOVER_SECONDS)
    cluster.assert_nothing_lost(writer)
