"""Resumable download of one file into a part file."""

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType

from weights.errors import Refused, Stopped, Transient
from weights.sources import RemoteFile, Source


@dataclass(frozen=True)
class Backoff:
    """How often and how long a broken download is tried again.

    Attributes:
        attempts: attempts in a row that brought no new byte before the file is refused. Progress resets the
            count.
        first_seconds: wait after the first failure; doubles each time, and is shortened at random by up to a
            half so that workers do not return at the same moment.
        longest_seconds: upper limit of a wait.
    """

    attempts: int = 6
    first_seconds: float = 1.0
    longest_seconds: float = 30.0

    def seconds(self, failures: int) -> float:
        """Time to wait after so many failures in a row."""
        wait: float = min(self.longest_seconds, self.first_seconds * 2 ** (failures - 1))
        return wait * random.uniform(0.5, 1.0)


class PartFile:
    """Appends to a part file; what was written survives the process."""

    def __init__(self, path: Path, subject: str, stop: Event) -> None:
        self._subject, self._stop = subject, stop
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self.size = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes, /) -> int:
        """Appends `data` entirely."""
        if self._stop.is_set():
            raise Stopped
        rest = memoryview(data)
        try:
            while rest:
                count = self._file.write(rest)
                rest = rest[count:]
                self.size += count
        except OSError as error:
            raise volume_failure(self._subject, error) from None
        return len(data)

    def restart(self) -> None:
        """Empties the file."""
        self._file.truncate(0)
        self._file.seek(0)
        self.size = 0


def volume_failure(subject: str, error: OSError) -> Refused:
    """The refusal for an error of the store's volume."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused("store", f"the volume is full while {subject} is written; enlarge it")
    return Refused("store", f"cannot write {subject}: {error.strerror}")


def download(
    source: Source,
    remote: RemoteFile,
    part: Path,
    stop: Event,
    backoff: Backoff,
    log: Callable[[str], None],
) -> None:
    """Brings `remote` into `part`, going on after what `part` already holds.

    Raises:
        Refused: the source will not give it, the volume is full, or attempts without progress are used up.
        Stopped: `stop` was set.
    """
    failures = 0
    while True:
        with PartFile(part, remote.path, stop) as sink:
            before = sink.size
            try:
                _attempt(source, remote, sink)
                return
            except Transient as error:
                failures = 1 if sink.size > before else failures + 1
                if failures >= backoff.attempts:
                    reason = f"{error} (given up after {failures} attempts without a new byte)"
                    raise Refused(remote.path, reason) from None
                wait = backoff.seconds(failures)
                log(f"{remote.path}: {error}; going on at byte {sink.size} in {wait:.1f} s")
        if stop.wait(wait):
            raise Stopped


def _attempt(source: Source, remote: RemoteFile, sink: PartFile) -> None:
    expected = remote.size_bytes
    if expected is not None and sink.size > expected:
        sink.restart()
    if expected is None or sink.size < expected:
        source.read(remote, sink.size, sink)
    if expected is not None and sink.size < expected:
        raise Transient(f"the transfer ended at byte {sink.size} of {expected}")
    if expected is not None and sink.size > expected:
        sent = sink.size
        sink.restart()
        raise Transient(f"the source sent {sent} bytes of a file of {expected}")
