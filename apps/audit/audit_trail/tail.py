"""Reading logs that grow and rotate, from where the last pass ended.

A file is known by its inode and its first line: it keeps its position when it is renamed, and a new file, or
one that was emptied and written again, is read from its beginning.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Any, BinaryIO, Final

from audit_trail.sources.line import CRI, Line, decode, unframe

LINE: Final = 8 << 20
"""Longest line, in bytes: the API server takes requests of 3 MiB, and the body of some is in their event."""
_HEAD: Final = 4096
_HELD: Final = 256
"""Lines that wait for another one's last part at most."""
_FORGET_SECONDS: Final = 7 * 86400
"""A file that has not been seen for so long has been deleted."""


@dataclass(frozen=True)
class Read:
    """A line, or why there is none, and where the file is read on."""

    key: str
    path: str
    end: int
    line: Line | None
    raw: bytes
    reason: str = ""


class Positions:
    """How far each file has been read."""

    def __init__(self, saved: dict[str, dict[str, Any]] | None = None) -> None:
        self._known = dict(saved or {})

    def offset(self, key: str) -> int:
        """Byte to read on from."""
        return int(self._known.get(key, {}).get("offset", 0))

    def advance(self, key: str, offset: int, path: str, now: float) -> None:
        """Read up to here."""
        self._known[key] = {"offset": offset, "path": path, "seen": int(now)}

    def saved(self, now: float) -> dict[str, dict[str, Any]]:
        """What to note, without files that are gone for good."""
        self._known = {
            key: value for key, value in self._known.items() if now - value["seen"] < _FORGET_SECONDS
        }
        return self._known


def files(patterns: Sequence[str]) -> list[Path]:
    """Logs that match, in the order in which they were written to; compressed ones have been read before."""
    found = {}
    for pattern in patterns:
        for name in glob(pattern):
            path = Path(name)
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # rotated away meanwhile; the next pass finds it under its new name
            if path.suffix != ".gz" and path.is_file():
                found[path] = stat.st_mtime_ns
    return sorted(found, key=lambda path: (found[path], str(path)))


def read(path: Path, positions: Positions, node: str | None, limit: int) -> Iterator[Read]:
    """Lines that have come to a file since, at most about `limit` bytes of them."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        key = _key(file)
        if key is None:
            return
        start = positions.offset(key)
        if start > os.fstat(file.fileno()).st_size:
            start = 0
        file.seek(start)
        yield from _lines(file, key, path, node, start + limit)


def _key(file: BinaryIO) -> str | None:
    """Identity of a file; None while its first line is not complete."""
    head = file.read(_HEAD)
    first, ended, _ = head.partition(b"\n")
    if not ended and len(head) < _HEAD:
        return None
    return f"{os.fstat(file.fileno()).st_ino}:{hashlib.sha256(first).hexdigest()[:16]}"


def _lines(file: BinaryIO, key: str, path: Path, node: str | None, until: int) -> Iterator[Read]:
    """Lines of a file. A line that its container wrote in parts is one line.

    While parts of a line of one stream are waiting for the last, lines of the other are held back: a restart
    reads on from a place before which everything has been told, and after which nothing.
    """
    joined: dict[bytes, bytes] = {}
    held: list[Read] = []
    folder, name = str(path.parent), str(path)
    while file.tell() < until or joined:
        raw = file.readline(LINE + 1)
        reason, line, stream = "", None, b""
        if raw and not raw.endswith(b"\n") and len(raw) > LINE:
            reason = f"longer than {LINE} bytes"
            while (more := file.readline(LINE)) and not more.endswith(b"\n"):
                pass
            if not more:
                return  # still being written
        elif not raw.endswith(b"\n"):
            return  # the end, or a line that is still being written
        elif CRI.match(raw) is None:
            line = Line(decode(raw[:-1]), node, None, folder)
        else:
            written, ends, content = unframe(raw[:-1])
            stream = raw.split(b" ", 2)[1]
            whole = joined.pop(stream, b"") + content
            if len(whole) > LINE:
                reason = f"longer than {LINE} bytes"
            elif not ends:
                joined[stream] = whole
                continue
            else:
                line, raw = Line(decode(whole), node, written, folder), whole + b"\n"
        held.append(Read(key, name, file.tell(), line, raw.rstrip(b"\n"), reason))
        if len(held) > _HELD:
            # Its container is gone, or its runtime has lost the rest.
            for part in joined.values():
                held.append(Read(key, name, file.tell(), None, part, "never completed"))
            joined.clear()
        if not joined:
            yield from (replace(one, end=file.tell()) for one in held)
            held.clear()
