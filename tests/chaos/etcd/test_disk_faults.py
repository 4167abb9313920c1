"""Full disks, full databases, damaged files, lost volumes."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import threading
from pathlib import Path

import pytest

from components.common.quantities import MIB
from etcd_tools import maintenance, snapshots
from etcd_tools.cluster import Member
from etcd_tools.decision import Start
from etcd_tools.errors import ApiError, Refused
from tests.chaos.etcd.clusters import EtcdMember, EtcdUnderTest
from tests.chaos.etcd.conftest import Factory

_SECONDS = 15.0


def quiet(text: str) -> None:
    """Progress that nobody reads."""


def test_f27_a_member_whose_disk_is_full_is_out_and_comes_back(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster()
    # Two files of the write-ahead log are allocated ahead, 64 MB each; the third one does not fit.
    small, size = cluster.members[0], 150 * MIB
    small.host.mount_tmpfs(small.data.parent, size)
    cluster.start()
    ballast = small.data.parent / "ballast"

    def fill() -> None:
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * MIB)
                    file.flush()
            except OSError:
                return

    with cluster.writer("f27") as writer:
        writer.wait_for(50, _SECONDS)
        small.host.run(fill)
        # The database cannot grow any more, so sooner or later the member ends; the others go on.
        value, number = "x" * 60_000, 0
        others = [member for member in cluster.members if member is not small]
        while small.process is not None and small.process.poll() is None:
            # While the member that ends is the leader, a write can get lost with it.
            with contextlib.suppress(Refused):
                cluster.put(f"/ballast/{number}", value, at=others[number % 2], timeout=10)
            number += 1
            assert number < 3000, "the member lives on without a disk"
        assert small.ended(5) != 0
        writer.wait_for(50, _SECONDS)
        small.host.run(ballast.unlink)
        small.start()
        cluster.wait_healthy()
        writer.wait_for(50, _SECONDS)
    cluster.assert_nothing_lost(writer)


def test_f28_a_full_database_refuses_writes_until_space_is_recovered(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster({"backendQuota": "16Mi"})
    cluster.start()
    cluster.put("/chaos/f28", "kept")
    value = "x" * 500_000
    with pytest.raises(ApiError, match="database space exceeded"):
        overwrite(cluster, value, 200)
    admin = cluster.admin(timeout=10)
    assert {kind for kinds in cluster.client.run(maintenance.alarms, admin).values() for kind in kinds} == {
        "NOSPACE"
    }
    # A full database is no reason to restart a member: both probes stay good.
    for member in cluster.members:
        assert probe(member, "/livez") == 200
        assert probe(member, "/readyz") == 200
    cluster.client.run(maintenance.recover_space, admin, quiet)
    assert cluster.client.run(maintenance.alarms, admin) == {}
    cluster.put("/chaos/f28-after", "written")
    cluster.assert_equal_hashes()
    for member in cluster.members:
        assert cluster.keys(member) == {"/chaos/f28": "kept", "/chaos/f28-after": "written"}
    assert all(status.size < 8 * MIB for status in cluster.health().statuses.values())


def overwrite(cluster: EtcdUnderTest, value: str, times: int) -> None:
    """Fill the history of one key."""
    for _ in range(times):
        cluster.put("/overwritten", value)


def probe(member: EtcdMember, path: str) -> int:
    """Status of a health endpoint, as the kubelet of its host sees it."""

    def get() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", 2381, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status

    return member.host.run(get)


def test_f28_defragmentation_is_refused_while_a_member_is_away(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster()
    cluster.start()
    away = cluster.followers()[0]
    away.kill()
    with pytest.raises(Refused, match=f"{away.name}: not healthy"):
        cluster.client.run(maintenance.defragment, cluster.admin(timeout=1), 1, quiet)


def damage_pages(path: Path) -> None:
    """Overwrite much of a database's content, its first pages apart: etcd opens it and finds other data."""
    chance = random.Random(29)
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for offset in range(4 * 4096, size, 4096):
            file.seek(offset)
            file.write(chance.randbytes(4096))


def test_f29_a_member_with_a_damaged_database_refuses_to_start_and_is_replaced(
    fresh_cluster: Factory,
) -> None:
    cluster = fresh_cluster()
    cluster.start()
    with cluster.writer("f29") as writer:
        writer.wait_for(200, _SECONDS)
        victim = cluster.followers()[0]
        victim.kill()
        damage_pages(victim.database)
        victim.prepare()
        victim.start()
        assert victim.ended(_SECONDS) != 0
        writer.wait_for(50, _SECONDS)

        # The runbook: volume away, then replace; the new member joins without a vote and gets it when it is
        # up to date.
        victim.wipe()
        replaced = replace(cluster, victim)
        assert not replaced.learner
        cluster.wait_healthy()
        writer.wait_for(50, _SECONDS)
    cluster.assert_nothing_lost(writer)


