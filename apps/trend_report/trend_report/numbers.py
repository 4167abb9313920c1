"""Numbers as people read them, and how they have changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NO_DATA: Final = "no data"
TOO_LITTLE: Final = "too little data"
UNCHANGED: Final = 0.02
"""A smaller change, as part of the figure, is none."""

Format = Callable[[float], str]


def seconds(value: float) -> str:
    """Three significant digits, in the unit that fits."""
    if value < 1:
        return f"{_digits(value * 1000)} ms"
    return f"{_digits(value)} s"


def count(value: float) -> str:
    """With separators up to a million, in millions or billions beyond."""
    for limit, unit in ((1e9, " billion"), (1e6, " million")):
        if abs(value) >= limit:
            return f"{_digits(value / limit)}{unit}"
    return f"{round(value):,}"


def percent(value: float) -> str:
    """A part of one."""
    return f"{_digits(100 * value)} %"


def availability(value: float) -> str:
    """A part of one that is close to it: cut, never rounded up to a promise that was missed."""
    if not 0.9 <= value < 1:
        return percent(value)
    return f"{math.floor(value * 1e5) / 1e3:.3f} %"


def plain(value: float) -> str:
    """Without a unit."""
    return _digits(value)


def money(currency: str) -> Format:
    """Amounts in a currency."""

    def shown(value: float) -> str:
        return f"{value:,.0f} {currency}" if value >= 1000 else f"{_digits(value)} {currency}"

    return shown


def _digits(value: float) -> str:
    """Three significant digits, whole numbers beyond a hundred."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Better(StrEnum):
    """Which way is up."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Verdict(StrEnum):
    """What a change means."""

    BETTER = "better"
    WORSE = "worse"
    NEUTRAL = "neutral"


@dataclass(frozen=True)
class Change:
    """From one week to the next."""

    arrow: str
    text: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.arrow} {self.text}".strip()


def change(now: float | None, before: float | None, better: Better, points: float | None = None) -> Change:
    """How a figure has changed.

    :param points: for parts of one, whose difference is told in percentage points: what is no difference yet.
    """
    if now is None or before is None:
        return Change("", NO_DATA, Verdict.NEUTRAL)
    difference = now - before
    if points is not None:
        text = f"{abs(difference) * 100:.2g} points"
        unchanged = difference == 0 or abs(difference) < points
    elif before == 0:
        text = "from 0"
        unchanged = difference == 0
    else:
        part = abs(difference / before)
        text = f"{part * 100:.0f} %" if part < 10 else f"{now / before:.0f} times"
        unchanged = part < UNCHANGED
    if unchanged:
        return Change("→", "unchanged", Verdict.NEUTRAL)
    rises = difference > 0
    verdict = Verdict.NEUTRAL
    if better is not Better.NEITHER:
        verdict = Verdict.BETTER if rises == (better is Better.HIGHER) else Verdict.WORSE
    return Change("▲" if rises else "▼", text, verdict)
