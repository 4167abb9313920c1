"""From lines of logs to the records of a day, each exactly once.

A pass writes records, then notes how far it has come and how much of each file counts. What a crash has left
beyond that is cut off by the next start, and its lines are read again.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audit_trail import metrics, tail
from audit_trail.anomalies import Detector
from audit_trail.errors import Unreadable
from audit_trail.journal import Journal
from audit_trail.metrics import Metric, single
from audit_trail.records import Record
from audit_trail.sources import READERS
from audit_trail.store import Store

PASS: Final = 4 << 20
"""Bytes of one file that are read before they are noted: what is held in memory."""


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
        self._store, self._inputs, self._node, self._clock = store, inputs, node, clock
        self._journal = Journal(store, detector=detector, node=node, clock=clock, emit=emit)
        self._positions = tail.Positions(self._journal.state.get("files"))
        # Without its notes it reads everything again; what is there already is left out.
        self._seen = self._journal.ids() if self._journal.fresh else set()
        self.last_pass: float | None = None

    @property
    def records(self) -> Counter[str]:
        """Records written, by source."""
        return self._journal.records

    @property
    def refused(self) -> Counter[str]:
        """Lines that could not be read, by source."""
        return self._journal.refused

    @property
    def ignored(self) -> Counter[str]:
        """Lines that tell of no access, by source."""
        return self._journal.ignored

    @property
    def anomalies(self) -> Counter[str]:
        """Records that rules have raised, by rule."""
        return self._journal.anomalies

    @property
    def newest(self) -> dict[str, float]:
        """Time of the newest record, by source."""
        return self._journal.newest

    def run_pass(self) -> int:
        """Read what has come; returns the number of lines."""
        read = 0
        for source, patterns in self._inputs.items():
            for path in tail.files(patterns):
                while count := self._read_file(source, path):
                    read += count
        if self._journal.pending:
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
                refused.append(self._journal.letter(source, one.path, str(error), one.raw))
                continue
            if record is None:
                self.ignored[source] += 1
            elif record.id not in self._seen:
                records.append(record)
        if last is not None:
            self._positions.advance(last.key, last.end, last.path, self._clock())
            self._commit(records, refused)
        return count

    def _commit(self, records: list[Record], refused: list[dict[str, Any]]) -> None:
        self._journal.commit(records, refused, {"files": self._positions.saved(self._clock())})

    def page(self) -> str:
        """Figures for Prometheus."""
        passed = {} if self.last_pass is None else single(self.last_pass)
        return metrics.page(
            self._store,
            [
                *self._journal.figures(self._inputs),
                Metric(
                    "audit_last_pass_timestamp_seconds",
                    "gauge",
                    "When the logs were read to their end.",
                    passed,
                ),
            ],
        )


def print_line(line: bytes) -> None:
    """Give a record to whoever reads this container's log."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