def replace(cluster: EtcdUnderTest, victim: EtcdMember) -> Member:
    """`etcd_tools replace`, while the member's pod waits for its place."""
    result: list[Member] = []
    admin = cluster.admin(timeout=3)
    # On the client's host, beside whatever else goes on there.
    worker = threading.Thread(
        target=lambda: result.append(maintenance.replace(admin, victim.name, quiet, seconds=30))
    )
    cluster.client.run(worker.start)
    assert victim.prepare() is Start.JOIN
    victim.start()
    worker.join(timeout=60)
    assert result, "not replaced"
    return result[0]


def test_f29_data_that_differs_from_the_others_is_found_at_start(fresh_cluster: Factory) -> None:
    cluster = fresh_cluster()
    cluster.start()
    for number in range(20):
        cluster.put(f"/chaos/f29/{number:02}", "the same everywhere")
    victim = cluster.followers()[0]
    # Defragmented, the database holds each value once, and on disk.
    cluster.ask("maintenance/defragment", at=victim, timeout=10)
    victim.kill()
    content = victim.database.read_bytes()
    assert b"the same everywhere" in content
    victim.database.write_bytes(content.replace(b"the same everywhere", b"the same nowhere.. "))
    victim.prepare()
    victim.start()
    assert victim.ended(_SECONDS) != 0
    assert victim.logged("data inconsistent") or victim.logged("corrupt")


def test_f30_after_a_total_loss_everything_up_to_the_snapshot_is_back(
    fresh_cluster: Factory, tmp_path: Path
) -> None:
    cluster = fresh_cluster()
    cluster.start()
    directory = tmp_path / "snapshots"
    directory.mkdir()
    etcdctl = str(cluster.binaries.etcdctl)
    with cluster.writer("f30") as writer:
        writer.wait_for(300, _SECONDS)
        covered = list(writer.acknowledged)
        taken = cluster.client.run(
            snapshots.take, cluster.admin(), cluster.credentials, directory, 2, etcdctl
        )
        writer.wait_for(20, _SECONDS)
    revision = int(cluster.ask("maintenance/status", at=cluster.members[0])["header"]["revision"])
    for member in cluster.members:
        member.kill()
        member.wipe()

    assert cluster.start(taken.path, taken.sha256) == [Start.NEW] * 3
    cluster.assert_nothing_lost(covered)
    with cluster.writer("f30-after") as after:
        after.wait_for(50, _SECONDS)
    cluster.assert_nothing_lost(covered, after)
    # No watcher can take restored keys for what it has seen: revisions never repeat.
    now = int(cluster.ask("maintenance/status", at=cluster.members[0])["header"]["revision"])
    assert now > revision + snapshots.REVISION_BUMP - 1000

    # Restarted, members go on with their data and do not restore again.
    member = cluster.followers()[0]
    member.kill()
    assert member.prepare(taken.path, taken.sha256) is Start.DATA
    member.start()
    cluster.wait_healthy()
    cluster.assert_nothing_lost(after)


def test_f30_a_tampered_snapshot_is_refused(fresh_cluster: Factory, tmp_path: Path) -> None:
    cluster = fresh_cluster()
    cluster.start()
    cluster.put("/chaos/f30", "genuine")
    directory = tmp_path / "snapshots"
    directory.mkdir()
    taken = cluster.client.run(
        snapshots.take, cluster.admin(), cluster.credentials, directory, 2, str(cluster.binaries.etcdctl)
    )
    genuine = taken.path.read_bytes()
    altered = genuine.replace(b"genuine", b"altered")
    assert altered != genuine
    member = cluster.members[0]
    for other in cluster.members:
        other.kill()
        other.wipe()

    taken.path.write_bytes(altered)
    with pytest.raises(Refused, match="embedded SHA-256"):
        member.prepare(taken.path, taken.sha256)
    # Whoever alters the database can alter the sum that is embedded in it, but not the one that was noted
    # elsewhere.
    taken.path.write_bytes(altered[:-32] + hashlib.sha256(altered[:-32]).digest())
    assert snapshots.verify(taken.path, None).sha256 != taken.sha256
    with pytest.raises(Refused, match="SHA-256 is"):
        member.prepare(taken.path, taken.sha256)
    taken.path.write_bytes(genuine[: len(genuine) // 2])
    with pytest.raises(Refused, match=r"not a complete snapshot|embedded SHA-256"):
        member.prepare(taken.path, taken.sha256)
    assert not member.data.exists(), "a refused snapshot left something that a member would start from"

    taken.path.write_bytes(genuine)
    assert cluster.start(taken.path, taken.sha256) == [Start.NEW] * 3
