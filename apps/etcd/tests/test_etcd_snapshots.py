"""A snapshot is used only if it is, byte for byte, the one that was taken."""

import hashlib
import stat
from pathlib import Path

import pytest
from fake_etcd import FakeCluster, FakeEtcd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcd_tools import snapshots
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials
from etcd_tools.snapshots import Restoration, listed, noted_sum, prune, restore, sums_file, take, verify

BODY = b"0123456789abcdef" * 64


def snapshot_bytes(body: bytes = BODY) -> bytes:
    return body + hashlib.sha256(body).digest()


def write(path: Path, content: bytes = b"") -> str:
    content = content or snapshot_bytes()
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    sums_file(path).write_text(f"{digest}  {path.name}\n")
    return digest


def program(path: Path, script: str) -> str:
    """A stand-in for a program of etcd's; arguments are appended to `<name>.arguments`."""
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {path}.arguments\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_genuine_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    digest = write(path)
    assert verify(path, digest) == snapshots.Snapshot(path, digest, len(BODY) + 32)
    assert verify(path, digest.upper()).sha256 == digest
    assert noted_sum(path) == digest


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(BODY) + 31), st.integers(1, 255))
def test_any_changed_byte_is_found(tmp_path: Path, position: int, change: int) -> None:
    content = bytearray(snapshot_bytes())
    content[position] ^= change
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(Refused, match="embedded SHA-256"):
        verify(path, None)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(BODY) + 31))
def test_any_cut_is_found(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(snapshot_bytes()[:length])
    with pytest.raises(Refused):
        verify(path, None)


def test_a_sum_that_was_made_to_match_is_found_by_the_one_noted_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    digest = write(path)
    path.write_bytes(snapshot_bytes(BODY.replace(b"0", b"1")))
    assert verify(path, None)
    with pytest.raises(Refused, match=f"expected is {digest}"):
        verify(path, digest)


def test_a_missing_snapshot_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"gone.db: cannot be read: .*volume"):
        verify(tmp_path / "gone.db", None)


@pytest.mark.parametrize("text", ["", "no digest", "12  a.db"])
def test_a_sum_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.db"
    sums_file(path).write_text(text)
    assert noted_sum(path) is None
    assert noted_sum(tmp_path / "b.db") is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 6), st.integers(1, 8))
def test_the_newest_are_kept(tmp_path_factory: pytest.TempPathFactory, count: int, keep: int) -> None:
    directory = tmp_path_factory.mktemp("snapshots")
    for number in range(count):
        write(directory / f"2026010{number}T000000Z-etcd-0.db")
    (directory / "20260109T000000Z-etcd-0.db").write_bytes(b"without a sum: not complete")
    before = listed(directory)
    gone = prune(directory, keep)
    assert gone == before[:-keep]
    assert listed(directory) == before[-keep:]


def save_script(source: Path, status: int = 0) -> str:
    return f'for last; do :; done\ncp {source} "$last"\necho progress >&2\nexit {status}'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(snapshot_bytes())
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.mkdir()
    return path


def test_a_snapshot_is_taken_of_a_follower_and_its_sum_noted(
    tmp_path: Path, volume: Path, source: Path, cluster: FakeCluster
) -> None:
    etcdctl = program(tmp_path / "etcdctl", save_script(source))
    taken = take(cluster, Credentials(tmp_path), volume, 2, etcdctl)
    assert taken.path.name.endswith("-etcd-1.db")
    assert noted_sum(taken.path) == taken.sha256
    assert verify(taken.path, taken.sha256)
    assert "--endpoints=https://etcd-1.peers:2379" in (tmp_path / "etcdctl.arguments").read_text()


def test_what_arrives_damaged_is_refused_and_older_ones_stay(
    tmp_path: Path, volume: Path, source: Path, cluster: FakeCluster
) -> None:
    write(volume / "20260101T000000Z-etcd-0.db")
    write(volume / "20260102T000000Z-etcd-0.db")
    source.write_bytes(snapshot_bytes()[:-1] + b"x")
    with pytest.raises(Refused, match="embedded SHA-256"):
        take(cluster, Credentials(tmp_path), volume, 2, program(tmp_path / "etcdctl", save_script(source)))
    assert len(listed(volume)) == 2


def test_a_failure_of_etcdctl_is_told_in_its_words(
    tmp_path: Path, volume: Path, source: Path, cluster: FakeCluster
) -> None:
    etcdctl = program(tmp_path / "etcdctl", "echo 'first'; echo 'Error: no luck' >&2; exit 3")
    with pytest.raises(Refused, match="etcdctl: status 3: Error: no luck"):
        take(cluster, Credentials(tmp_path), volume, 2, etcdctl)
    with pytest.raises(Refused, match="no such program"):
        take(cluster, Credentials(tmp_path), volume, 2, str(tmp_path / "absent"))


def test_a_full_volume_is_seen_before(
    tmp_path: Path, volume: Path, etcd: FakeEtcd, cluster: FakeCluster
) -> None:
    for member in etcd.members:
        member.size = 2**60
    with pytest.raises(Refused, match="enlarge the volume or keep fewer"):
        take(cluster, Credentials(tmp_path), volume, 2, "etcdctl")


def test_without_a_healthy_member_there_is_no_snapshot(
    tmp_path: Path, volume: Path, etcd: FakeEtcd, cluster: FakeCluster
) -> None:
    for member in etcd.members:
        member.healthy = False
    with pytest.raises(Refused, match="no healthy member"):
        take(cluster, Credentials(tmp_path), volume, 2, "etcdctl")


def restoration(tmp_path: Path, sha256: str) -> Restoration:
    return Restoration(
        tmp_path / "a.db", sha256, tmp_path / "data", "etcd-0", "https://a:2380", "etcd-0=https://a:2380", "t"
    )


def test_a_restore_jumps_ahead_in_revisions_and_appears_at_once(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.db")
    script = 'for a; do case $a in --data-dir=*) mkdir -p "${a#--data-dir=}/member";; esac; done'
    restore(restoration(tmp_path, digest), program(tmp_path / "etcdutl", script))
    assert (tmp_path / "data" / "member").is_dir()
    arguments = (tmp_path / "etcdutl.arguments").read_text().split("\n")
    assert {"--bump-revision=1000000000", "--mark-compacted", "--initial-cluster-token=t"} <= set(arguments)


def test_a_failed_restore_leaves_nothing_to_start_from(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.db")
    script = 'for a; do case $a in --data-dir=*) mkdir -p "${a#--data-dir=}/member";; esac; done; exit 1'
    with pytest.raises(Refused, match="etcdutl: status 1"):
        restore(restoration(tmp_path, digest), program(tmp_path / "etcdutl", script))
    assert not (tmp_path / "data").exists()
    ok = script.replace("exit 1", "exit 0")
    restore(restoration(tmp_path, digest), program(tmp_path / "etcdutl2", ok))
    assert (tmp_path / "data" / "member").is_dir()


def test_data_is_not_overwritten_and_a_wrong_sum_is_refused(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.db")
    with pytest.raises(Refused, match="SHA-256 is"):
        restore(restoration(tmp_path, "0" * 64), "never-run")
    (tmp_path / "data").mkdir()
    with pytest.raises(Refused, match="holds data already"):
        restore(restoration(tmp_path, digest), "never-run")
