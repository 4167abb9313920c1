"""Snapshots: taken by etcdctl, checked twice, kept as files beside their checksums.

etcd appends the SHA-256 of the database to a snapshot; that tells damage, but whoever alters the database can
alter the appended sum with it. The sum of the whole file, noted elsewhere when it is taken, tells that too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from etcd_tools.cluster import Cluster
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials

_SUM_BYTES = 32
_SECTOR_BYTES = 512
"""A database is a whole number of sectors; what is appended shows in the rest (etcdutl/snapshot)."""
_BLOCK = 1024 * 1024
_PARTIAL = ".partial"
_SAVE_SECONDS = 1500


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that has been checked."""

    path: Path
    sha256: str
    """Of the whole file."""
    size: int


def _digests(path: Path) -> tuple[str, str, bytes, int]:
    """SHA-256 of the file, SHA-256 of the database in it, what is appended, and the file's size."""
    size = path.stat().st_size
    body = size - _SUM_BYTES
    whole, database = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        remaining = body
        while remaining > 0 and (block := file.read(min(_BLOCK, remaining))):
            whole.update(block)
            database.update(block)
            remaining -= len(block)
        appended = file.read()
        whole.update(appended)
    return whole.hexdigest(), database.hexdigest(), appended, size


def verify(path: Path, expected: str | None) -> Snapshot:
    """Check the embedded sum, and the sum of the whole file where it is expected to be `expected`.

    :raises Refused: the file is not what was taken.
    """
    try:
        whole, database, appended, size = _digests(path)
    except OSError as error:
        raise Refused(
            path.name, f"cannot be read: {error.strerror}; is the volume with the snapshots mounted?"
        ) from error
    if size % _SECTOR_BYTES != _SUM_BYTES or size <= _SUM_BYTES:
        raise Refused(path.name, f"{size} bytes: not a complete snapshot; use another one")
    if bytes.fromhex(database) != appended:
        raise Refused(
            path.name,
            "its content is not what its embedded SHA-256 says: damaged or altered; use another one",
        )
    if expected is not None and whole != expected.lower():
        raise Refused(
            path.name, f"SHA-256 is {whole}, expected is {expected}: damaged or altered; use another one"
        )
    return Snapshot(path, whole, size)


def noted_sum(path: Path) -> str | None:
    """The sum that was noted beside a snapshot when it was taken."""
    try:
        words = sums_file(path).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0] if words and len(words[0]) == 2 * _SUM_BYTES else None


def sums_file(path: Path) -> Path:
    """File beside a snapshot with its sum, in the format of `sha256sum`."""
    return path.with_name(f"{path.name}.sha256")


def listed(directory: Path) -> list[Path]:
    """Complete snapshots, the oldest first: their names begin with the time."""
    return sorted(path for path in directory.glob("*.db") if sums_file(path).exists())


def prune(directory: Path, keep: int) -> list[Path]:
    """Remove all but the newest `keep` snapshots, and what an interrupted run has left; returns what went."""
    gone = listed(directory)[:-keep] if keep > 0 else []
    for path in gone:
        path.unlink(missing_ok=True)
        sums_file(path).unlink(missing_ok=True)
    for path in directory.glob(f"*{_PARTIAL}*"):
        path.unlink(missing_ok=True)
    return gone


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    lock = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Refused(str(directory), "another snapshot is being taken; wait for it") from error
    else:
        yield
    finally:
        os.close(lock)


