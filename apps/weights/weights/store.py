"""The store: one volume, its published versions, and the staging area beside them.

    <store>/<name>/<digest>/…                      published: complete, verified, never written to
    <store>/.staging/<name>/<digest>/files/…       verified files of a version that is not complete
    <store>/.staging/<name>/<digest>/parts/…       files that have not completely arrived, or are not verified
    <store>/.staging/<name>/<digest>.lock          held while a fetch works on the version
    <store>/<name>/.removed-<digest>-…             on its way out: replaced, or too old

Publishing is one rename within the volume, so a version is there entirely or not at all.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weights.download import volume_failure
from weights.errors import Refused
from weights.progress import log, size
from weights.sources import RemoteFile
from weights.sums import Manifest
from weights.tree import directories, regular_files, same_names

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SPARE_BYTES = 16 * 1024 * 1024
"""Kept free beyond the files themselves, for directories and the file system's own bookkeeping."""
_REMOVED = ".removed-"
_FILE_MODE, _DIRECTORY_MODE = 0o444, 0o555


@dataclass(frozen=True)
class Retention:
    """Which published versions stay.

    Attributes:
        keep: newest versions that stay, at least 2: the new one, and the one that is served until it has
            rolled out.
        superseded_hours: a version stays so long after the next one was published, however many there are:
            while roll-outs of newer versions fail, an older one is being served.
        retain: digests that stay in any case.
    """

    keep: int = 2
    superseded_hours: float = 24.0
    retain: frozenset[str] = frozenset()


