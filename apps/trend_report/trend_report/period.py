"""Weeks of a time zone, hour by hour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Final

from trend_report.errors import BadConfiguration

HOUR: Final = 3_600
_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})")


@dataclass(frozen=True)
class Week:
    """From Monday, midnight, to the next one: ISO 8601's week. An hour more or less where clocks change."""

    monday: date
    zone: tzinfo

    @classmethod
    def ended(cls, now: datetime, zone: tzinfo) -> Week:
        """The last one that is over."""
        today = now.astimezone(zone).date()
        return cls(today - timedelta(days=today.weekday() + 7), zone)

    @classmethod
    def parse(cls, text: str, zone: tzinfo) -> Week:
        """Of a text such as `2026-W46`; raises BadConfiguration."""
        if match := _WEEK.fullmatch(text):
            try:
                return cls(date.fromisocalendar(int(match[1]), int(match[2]), 1), zone)
            except ValueError:
                pass
        raise BadConfiguration(f"week {text!r}: is none; write one such as 2026-W46")

    @property
    def before(self) -> Week:
        """The week before it."""
        return Week(self.monday - timedelta(days=7), self.zone)

    @property
    def name(self) -> str:
        """Such as `2026-W46`."""
        year, week, _ = self.monday.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def days(self) -> str:
        """First and last day, in words."""
        last = self.monday + timedelta(days=6)
        start = f"{self.monday.day} {self.monday:%b}" + (
            f" {self.monday.year}" * (self.monday.year != last.year)
        )
        return f"{start} to {last.day} {last:%b} {last.year}"

    @cached_property
    def start(self) -> int:
        """Seconds since the epoch."""
        return self._midnight(self.monday)

    @cached_property
    def end(self) -> int:
        """Seconds since the epoch, not part of it."""
        return self._midnight(self.monday + timedelta(days=7))

    @cached_property
    def hours(self) -> tuple[int, ...]:
        """Ends of its hours, in seconds since the epoch."""
        return tuple(range(self.start + HOUR, self.end + 1, HOUR))

    def local(self, moment: int) -> datetime:
        """A moment in the week's time zone."""
        return datetime.fromtimestamp(moment, UTC).astimezone(self.zone)

    def _midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp())
