"""Batches of records that somebody else has made: Logstash, of the access lines of all nodes.

It sends each at least once. A batch is answered when it is on disk: whoever had no answer sends it again, and
records that are there already are left out by their ids.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, NoReturn

from audit_trail import metrics
from audit_trail.anomalies import Detector, Thresholds
from audit_trail.errors import Malformed, Unavailable, Unreadable
from audit_trail.journal import Journal
from audit_trail.metrics import Metric, by_label, single
from audit_trail.records import GATEWAY, MODEL, SOURCES, Record, from_values
from audit_trail.seen import Seen
from audit_trail.store import Store

ACCEPTED: Final = (MODEL, GATEWAY)
"""Sources whose records Logstash makes. Whoever sends others is not it."""
BATCH: Final = 1000
"""Records of a batch at most. Logstash has 125 in one (`pipeline.batch.size`)."""
BODY: Final = 8 << 20
"""Bytes of a batch at most: 125 records with every text at its longest, four bytes a character, are less."""
RESERVE: Final = 64 << 20
"""Free bytes below which nothing is taken any more: sealing a day needs 65 for each of its records."""
ENVELOPE: Final = frozenset({"@timestamp", "@version"})
"""What every event of Logstash has beside the fields of a record."""
CODES: Final = (200, 400, 403, 404, 413, 503)
"""Answers, for the figures."""
_UNKNOWN: Final = "unknown"
_FILE: Final = "logstash"


@dataclass(frozen=True)
class Outcome:
    """What became of a batch."""

    recorded: int
    """Records that are written now."""
    known: int
    """Records that were there already."""
    refused: int
    """Those that are none; they are kept beside the records, with the reason."""

    def body(self) -> bytes:
        """As it is answered."""
        return json.dumps(asdict(self)).encode()


class Receiver:
    """Writes what it is sent to a store; several threads may send.

    When something cannot be written, nothing is assumed of what was: the journal is opened anew, as after a
    crash, before anything else is taken.
    """

    def __init__(
        self,
        store: Store,
        *,
        thresholds: Thresholds | None = None,
        node: str | None = None,
        reserve: int = RESERVE,
        clock: Callable[[], float] = time.time,
        emit: Callable[[bytes], None] | None = None,
    ) -> None:
        """:param emit: is given each record that a rule raises."""
        self._store, self._thresholds, self._node = store, thresholds or Thresholds(), node
        self._reserve, self._clock, self._emit = reserve, clock, emit
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._opened: tuple[Journal, Seen] | None = None
        self.known = 0
        """Records that came again, since the start."""
        self._answers: Counter[int] = Counter()
        self.writable: float | None = None
        """When records could last be written."""

    def receive(self, body: bytes) -> Outcome:
        """Take a batch: a JSON array of records.

        :raises Malformed: it is no batch.
        :raises Unavailable: it cannot be written now.
        """
        try:
            events = _events(body)
        except Malformed as error:
            self.refuse(str(error), body)
        with self._writing() as (journal, seen):
            records: list[Record] = []
            refused: list[dict[str, Any]] = []
            for event in events:
                try:
                    records.append(_record(event))
                except Unreadable as error:
                    refused.append(journal.letter(_source(event), _FILE, str(error), _text(event)))
            fresh, known = seen.new(records)
            if fresh or refused or journal.pending:
                journal.commit(fresh, refused)
            seen.add(fresh)
            self.known += known
        return Outcome(len(fresh), known, len(refused))

    def refuse(self, reason: str, body: bytes) -> NoReturn:
        """Keep the begin of what is no batch: its sender will not send it again.

        :raises Malformed: always, unless it cannot be written.
        :raises Unavailable: it cannot be written now.
        """
        with self._writing() as (journal, _):
            journal.commit([], [journal.letter(_UNKNOWN, _FILE, reason, body)])
        raise Malformed(reason)

    def check(self) -> None:
        """Whether a batch would be taken now.

        :raises Unavailable: it would not.
        """
        with self._writing() as (journal, _):
            if journal.pending:
                journal.commit([], [])

    @contextmanager
    def _writing(self) -> Iterator[tuple[Journal, Seen]]:
        """The journal, for one commit."""
        with self._lock:
            try:
                yield self._open()
            except OSError as error:
                self._opened = None
                raise Unavailable(f"the store: {error.strerror}") from None
            except Unavailable:
                raise
            except BaseException:
                self._opened = None
                raise
            self.writable = self._clock()

    def _open(self) -> tuple[Journal, Seen]:
        stat = os.statvfs(self._store.root)
        if (free := stat.f_bavail * stat.f_frsize) < self._reserve:
            raise Unavailable(f"the store: {free} bytes are free, and {self._reserve} are left to the seals")
        if self._opened is None:
            journal = Journal(
                self._store,
                detector=Detector(self._thresholds),
                node=self._node,
                clock=self._clock,
                emit=self._emit,
                emit_raised_only=True,
            )
            self._opened = journal, Seen(journal)
        return self._opened

    def answered(self, status: int) -> None:
        """Count an answer."""
        with self._counting:
            self._answers[status] += 1

    def page(self) -> str:
        """Figures for Prometheus."""
        # Without the lock, which somebody who seals may hold for a while.
        opened = self._opened
        own = opened[0].figures((*ACCEPTED, _UNKNOWN)) if opened else []
        with self._counting:
            answers = {str(code): float(self._answers[code]) for code in {*CODES, *self._answers}}
        return metrics.page(
            self._store,
            [
                *own,
                Metric(
                    "audit_last_pass_timestamp_seconds",
                    "gauge",
                    "When records could last be written.",
                    {} if self.writable is None else single(self.writable),
                ),
                Metric(
                    "audit_repeated_records_total",
                    "counter",
                    "Records that came again and were left out.",
                    single(self.known),
                ),
                Metric(
                    "audit_received_batches_total",
                    "counter",
                    "Batches by the status of the answer.",
                    by_label("code", answers),
                ),
            ],
        )


def _events(body: bytes) -> list[Any]:
    def constant(name: str) -> NoReturn:
        raise ValueError(name)

    try:
        events = json.loads(body, parse_constant=constant)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    if not isinstance(events, list) or not events:
        raise Malformed("no array of records")
    if len(events) > BATCH:
        raise Malformed(f"{len(events)} records; a batch has {BATCH} at most")
    return events


def _record(event: object) -> Record:
    if not isinstance(event, dict):
        raise Unreadable("no object")
    record = from_values({key: value for key, value in event.items() if key not in ENVELOPE})
    if record.source not in ACCEPTED:
        raise Unreadable(f"a record of source {record.source!r}, which is not made by Logstash")
    return record


def _source(event: object) -> str:
    found = event.get("source") if isinstance(event, dict) else None
    return found if found in SOURCES else _UNKNOWN


def _text(event: object) -> bytes:
    try:
        return json.dumps(event).encode()
    except RecursionError:
        return b"[too deep]"
