"""The trail on a volume: records by UTC day, seals, what could not be read, and how far the collector is.

records/2026-11-21.jsonl   records in the order of their arrival
refused/2026-11-21.jsonl   lines that could not be read
seals/2026-11-21.json      seal of the day; beside it .leaves, a digest of each line
state/collector.json       positions in the logs, and how much of each day's file counts
metrics/*.prom             what seal and verify tell Prometheus
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

from audit_trail.errors import Refused

_FOLDERS: Final = ("records", "refused", "seals", "state", "metrics")
_GROUP_ONLY: Final = 0o770
"""Collector and Jobs share a group; nobody else looks in."""


class Store:
    """The folder of one trail."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self) -> None:
        """Make the folders that are missing."""
        for name in _FOLDERS:
            folder = self.root / name
            if not folder.is_dir():
                folder.mkdir(parents=True)
                folder.chmod(_GROUP_ONLY)

    def records(self, day: date) -> Path:
        """Records of a day."""
        return self.root / "records" / f"{day}.jsonl"

    def refused(self, day: date) -> Path:
        """Lines that could not be read on a day."""
        return self.root / "refused" / f"{day}.jsonl"

    def seal(self, day: date) -> Path:
        """Seal of a day."""
        return self.root / "seals" / f"{day}.json"

    def leaves(self, day: date) -> Path:
        """Digests of a day's lines."""
        return self.root / "seals" / f"{day}.leaves"

    def days(self, folder: str, suffix: str) -> list[date]:
        """Days that a folder has a file of, in order; other files are not the store's."""
        found = []
        for path in (self.root / folder).glob(f"*{suffix}"):
            try:
                found.append(date.fromisoformat(path.name.removesuffix(suffix)))
            except ValueError:
                continue
        return sorted(found)

    def state(self) -> dict[str, Any] | None:
        """What the collector noted last; None before its first pass."""
        try:
            content: dict[str, Any] = json.loads((self.root / "state" / "collector.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise Refused("state/collector.json", "damaged; remove it, and logs are read again") from None
        return content

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Note it so that a crash leaves the old or the new."""
        write(self.root / "state" / "collector.json", json.dumps(state, sort_keys=True).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody adds records while somebody seals."""
        with self._locked("lock", shared=False):
            yield

    @contextmanager
    def sealing(self, *, shared: bool = False) -> Iterator[None]:
        """Nobody seals while somebody verifies. That takes long, and looks at sealed days alone: records are
        added meanwhile. A copy that is read-only needs no lock."""
        with self._locked("seals.lock", shared=shared):
            yield

    @contextmanager
    def _locked(self, name: str, *, shared: bool) -> Iterator[None]:
        try:
            descriptor = os.open(self.root / name, os.O_CREAT | os.O_RDWR, 0o660)
        except OSError:
            if not shared:
                raise
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Replace a file at once and for good."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names in a folder outlive a power failure from here on."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
