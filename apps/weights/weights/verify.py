"""Verification of a directory against the pinned list."""

import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from weights.errors import Refused, Stopped
from weights.hashing import sha256_file
from weights.sums import Manifest
from weights.tree import regular_files, same_names


def processors() -> int:
    """Processors that this process may run on."""
    return max(1, len(os.sched_getaffinity(0)))


def mismatch(actual: str, pinned: str) -> str:
    """The reason given for a file with the wrong content."""
    return f"SHA-256 is {actual}, pinned is {pinned}"


def verify_tree(
    root: Path,
    manifest: Manifest,
    workers: int | None = None,
    hashed: Callable[[int], None] = lambda count: None,
) -> int:
    """Checks that `root` holds the pinned files with the pinned contents and nothing else.

    Args:
        root: directory of one version.
        manifest: what is pinned.
        workers: files hashed at once; the number of processors by default.
        hashed: told the number of bytes of every block that was hashed, from several threads.

    Returns:
        The size of all files in bytes.

    Raises:
        Refused: a file is missing, extra, a symbolic link or has another content. The first one seen is
            named.
    """
    found = regular_files(root)
    same_names(manifest.files, found)
    stop = Event()

    def count(block: int) -> None:
        if stop.is_set():
            raise Stopped
        hashed(block)

    def check(path: str) -> None:
        actual = sha256_file(root / path, path, count)
        if actual != manifest.files[path]:
            stop.set()
            raise Refused(path, mismatch(actual, manifest.files[path]))

    # The largest first: no worker is left alone with a large file at the end.
    order = sorted(found, key=lambda path: found[path].st_size, reverse=True)
    with being_read(root), ThreadPoolExecutor(workers or processors(), thread_name_prefix="verify") as pool:
        tasks = [pool.submit(check, path) for path in order]
        errors = [error for task in tasks if (error := task.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    return sum(status.st_size for status in found.values())


@contextmanager
def being_read(version: Path) -> Iterator[None]:
    """Holds a shared lock on a version's directory, which keeps a concurrent fetch from removing it as too
    old.

    A file system without locks (some read-only network mounts) is served without one.
    """
    descriptor = os.open(version, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
