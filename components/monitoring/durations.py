"""Durations as Prometheus and Alertmanager write them (`15s`, `2m`, `6h`, `15d`), parsed to seconds.

Grammar: github.com/prometheus/common/model, ParseDuration. Units below a second are left out: nothing here is
that short.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_GRAMMAR: Final = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in _UNITS))

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400


def parse_duration(value: object) -> int:
    """Seconds that a text such as `90s` or `1h30m` stands for.

    :raises ValueError: no such duration, or none at all; the message says what to write.
    """
    if isinstance(value, str) and (match := _GRAMMAR.fullmatch(value.strip())):
        seconds = sum(int(match[unit] or 0) * factor for unit, factor in _UNITS.items())
        if seconds > 0:
            return seconds
    raise ValueError(f"{value!r} is not a duration; write a number with a unit, such as 15s, 2m or 15d")


def format_duration(seconds: int) -> str:
    """The shortest text: whole days, hours, minutes or seconds, and what remains in the next smaller unit."""
    parts = []
    for unit, factor in _UNITS.items():
        if unit == "w":
            continue
        count, seconds = divmod(seconds, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]+[wdhms])+$", "examples": ["15s", "2m", "15d"]}),
]
"""A duration, in seconds."""
