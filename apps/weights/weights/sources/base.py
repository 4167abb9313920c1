"""What every kind of source offers to the fetcher."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RemoteFile:
    """A file at its source.

    Attributes:
        path: path relative to the model's directory.
        size_bytes: its size; None when the source does not tell.
        validator: what changes when its content does (entity tag, generation, commit); None when the source
            has none.
        sha256: its checksum as claimed by the source; None when it does not tell.
    """

    path: str
    size_bytes: int | None = None
    validator: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Inventory:
    """What a source holds.

    Attributes:
        files: path → file.
        complete: whether the source was listed, so that a file which is not pinned would be seen.
    """

    files: dict[str, RemoteFile]
    complete: bool


class Sink(Protocol):
    """Where the bytes of one file go, from the offset that was asked for."""

    def write(self, data: bytes, /) -> int:
        """Appends `data`. Raises Stopped when the fetch is being given up."""

    def restart(self) -> None:
        """Forgets everything before: the source sends the file from its beginning."""


class Source(Protocol):
    """A source. Its methods are called from several threads.

    They raise Refused when the source will not give the file, and Transient when it may at the next attempt.
    """

    def inventory(self, paths: Collection[str]) -> Inventory:
        """What the source holds: everything when it can be listed, else what it has of `paths`."""

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """Writes the bytes of `remote` from `offset` on to `sink`, in one request."""


CONNECT_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 60.0
"""Longest silence of a source before the attempt is given up. A whole transfer is bounded by the Job's
deadline.
"""
CHUNK_BYTES = 1024 * 1024