def take(
    cluster: Cluster, credentials: Credentials, directory: Path, keep: int, etcdctl: str = "etcdctl"
) -> Snapshot:
    """Take one from a follower if there is one, check it, note its sum, remove old ones.

    :raises Refused: it could not be taken, or what arrived is not what was sent; older ones are then all
    kept.
    """
    health = cluster.health()
    leader = health.leader
    healthy = [member for member in health.voters if health.healthy(member)]
    if not healthy:
        raise Refused("cluster", "no healthy member to take a snapshot of")
    # Reading the whole database costs the leader more than anybody else.
    source = sorted(healthy, key=lambda member: (leader is not None and member.id == leader.id, member.name))[
        0
    ]
    endpoint = health.statuses[source.id].endpoint
    with _only_one(directory):
        for left in directory.glob(f"*{_PARTIAL}*"):
            left.unlink(missing_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        target = directory / f"{stamp}-{source.label}.db"
        partial = directory / f"{target.name}{_PARTIAL}"
        _check_space(directory, health.statuses[source.id].size)
        _run(
            [
                etcdctl,
                f"--endpoints={endpoint}",
                f"--cacert={credentials.authority}",
                f"--cert={credentials.certificate}",
                f"--key={credentials.key}",
                "snapshot",
                "save",
                str(partial),
            ]
        )
        snapshot = verify(partial, None)
        _publish(snapshot, target)
        prune(directory, keep)
    return Snapshot(target, snapshot.sha256, snapshot.size)


def _check_space(directory: Path, needed: int) -> None:
    stat = os.statvfs(directory)
    free = stat.f_bavail * stat.f_frsize
    if free < needed + _BLOCK:
        raise Refused(
            str(directory), f"{free} bytes free, a snapshot needs {needed}; enlarge the volume or keep fewer"
        )


def _publish(snapshot: Snapshot, target: Path) -> None:
    """Flush, then give the file its name after its sum is there: a name without sum does not count."""
    sums = sums_file(target)
    sums.write_text(f"{snapshot.sha256}  {target.name}\n", encoding="ascii")
    for path in (snapshot.path, sums):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    snapshot.path.rename(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SAVE_SECONDS, check=False)
    except FileNotFoundError as error:
        raise Refused(command[0], "no such program; it belongs to the image") from error
    except subprocess.TimeoutExpired as error:
        raise Refused(command[0], f"not done within {_SAVE_SECONDS} s") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Refused(Path(command[0]).name, f"status {done.returncode}: {reason[:500]}")


@dataclass(frozen=True)
class Restoration:
    """A member that is to start from a snapshot."""

    snapshot: Path
    sha256: str
    data: Path
    """The member's data directory; must not exist."""
    name: str
    peer_url: str
    initial_cluster: str
    """`name=peer URL` of all members of the new cluster, separated by commas."""
    token: str


REVISION_BUMP = 1_000_000_000
"""Revisions after a restore are larger than any that a client can have seen before (etcd.io, disaster
recovery)."""


def restore(wanted: Restoration, etcdutl: str = "etcdutl") -> Snapshot:
    """Make a data directory from a snapshot that has been verified.

    Revisions jump far ahead and the history is marked as compacted, so that no watcher or cache takes the
    restored keys for the ones it has seen.

    :raises Refused: the snapshot is not what was taken, or there is data already.
    """
    if wanted.data.exists():
        raise Refused(str(wanted.data), "holds data already; move it away before restoring")
    snapshot = verify(wanted.snapshot, wanted.sha256)
    partial = wanted.data.with_name(f"{wanted.data.name}{_PARTIAL}")
    _remove_tree(partial)
    _run(
        [
            etcdutl,
            "snapshot",
            "restore",
            str(wanted.snapshot),
            f"--data-dir={partial}",
            f"--name={wanted.name}",
            f"--initial-advertise-peer-urls={wanted.peer_url}",
            f"--initial-cluster={wanted.initial_cluster}",
            f"--initial-cluster-token={wanted.token}",
            f"--bump-revision={REVISION_BUMP}",
            "--mark-compacted",
        ]
    )
    # An interrupted restore leaves no directory that a member would start from.
    partial.rename(wanted.data)
    return snapshot


def _remove_tree(path: Path) -> None:
    if not path.exists():
        return
    for item in sorted(path.rglob("*"), reverse=True):
        item.rmdir() if item.is_dir() else item.unlink()
    path.rmdir()
