"""Which records a store has already: whoever sends at least once sends some of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from audit_trail.journal import Journal
from audit_trail.records import Record

LOOK_BACK: Final = timedelta(days=14)
"""How long after its day a record may come again and be known. A sender that was away for longer, with a
batch that was written and whose answer it never got, repeats that one batch."""
LIMIT: Final = 1_000_000
"""Ids in memory at most, beside those of today and yesterday. One takes some 120 bytes."""
_DAY: Final = timedelta(days=1)


class Seen:
    """Ids by the file that has them: of today and yesterday always, of older days while they are asked for.

    What is in memory is only ever what the files say, so that it is right after every start.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._days: dict[date, set[bytes]] = {}

    def new(self, records: Iterable[Record]) -> tuple[list[Record], int]:
        """Those that the store has not, each once, and the number of the others."""
        today = self._journal.today()
        found: dict[bytes, Record] = {}
        known = 0
        for record in records:
            identity = bytes.fromhex(record.id)
            if identity in found or any(identity in self._of(day) for day in _days(record.day, today)):
                known += 1
            else:
                found[identity] = record
        self._forget(today)
        return list(found.values()), known

    def add(self, records: Iterable[Record]) -> None:
        """They are written now."""
        today = self._journal.today()
        for record in records:
            # Its file is that of its day, or today's. What is not in memory is read when it is asked for.
            for day in {record.day, today} & self._days.keys():
                self._days[day].add(bytes.fromhex(record.id))

    def _of(self, day: date) -> set[bytes]:
        if day not in self._days:
            self._days[day] = {bytes.fromhex(one) for one in self._journal.ids([day])}
        # The one that was asked for last comes last.
        self._days[day] = self._days.pop(day)
        return self._days[day]

    def _forget(self, today: date) -> None:
        """Of older days those that were asked for the longest time ago, until there are few enough."""
        older = [day for day in self._days if day < today - _DAY]
        total = sum(len(self._days[day]) for day in older)
        for day in older:
            if total <= LIMIT:
                break
            total -= len(self._days.pop(day))


def _days(day: date, today: date) -> list[date]:
    """Files that can have a record of this day: its own, or that of the day when it came, if later.

    The day before belongs to them, for a sender whose clock is ahead.
    """
    first = max(min(day, today) - _DAY, today - LOOK_BACK)
    return [first + _DAY * number for number in range((today - first).days + 1)]
