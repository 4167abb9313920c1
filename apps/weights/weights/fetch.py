"""Fetching one version of a model: from a source, through staging, to a published directory."""

import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

from weights.download import Backoff, download
from weights.errors import Refused, Stopped, Transient
from weights.hashing import sha256_file
from weights.progress import Counter, Progress, log, size
from weights.sources import Inventory, RemoteFile, Source, SourceSettings, open_source
from weights.store import Retention, Staging, Store, needed
from weights.sums import IGNORED_AT_SOURCE, Manifest
from weights.tree import same_names
from weights.verify import mismatch, verify_tree

DEFAULT_RETENTION = Retention()
DEFAULT_BACKOFF = Backoff()


def fetch(
    settings: SourceSettings,
    manifest: Manifest,
    store: Store,
    workers: int = 4,
    retention: Retention = DEFAULT_RETENTION,
    lock_wait_seconds: float = 60.0,
    backoff: Backoff = DEFAULT_BACKOFF,
) -> Path:
    """Makes the pinned version available in the store, and returns its directory.

    A version that is there already is verified again, and fetched anew only if it is damaged. Whatever fails,
    published versions stay as they are, and what has arrived is kept for the next attempt.

    Args:
        settings: the source.
        manifest: the pinned files.
        store: where to.
        workers: files that are downloaded at once.
        retention: which older versions stay afterwards.
        lock_wait_seconds: how long to wait for another fetch of the same version.
        backoff: how broken downloads are tried again.

    Raises:
        Refused: the version is not published; the reason says why.
    """
    digest = manifest.digest
    with store.lock(digest, lock_wait_seconds):
        staging = store.staging(digest)
        if _published_and_intact(store, manifest):
            staging.clear()
            store.sweep()
        else:
            source = open_source(settings)
            inventory = _take_inventory(source, manifest, backoff)
            staging.prepare(manifest)
            _require_space(store, staging, manifest, inventory, retention)
            sizes = _fetch_files(source, inventory, manifest, staging, workers, backoff)
            store.publish(staging, manifest, sizes)
            log(f"published {store.name}/{digest}: {len(sizes)} files, {size(sum(sizes.values()))}")
        store.prune(retention)
    return store.published(digest)


def _published_and_intact(store: Store, manifest: Manifest) -> bool:
    published = store.published(manifest.digest)
    if not os.path.lexists(published):
        return False
    # First: as the newest version it is none that a concurrent fetch removes while it is verified.
    store.touch(manifest.digest)
    try:
        total = verify_tree(published, manifest)
    except Refused as refusal:
        log(f"the published version is damaged and will be fetched again: {refusal}")
        return False
    count = len(manifest.files)
    log(f"{store.name}/{manifest.digest} is published already: {count} files, {size(total)}, verified again")
    return True


def _take_inventory(source: Source, manifest: Manifest, backoff: Backoff) -> Inventory:
    inventory = _retried(lambda: source.inventory(list(manifest.files)), backoff)
    same_names(manifest.files, inventory.files, IGNORED_AT_SOURCE)
    for path, pinned in manifest.files.items():
        claimed = inventory.files[path].sha256
        if claimed is not None and claimed != pinned:
            raise Refused(path, f"{mismatch(claimed, pinned)} (claimed by the source, not downloaded)")
    return inventory


def _retried(call: Callable[[], Inventory], backoff: Backoff) -> Inventory:
    for failures in range(1, backoff.attempts + 1):
        try:
            return call()
        except Transient as error:
            if failures == backoff.attempts:
                raise Refused("source", f"{error} (given up after {failures} attempts)") from None
            seconds = backoff.seconds(failures)
            log(f"source: {error}; again in {seconds:.1f} s")
            time.sleep(seconds)
    raise AssertionError("unreachable: attempts is at least 1")


def _require_space(
    store: Store, staging: Staging, manifest: Manifest, inventory: Inventory, retention: Retention
) -> None:
    total = needed(manifest, inventory.files)
    if total is None:
        log("the source does not tell the sizes; free space is not checked beforehand")
        return
    missing = max(0, total - staging.size())
    try:
        store.require_space(missing)
    except Refused:
        store.prune(retention, expected=1)
        store.require_space(missing)


def _fetch_files(
    source: Source, inventory: Inventory, manifest: Manifest, staging: Staging, workers: int, backoff: Backoff
) -> dict[str, int]:
    """Downloads and verifies every file. Returns path → size in bytes."""
    total = needed(manifest, inventory.files)
    stop, verified = Event(), Counter()
    files = [inventory.files[path] for path in manifest.files]
    started, before = time.monotonic(), staging.size()
    log(f"fetching {len(files)} files, {size(total or 0)}; {size(before)} of an earlier attempt are there")

    def work(remote: RemoteFile) -> int:
        return _fetch_file(source, remote, manifest.files[remote.path], staging, stop, backoff, verified)

    # The largest first: no worker is left alone with a large file at the end.
    files.sort(key=lambda remote: remote.size_bytes or 0, reverse=True)
    with (
        Progress("fetched", total, staging.size),
        ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool,
    ):
        tasks: dict[str, Future[int]] = {remote.path: pool.submit(work, remote) for remote in files}
        wait(tasks.values(), return_when=FIRST_EXCEPTION)
        if any(task.done() and task.exception() for task in tasks.values()):
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    ended = [task for _, task in sorted(tasks.items()) if not task.cancelled()]
    errors = [error for task in ended if (error := task.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    seconds = max(time.monotonic() - started, 1e-9)
    arrived = max(0, staging.size() - before)
    speed = f"{arrived / seconds / 1e6:.1f} MB/s"
    log(f"fetched {size(arrived)}, verified {size(verified.value())} in {seconds:.1f} s, {speed}")
    return {path: task.result() for path, task in sorted(tasks.items())}


def _fetch_file(
    source: Source,
    remote: RemoteFile,
    pinned: str,
    staging: Staging,
    stop: Event,
    backoff: Backoff,
    verified: Counter,
) -> int:
    """Brings one file to its place in staging, verified, and returns its size in bytes."""

    def count(block: int) -> None:
        if stop.is_set():
            raise Stopped
        verified.add(block)

    if stop.is_set():
        raise Stopped
    staged = staging.files / remote.path
    if os.path.lexists(staged):
        if sha256_file(staged, remote.path, count) == pinned:
            return staged.stat().st_size
        staged.unlink()
        log(f"{remote.path}: the copy of an earlier attempt is damaged; fetching it again")

    part = staging.part(remote)
    earlier = part.exists() and part.stat().st_size > 0
    while True:
        download(source, remote, part, stop, backoff, log)
        actual = sha256_file(part, remote.path, count)
        if actual == pinned:
            return staging.accept(part, remote.path)
        # Never kept: the next attempt must not find it.
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        if not earlier:
            raise Refused(remote.path, mismatch(actual, pinned))
        # The beginning came from an earlier attempt, possibly of a node that crashed while writing it.
        log(f"{remote.path}: an earlier attempt left damaged content; fetching all of it again")
        earlier = False
