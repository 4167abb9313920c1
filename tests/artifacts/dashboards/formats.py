"""Values as Grafana writes them, for the units that the dashboards use."""

from __future__ import annotations

import math
from typing import Final

_SUFFIXES: Final = {"reqps": " req/s", "cps": " c/s", "celsius": " °C", "watt": " W", "percent": "%"}

_DURATIONS: Final = {"day": 86_400, "hour": 3_600, "min": 60, "s": 1, "ms": 1e-3, "µs": 1e-6}


def text(value: float, unit: str, decimals: int | None = None) -> str:
    """A value with its unit."""
    if unit == "percentunit":
        return f"{_number(100 * value, decimals)}%"
    if unit == "s":
        return _duration(value, decimals)
    if unit == "bytes":
        return _scaled(value, decimals, 1024, "iB")
    if unit == "Bps":
        return _scaled(value, decimals, 1000, "B/s")
    if unit.startswith("si:"):
        return _scaled(value, decimals, 1000, unit.removeprefix("si:"))
    suffix = _SUFFIXES.get(unit, "")
    if unit in ("short", "none", "cps", "reqps") and abs(value) >= 1000:
        return _scaled(value, decimals, 1000, "").replace(" k", " K") + suffix
    return f"{_number(value, decimals)}{suffix}"


def _number(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0 or abs(value) >= 100 or float(value).is_integer():
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    written = f"{value:.{min(digits, 4)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _duration(value: float, decimals: int | None) -> str:
    for unit, seconds in _DURATIONS.items():
        if abs(value) >= seconds:
            plural = "s" if unit in ("day", "hour") and value / seconds >= 1.05 else ""
            return f"{_number(value / seconds, decimals)} {unit}{plural}"
    return "0 s"


def _scaled(value: float, decimals: int | None, factor: int, unit: str) -> str:
    prefixes = ("", "K", "M", "G", "T") if factor == 1024 else ("", "k", "M", "G", "T")
    power = 0
    while abs(value) >= factor and power < len(prefixes) - 1:
        value /= factor
        power += 1
    if power == 0:
        return f"{_number(value, decimals)} {unit.lstrip('i')}".strip()
    return f"{_number(value, decimals)} {prefixes[power]}{unit}".strip()


def ticks(low: float, high: float, wanted: int, unit: str) -> list[float]:
    """Round values between two ends."""
    span = high - low
    if span <= 0:
        return [low]
    base = 1024.0 if unit == "bytes" else 10.0
    raw = span / max(wanted, 1)
    magnitude = base ** math.floor(math.log(raw, base))
    steps = (1, 2, 5, 10) if base == 10 else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    step = next(factor * magnitude for factor in steps if factor * magnitude >= raw * 0.999)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]
