"""Writing records, so that a crash leaves all of a commit or nothing of it.

A commit appends to the files of the days, then notes how much of each file counts. What a crash has left
beyond that is cut off when the journal is opened again; it has been told nobody, and comes again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from audit_trail.anomalies import RULES, Detector
from audit_trail.errors import Unreadable
from audit_trail.metrics import Metric, by_label
from audit_trail.records import ANOMALY, RAISED, Record, canonical, identity, parse, utc
from audit_trail.store import Store, sync_folder

KEPT: Final = 2048
"""Bytes of what could not be read which are kept."""
REMOVED: Final = "records-removed"
"""Anomaly: a file of records is shorter than what was written to it."""


class Journal:
    """What is written to a store, with the figures and the rules' memory that belong to it.

    One process writes to a store at a time; sealing and verifying wait for its commits, and it for them.
    """

    def __init__(
        self,
        store: Store,
        *,
        detector: Detector | None = None,
        node: str | None = None,
        clock: Callable[[], float] = time.time,
        emit: Callable[[bytes], None] | None = None,
        emit_raised_only: bool = False,
    ) -> None:
        """Open it: what was written and not noted is cut off.

        :param emit: is given each record's line before it is noted: a crash repeats, and loses nothing.
        :param emit_raised_only: only those that rules have raised.
        :raises OSError: the store cannot be read or written.
        """
        self._store, self._node, self._clock = store, node, clock
        self._emit, self._raised_only = emit, emit_raised_only
        self._detector = detector or Detector()
        store.create()
        with store.locked():
            saved = store.state()
            self.fresh = saved is None
            """Nothing is noted: the store is new, or its notes are gone."""
            self.state: Mapping[str, Any] = saved or {}
            """What was noted last, with what the owner has added."""
            state = self.state
            self._lengths: dict[str, int] = dict(state.get("lengths", {}))
            self.records: Counter[str] = Counter(state.get("records", {}))
            self.refused: Counter[str] = Counter(state.get("refused", {}))
            self.ignored: Counter[str] = Counter(state.get("ignored", {}))
            self.anomalies: Counter[str] = Counter(state.get("anomalies", {}))
            self.newest: dict[str, float] = dict(state.get("newest", {}))
            if "detector" in state:
                self._detector.restore(state["detector"])
            self._pending = self._recover()

    @property
    def pending(self) -> bool:
        """Whether opening has found something that is to be told with the next commit."""
        return bool(self._pending)

    def ids(self, days: Iterable[date] | None = None) -> set[str]:
        """Ids of the records of these days; without them, of all."""
        found: set[str] = set()
        for day in self._store.days("records", ".jsonl") if days is None else days:
            with suppress(FileNotFoundError), self._store.records(day).open("rb") as file:
                for raw in file:
                    with suppress(Unreadable):
                        found.add(parse(raw).id)
        return found

    def _recover(self) -> list[Record]:
        """Cut what was written and not noted; returns what is to be told about records that have gone."""
        told = []
        for folder in ("records", "refused"):
            for day in self._store.days(folder, ".jsonl"):
                name = f"{folder}/{day}.jsonl"
                if self._store.seal(day).exists():
                    self._lengths.pop(name, None)
                    continue
                path = self._store.root / name
                size = path.stat().st_size
                expected = self._lengths.get(name, 0)
                if self.fresh:
                    # The notes are gone: every whole line counts.
                    content = path.read_bytes()
                    expected = content.rfind(b"\n") + 1
                if size > expected:
                    os.truncate(path, expected)
                elif size < expected:
                    told.append(self._removed(name, expected - size))
                self._lengths[name] = min(size, expected)
        for name in [name for name in self._lengths if not (self._store.root / name).exists()]:
            if self._lengths[name] and not self._sealed(name):
                told.append(self._removed(name, self._lengths[name]))
            del self._lengths[name]
        return told

    def _sealed(self, name: str) -> bool:
        return self._store.seal(date.fromisoformat(Path(name).stem)).exists()

    def _removed(self, name: str, count: int) -> Record:
        now = utc(datetime.fromtimestamp(self._clock(), UTC))
        return Record(
            id=identity(ANOMALY, REMOVED, name, now),
            timestamp=now,
            source=ANOMALY,
            action=REMOVED,
            resource=name,
            result=RAISED,
            node=self._node,
            detail=f"{count} bytes fewer than were written",
        )

    def today(self) -> date:
        """The UTC day that is open."""
        return datetime.fromtimestamp(self._clock(), UTC).date()

    def letter(self, source: str, file: str, reason: str, raw: bytes) -> dict[str, Any]:
        """What is kept of a line that could not be read."""
        return {
            "timestamp": utc(datetime.fromtimestamp(self._clock(), UTC)),
            "source": source,
            "node": self._node or "",
            "file": file,
            "reason": reason,
            "line": raw[:KEPT].decode("utf-8", "backslashreplace"),
        }

    def commit(
        self, records: list[Record], refused: list[dict[str, Any]], own: Mapping[str, Any] | None = None
    ) -> None:
        """Write and note, so that both are there or none.

        :param own: the owner's notes, which `state` has after the next start.
        :raises OSError: nothing is noted, or it cannot be said: open the journal anew.
        """
        raised = self._pending
        for record in records:
            raised = raised + self._detector.observe(record)
            self.newest[record.source] = max(
                self.newest.get(record.source, 0), datetime.fromisoformat(record.timestamp).timestamp()
            )
        self.records.update(record.source for record in records)
        self.refused.update(str(letter["source"]) for letter in refused)
        self.anomalies.update(anomaly.action for anomaly in raised)
        with self._store.locked():
            written: dict[str, list[bytes]] = {}
            today = self.today()
            for record in [*records, *raised]:
                name = f"records/{self._day(record.day, today)}.jsonl"
                written.setdefault(name, []).append(record.line())
            for letter in refused:
                written.setdefault(f"refused/{today}.jsonl", []).append(canonical(letter) + b"\n")
            for name, lines in written.items():
                self._append(name, lines)
            if self._emit is not None:
                for record in raised if self._raised_only else [*records, *raised]:
                    self._emit(record.line())
            self._save(own or {})
        self._pending = []

    def _day(self, day: date, today: date) -> date:
        """File of a record: its day's, or today's if that has been sealed or has not begun."""
        return today if day > today or self._store.seal(day).exists() else day

    def _append(self, name: str, lines: list[bytes]) -> None:
        path = self._store.root / name
        new = not path.exists()
        content = b"".join(lines)
        with path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if new:
            path.chmod(0o640)
            sync_folder(path.parent)
        self._lengths[name] = self._lengths.get(name, 0) + len(content)

    def _save(self, own: Mapping[str, Any]) -> None:
        for name in [name for name in self._lengths if self._sealed(name)]:
            del self._lengths[name]
        self._store.save_state(
            {
                **own,
                "lengths": self._lengths,
                "records": self.records,
                "refused": self.refused,
                "ignored": self.ignored,
                "anomalies": self.anomalies,
                "newest": self.newest,
                "detector": self._detector.state(),
            }
        )

    def figures(self, sources: Iterable[str]) -> list[Metric]:
        """For Prometheus; of these sources also where nothing has come yet.

        A counter that first appears with its first event has never grown: the event would go unnoticed.
        """
        none = dict.fromkeys(sources, 0.0)
        rules = dict.fromkeys((*RULES, REMOVED), 0.0)
        return [
            Metric(
                "audit_records_total", "counter", "Records written.", by_label("source", none | self.records)
            ),
            Metric(
                "audit_refused_lines_total",
                "counter",
                "Lines that could not be read.",
                by_label("source", none | self.refused),
            ),
            Metric(
                "audit_ignored_lines_total",
                "counter",
                "Lines that tell of no access.",
                by_label("source", none | self.ignored),
            ),
            Metric(
                "audit_last_record_timestamp_seconds",
                "gauge",
                "Time of the newest record.",
                by_label("source", self.newest),
            ),
            Metric(
                "audit_anomalies_total",
                "counter",
                "Records that rules have raised.",
                by_label("rule", rules | self.anomalies),
            ),
        ]
