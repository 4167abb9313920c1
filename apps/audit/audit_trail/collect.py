"""From lines of logs to the records of a day, each exactly once.

A pass writes records, then notes how far it has come and how much of each file counts. What a crash has left
beyond that is cut off by the next start, and its lines are read again.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from audit_trail import metrics, tail
from audit_trail.anomalies import RULES, Detector
from audit_trail.errors import Unreadable
from audit_trail.metrics import Metric, by_label, single
from audit_trail.records import ANOMALY, RAISED, Record, canonical, identity, parse, utc
from audit_trail.sources import READERS
from audit_trail.store import Store, sync_folder

PASS: Final = 4 << 20
"""Bytes of one file that are read before they are noted: what is held in memory."""
_KEPT: Final = 2048
"""Bytes of a line that could not be read which are kept."""
REMOVED: Final = "records-removed"
"""Anomaly: a file of records is shorter than what was written to it."""


class Collector:
    """Reads logs into the store."""

    def __init__(
        self,
        store: Store,
        inputs: Mapping[str, Sequence[str]],
        *,
        detector: Detector | None = None,
        node: str | None = None,
        clock: Callable[[], float] = time.time,
        emit: Callable[[bytes], None] | None = None,
    ) -> None:
        """:param inputs: patterns of files by source.
        :param emit: is given each record's line before it is noted: a crash repeats, and loses nothing.
        """
        self._store, self._inputs, self._node, self._clock, self._emit = store, inputs, node, clock, emit
        self._detector = detector or Detector()
        store.create()
        with store.locked():
            saved = store.state()
            state = saved or {}
            self._positions = tail.Positions(state.get("files"))
            self._lengths: dict[str, int] = dict(state.get("lengths", {}))
            self.records: Counter[str] = Counter(state.get("records", {}))
            self.refused: Counter[str] = Counter(state.get("refused", {}))
            self.ignored: Counter[str] = Counter(state.get("ignored", {}))
            self.anomalies: Counter[str] = Counter(state.get("anomalies", {}))
            self.newest: dict[str, float] = dict(state.get("newest", {}))
            if "detector" in state:
                self._detector.restore(state["detector"])
            # Without its notes it reads everything again; what is there already is left out.
            self._seen = self._ids() if saved is None else set()
            self._pending = self._recover(noted=saved is not None)
        self.last_pass: float | None = None

    def _ids(self) -> set[str]:
        found: set[str] = set()
        for day in self._store.days("records", ".jsonl"):
            for raw in self._store.records(day).read_bytes().splitlines(keepends=True):
                try:
                    found.add(parse(raw).id)
                except Unreadable:
                    continue
        return found

    def _recover(self, *, noted: bool) -> list[Record]:
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
                if not noted:
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

    def run_pass(self) -> int:
        """Read what has come; returns the number of lines."""
        read = 0
        for source, patterns in self._inputs.items():
            for path in tail.files(patterns):
                while count := self._read_file(source, path):
                    read += count
        if self._pending:
            self._commit([], [])
        self.last_pass = self._clock()
        # Whatever was there when it began has been read once.
        self._seen.clear()
        return read

    def _read_file(self, source: str, path: Path) -> int:
        reader, count = READERS[source], 0
        records: list[Record] = []
        refused: list[dict[str, Any]] = []
        last: tail.Read | None = None
        for one in tail.read(path, self._positions, self._node, PASS):
            count += 1
            last = one
            try:
                if one.line is None:
                    raise Unreadable(one.reason)
                record = reader(one.line)
            except Unreadable as error:
                refused.append(self._dead_letter(source, one, str(error)))
                self.refused[source] += 1
                continue
            if record is None:
                self.ignored[source] += 1
            elif record.id not in self._seen:
                records.append(record)
                self.records[source] += 1
        if last is not None:
            self._positions.advance(last.key, last.end, last.path, self._clock())
            self._commit(records, refused)
        return count

    def _dead_letter(self, source: str, one: tail.Read, reason: str) -> dict[str, Any]:
        return {
            "timestamp": utc(datetime.fromtimestamp(self._clock(), UTC)),
            "source": source,
            "node": self._node or "",
            "file": one.path,
            "reason": reason,
            "line": one.raw[:_KEPT].decode("utf-8", "backslashreplace"),
        }

    def _commit(self, records: list[Record], refused: list[dict[str, Any]]) -> None:
        """Write and note, so that both are there or none."""
        raised = self._pending
        for record in records:
            raised = raised + self._detector.observe(record)
            self.newest[record.source] = max(
                self.newest.get(record.source, 0), datetime.fromisoformat(record.timestamp).timestamp()
            )
        for anomaly in raised:
            self.anomalies[anomaly.action] += 1
        with self._store.locked():
            written: dict[str, list[bytes]] = {}
            today = datetime.fromtimestamp(self._clock(), UTC).date()
            for record in [*records, *raised]:
                name = f"records/{self._day(record.day, today)}.jsonl"
                written.setdefault(name, []).append(record.line())
            for letter in refused:
                written.setdefault(f"refused/{today}.jsonl", []).append(canonical(letter) + b"\n")
            for name, lines in written.items():
                self._append(name, lines)
            if self._emit is not None:
                for record in [*records, *raised]:
                    self._emit(record.line())
            self._save()
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

    def _save(self) -> None:
        for name in [name for name in self._lengths if self._sealed(name)]:
            del self._lengths[name]
        self._store.save_state(
            {
                "files": self._positions.saved(self._clock()),
                "lengths": self._lengths,
                "records": self.records,
                "refused": self.refused,
                "ignored": self.ignored,
                "anomalies": self.anomalies,
                "newest": self.newest,
                "detector": self._detector.state(),
            }
        )

    def page(self) -> str:
        """Figures for Prometheus."""
        sources = dict.fromkeys(self._inputs, 0.0)
        # A counter that first appears with its first event has never grown: the event would go unnoticed.
        rules = dict.fromkeys((*RULES, REMOVED), 0.0)
        passed = {} if self.last_pass is None else single(self.last_pass)
        return metrics.page(
            self._store,
            [
                Metric(
                    "audit_records_total",
                    "counter",
                    "Records written.",
                    by_label("source", sources | self.records),
                ),
                Metric(
                    "audit_refused_lines_total",
                    "counter",
                    "Lines that could not be read.",
                    by_label("source", sources | self.refused),
                ),
                Metric(
                    "audit_ignored_lines_total",
                    "counter",
                    "Lines that tell of no access.",
                    by_label("source", sources | self.ignored),
                ),
                Metric(
                    "audit_last_record_timestamp_seconds",
                    "gauge",
                    "Time of the newest record.",
                    by_label("source", self.newest),
                ),
                Metric(
                    "audit_last_pass_timestamp_seconds",
                    "gauge",
                    "When the logs were read to their end.",
                    passed,
                ),
                Metric(
                    "audit_anomalies_total",
                    "counter",
                    "Records that rules have raised.",
                    by_label("rule", rules | self.anomalies),
                ),
            ],
        )


def print_line(line: bytes) -> None:
    """Give a record to whoever reads this container's log."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