class Store:
    """The directory of all versions of one model.

    Raises:
        Refused: the name is no directory name, or the volume is missing or not writable.
    """

    def __init__(self, root: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise Refused(
                "arguments", "--name: expected letters, digits, `.`, `_`, `-`; at most 63 characters"
            )
        if not root.is_dir():
            raise Refused("store", f"no directory {root}; is the volume mounted there?")
        self.root, self.name = root, name
        self.versions = root / name
        self._staging = root / ".staging" / name
        try:
            self.versions.mkdir(exist_ok=True)
            self._staging.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(
                "store",
                f"cannot write to {root} as uid {os.getuid()}: {error.strerror}; set fsGroup on the pod",
            ) from None

    def published(self, digest: str) -> Path:
        """Where the version lies, or will."""
        return self.versions / digest

    def staging(self, digest: str) -> "Staging":
        """The version's staging area."""
        return Staging(self._staging / digest)

    @contextmanager
    def lock(self, digest: str, wait_seconds: float) -> Iterator[None]:
        """Keeps every other fetch away from the version; released by the kernel when the process dies.

        Raises:
            Refused: another fetch still held it after `wait_seconds`.
        """
        descriptor = self._open_lock(digest)
        try:
            deadline, told = time.monotonic() + wait_seconds, False
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise Refused("store", f"another fetch works on {self.name}/{digest}")
                if not told:
                    log(f"waiting up to {wait_seconds:.0f} s for another fetch of {self.name}/{digest}")
                    told = True
                time.sleep(min(0.2, wait_seconds))
            yield
        finally:
            os.close(descriptor)

    def publish(self, staging: "Staging", manifest: Manifest, sizes: dict[str, int]) -> Path:
        """Makes the staged version the published one: read-only, flushed to the disk, by one rename.

        A damaged version under the same digest is moved out of the way; pods that mount it keep what they
        have.

        Args:
            sizes: sizes in bytes of the files as they were when they were verified.

        Raises:
            Refused: what is staged is not exactly what was verified, or the volume fails.
        """
        found = regular_files(staging.files)
        same_names(manifest.files, found)
        for path, status in found.items():
            if status.st_size != sizes[path]:
                raise Refused(path, "changed after it was verified")
        target = self.published(manifest.digest)
        try:
            for directory in directories(staging.files):
                os.chmod(directory, _DIRECTORY_MODE)
                _flush_directory(directory)
            # A directory that moves to another parent is written to (`..`).
            os.chmod(staging.files, 0o755)
            os.utime(staging.files)
            if os.path.lexists(target):
                self._set_aside(target)
            staging.files.rename(target)
            os.chmod(target, _DIRECTORY_MODE)
            _flush_directory(target)
            _flush_directory(self.versions)
        except OSError as error:
            raise volume_failure(f"{self.name}/{manifest.digest}", error) from None
        staging.clear()
        self.sweep()
        return target

    def touch(self, digest: str) -> None:
        """Makes a version that is published already the newest one (a roll-back wants an older version
        again).
        """
        with contextlib.suppress(OSError):
            os.utime(self.published(digest))

    def require_space(self, needed_bytes: int) -> None:
        """Refuses a download that the volume has no room for.

        Raises:
            Refused: naming what is needed and what is free.
        """
        free = shutil.disk_usage(self.root).free
        if needed_bytes and free < needed_bytes + _SPARE_BYTES:
            raise Refused(
                "store",
                f"{size(needed_bytes)} to fetch, {size(free)} free on the volume at {self.root}; enlarge it",
            )

    def prune(self, retention: Retention, expected: int = 0) -> None:
        """Removes versions and abandoned downloads that the retention lets go. Failures are logged, not
        raised.

        Args:
            expected: number of versions about to be published, which count as the newest ones.
        """
        try:
            self._prune(retention, expected)
        except OSError as error:
            log(f"could not remove old versions of {self.name}: {error.strerror}")

    def _prune(self, retention: Retention, expected: int) -> None:
        age = [
            (entry.stat().st_mtime, entry)
            for entry in self.versions.iterdir()
            if _DIGEST.fullmatch(entry.name) and _holds_files(entry)
        ]
        age.sort(reverse=True, key=lambda pair: pair[0])
        oldest_kept = time.time() - retention.superseded_hours * 3600
        for position, (_, version) in enumerate(age):
            superseded = age[position - 1][0] if position else time.time()
            among_newest = position + expected < retention.keep
            if among_newest or superseded > oldest_kept or version.name in retention.retain:
                continue
            self._remove_version(version)
        for entry in self._staging.iterdir():
            if _DIGEST.fullmatch(entry.name) and entry.stat().st_mtime < oldest_kept:
                self._remove_abandoned(entry)

    def _remove_version(self, version: Path) -> None:
        descriptor = os.open(version, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _try_lock(descriptor):
                return  # being verified for a pod that is about to serve it
            removed = self._set_aside(version)  # nobody ever sees half of a version
        finally:
            os.close(descriptor)
        remove(removed)
        log(f"removed the old version {self.name}/{version.name}")

    def _set_aside(self, version: Path) -> Path:
        """Renames a version out of the way, within its parent so that it may belong to somebody else: when a
        pod mounts a missing version, the kubelet creates an empty directory as root.
        """
        removed = self.versions / f"{_REMOVED}{version.name}-{time.time_ns()}"
        version.rename(removed)
        return removed

    def sweep(self) -> None:
        """Removes what was set aside, also by a process that died before it could."""
        for leftover in self.versions.glob(f"{_REMOVED}*"):
            with contextlib.suppress(OSError):
                remove(leftover)

    def _remove_abandoned(self, staging: Path) -> None:
        descriptor = self._open_lock(staging.name)
        try:
            if _try_lock(descriptor):
                remove(staging)
                log(f"removed the abandoned download of {self.name}/{staging.name}")
        finally:
            os.close(descriptor)

    def _open_lock(self, digest: str) -> int:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(self._staging / f"{digest}.lock", flags, 0o644)
        except OSError as error:
            raise volume_failure(f"{self.name}/{digest}.lock", error) from None


class Staging:
    """The staging area of one version."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.files = root / "files"
        self._parts = root / "parts"

    def prepare(self, manifest: Manifest) -> None:
        """Creates the directories, and removes what does not belong there so that the next attempt starts
        clean.

        Raises:
            Refused: a symbolic link, a special file or a file that is not pinned was there.
        """
        try:
            for directory in (self._root, self.files, self._parts):
                if directory.is_symlink():
                    directory.unlink()
                    raise Refused(directory.name, "is a symbolic link in the staging area")
            # A publication that was interrupted had made them read-only.
            for directory in directories(self.files):
                os.chmod(directory, 0o755)
            for path in manifest.files:
                (self.files / path).parent.mkdir(parents=True, exist_ok=True)
            self._parts.mkdir(parents=True, exist_ok=True)
            os.utime(self._root)
        except (NotADirectoryError, FileExistsError):
            remove(self.files)
            raise Refused("store", "a file was staged where a directory is pinned; removed") from None
        except OSError as error:
            raise volume_failure("the staging area", error) from None
        try:
            found = regular_files(self.files)
            same_names(manifest.files, {**dict.fromkeys(manifest.files), **found})
            regular_files(self._parts)
        except Refused as refusal:
            for base in (self.files, self._parts):
                with contextlib.suppress(FileNotFoundError):
                    (base / refusal.subject).unlink()
            raise Refused(refusal.subject, f"{refusal.reason} (in the staging area; removed)") from None

    def part(self, remote: RemoteFile) -> Path:
        """Where `remote` arrives. Another content at the source has another part file."""
        key = f"{remote.path}\n{remote.size_bytes}\n{remote.validator}"
        return self._parts / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.part"

    def accept(self, part: Path, path: str) -> int:
        """Moves a verified part to its place, flushed to the disk and read-only. Returns its size in
        bytes.
        """
        try:
            descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fchmod(descriptor, _FILE_MODE)
                os.fsync(descriptor)
                count = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            part.rename(self.files / path)
            return count
        except OSError as error:
            raise volume_failure(path, error) from None

    def size(self) -> int:
        """Bytes that have arrived, over all files. Safe while they are moved about."""
        total = 0
        for base, _, names in os.walk(self._root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(base, name)).st_size
        return total

    def clear(self) -> None:
        """Removes the staging area."""
        with contextlib.suppress(OSError):
            remove(self._root)


def remove(tree: Path) -> None:
    """Removes a directory tree, read-only directories included."""
    if not os.path.lexists(tree):
        return
    with contextlib.suppress(OSError):
        tree.rmdir()  # an empty one may belong to somebody else
        return
    for directory in directories(tree):
        os.chmod(directory, 0o755)
    shutil.rmtree(tree)


def needed(manifest: Manifest, files: dict[str, RemoteFile]) -> int | None:
    """Size in bytes of all pinned files together, or None when the source does not tell all of them."""
    sizes = [files[path].size_bytes for path in manifest.files]
    return None if None in sizes else sum(count for count in sizes if count is not None)


def is_digest(text: str) -> bool:
    """Whether `text` can name a version."""
    return _DIGEST.fullmatch(text) is not None


def digests(texts: Collection[str]) -> frozenset[str]:
    """`texts` as digests.

    Raises:
        Refused: one is none.
    """
    for text in texts:
        if not is_digest(text):
            raise Refused("arguments", f"--retain: expected 64 lowercase hexadecimal digits, found {text!r}")
    return frozenset(texts)


def _holds_files(version: Path) -> bool:
    """Whether it is a version, not the empty directory that a pod's mount of a missing one makes."""
    if version.is_symlink() or not version.is_dir() or not os.access(version, os.R_OK | os.X_OK):
        return False
    return any(version.iterdir())


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise Refused("store", f"the volume cannot lock files: {error.strerror}") from None
    return True


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
