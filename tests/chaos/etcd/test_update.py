"""F32: an update of the members halts at the first one that does not come back."""

from __future__ import annotations

import pytest

from etcd_tools import maintenance
from etcd_tools.cluster import disturbance_order
from etcd_tools.errors import Refused
from tests.chaos.etcd.clusters import EtcdMember, EtcdUnderTest
from tests.chaos.etcd.conftest import Factory

_SECONDS = 15.0


def update(cluster: EtcdUnderTest, restarted: list[EtcdMember], wait_seconds: float) -> None:
    """The loop of docs/etcd.md: order, may-restart, the pod, wait."""
    admin = cluster.admin(timeout=1.0)
    for item in disturbance_order(cluster.client.run(admin.health)):
        maintenance.may_restart(cluster.client.run(admin.health), item.name)
        member = next(member for member in cluster.members if member.name == item.name)
        member.kill()
        member.prepare()
        member.start()
        restarted.append(member)
        cluster.client.run(maintenance.wait_healthy, admin, wait_seconds)


def test_f32_a_sound_cluster_is_updated_without_losing_writes(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster()
    cluster.start()
    leader = cluster.leader()
    restarted: list[EtcdMember] = []
    with cluster.writer("f32") as writer:
        writer.wait_for(20, _SECONDS)
        update(cluster, restarted, _SECONDS)
        writer.wait_for(20, _SECONDS)
    assert len(restarted) == 3
    assert restarted[-1] is leader
    cluster.assert_nothing_lost(writer)


def test_f32_an_update_halts_at_a_member_that_does_not_come_back(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster()
    cluster.start()
    ill = cluster.followers()[0]
    others = [member for member in cluster.members if member is not ill]
    pids = [member.process.pid for member in others if member.process is not None]
    with cluster.writer("f32-ill") as writer:
        writer.wait_for(20, _SECONDS)
        ill.kill()
        ill.database.write_bytes(b"not a database")
        restarted: list[EtcdMember] = []
        with pytest.raises(Refused, match="all members healthy: not within"):
            update(cluster, restarted, 3.0)
        assert restarted == [ill]
        # Nobody else was touched, and nobody else may be.
        assert pids == [m.process.pid for m in others if m.process is not None and m.process.poll() is None]
        for member in others:
            with pytest.raises(Refused, match=f"{member.name}: must wait, because"):
                maintenance.may_restart(cluster.client.run(cluster.admin(timeout=1.0).health), member.name)
        writer.wait_for(20, _SECONDS)
    ill.kill()
    assert writer.count() > 0
