"""The configuration of the Job: a JSON file, made from the stack's settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trend_report.errors import BadConfiguration


@dataclass(frozen=True)
class Objectives:
    """What the service promises, and from when on somebody is told that it is slow."""

    availability: float
    """Part of the requests that are not answered with 5xx."""
    first_token: float
    """Part of the requests whose first token comes in time."""
    first_token_seconds: float
    """In time; a bound of the engine's histogram."""
    latency_quantile: float
    latency_seconds: float
    """Whole answers: the quantile should not take longer."""


@dataclass(frozen=True)
class Price:
    """Cost of the whole stack in an hour, at its smallest and at its largest."""

    low: float
    high: float
    currency: str
    source: str
    """Where the figures come from, in words."""
    unpriced: tuple[str, ...] = ()
    """What is not in them."""


@dataclass(frozen=True)
class Configuration:
    """Everything that a report is made from."""

    stack: str
    namespace: str
    """Of the models."""
    zone: ZoneInfo
    prometheus: tuple[str, ...]
    """Base URLs; all addresses of their names are tried."""
    alertmanagers: tuple[str, ...]
    """Base URLs; all addresses of their names are told. None: nobody is told."""
    objectives: Objectives
    price: Price | None
    keep_weeks: int
    """Reports that are kept."""


def load(file: Path) -> Configuration:
    """The configuration in a file; raises BadConfiguration."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"{file}: cannot be read: {error}") from error
    return parse(document)


def parse(document: object) -> Configuration:
    """A configuration from JSON's values; raises BadConfiguration."""
    root = _Reader(document, "")
    objectives, price = root.section("objectives"), root.optional("price")
    found = Configuration(
        stack=root.text("stack"),
        namespace=root.text("namespace"),
        zone=_zone(root.text("timeZone")),
        prometheus=root.urls("prometheus"),
        alertmanagers=root.urls("alertmanagers"),
        objectives=Objectives(
            availability=objectives.number("availability", 0, 1),
            first_token=objectives.number("firstToken", 0, 1),
            first_token_seconds=objectives.number("firstTokenSeconds", 0),
            latency_quantile=objectives.number("latencyQuantile", 0, 1),
            latency_seconds=objectives.number("latencySeconds", 0),
        ),
        price=None
        if price is None
        else Price(
            low=price.number("low", 0),
            high=price.number("high", 0),
            currency=price.text("currency"),
            source=price.text("source"),
            unpriced=price.texts("unpriced"),
        ),
        keep_weeks=int(root.number("keepWeeks", 1)),
    )
    if not found.prometheus:
        raise BadConfiguration("prometheus: []: needs the address of at least one")
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadConfiguration(
            f"timeZone: {name!r}: is not known; write one such as Asia/Shanghai"
        ) from error


@dataclass(frozen=True)
class _Reader:
    """Values of one object of the document."""

    value: object
    path: str

    def text(self, key: str) -> str:
        found = self._get(key)
        if not isinstance(found, str) or not found:
            raise self._bad(key, found, "a text")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._get(key)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self._bad(key, found, "a list of texts")
        return tuple(found)

    def urls(self, key: str) -> tuple[str, ...]:
        found = self.texts(key)
        for one in found:
            address = urlsplit(one)
            if address.scheme not in ("http", "https") or not address.hostname or address.query:
                raise self._bad(key, one, "an address such as http://prometheus-operated.monitoring.svc:9090")
        return tuple(one.rstrip("/") for one in found)

    def number(self, key: str, least: float, most: float = math.inf) -> float:
        found = self._get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
            raise self._bad(
                key, found, f"a number of at least {least:g}" + f" and at most {most:g}" * (most < math.inf)
            )
        return float(found)

    def section(self, key: str) -> _Reader:
        found = self._get(key)
        if not isinstance(found, dict):
            raise self._bad(key, found, "an object")
        return _Reader(found, f"{self.path}{key}.")

    def optional(self, key: str) -> _Reader | None:
        return None if self._get(key) is None else self.section(key)

    def _get(self, key: str) -> Any:
        if not isinstance(self.value, Mapping):
            raise BadConfiguration(f"{self.path.rstrip('.') or 'the document'}: is no object")
        if key not in self.value:
            raise BadConfiguration(f"{self.path}{key}: is missing; add it")
        return self.value[key]

    def _bad(self, key: str, value: object, wanted: str) -> BadConfiguration:
        return BadConfiguration(f"{self.path}{key}: {str(value)[:80]!r}: is not {wanted}")
