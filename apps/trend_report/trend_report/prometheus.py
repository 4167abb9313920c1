"""Prometheus' HTTP API: range queries (prometheus.io, "HTTP API")."""

from __future__ import annotations

import json
import math
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trend_report import http
from trend_report.errors import Refused, ReportError, Unreachable

MAXIMUM_SERIES: Final = 4_000
"""Of one answer. A model has some twenty per histogram."""


@dataclass(frozen=True)
class Series:
    """One series of an answer; moments without a value are not in it."""

    labels: Mapping[str, str]
    values: Mapping[int, float]
    """By seconds since the epoch."""


@dataclass
class Prometheus:
    """One server."""

    url: str
    wait: http.Wait = time.sleep
    warnings: list[str] = field(default_factory=list)
    """What it has said about its answers: they may lack something."""

    def range(self, query: str, start: int, end: int, step: int) -> list[Series]:
        """Values from start to end, both included.

        :raises Unreachable: no answer.
        :raises Refused: the query failed, or the answer is not Prometheus'.
        """
        form = {"query": query, "start": str(start), "end": str(end), "step": str(step), "timeout": "60s"}
        body = urllib.parse.urlencode(form).encode()
        kind = "application/x-www-form-urlencoded"
        text = http.post(f"{self.url}/api/v1/query_range", body, kind, wait=self.wait)
        try:
            answer = json.loads(text)
            if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
                raise Refused(f"{self.url}: {str(answer.get('error'))[:200]}")
            result = answer["data"]["result"]
            if len(result) > MAXIMUM_SERIES:
                raise Refused(f"{self.url}: {len(result)} series in one answer, {MAXIMUM_SERIES} are taken")
            found = [_series(one) for one in result]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"{self.url}: the answer is not that of Prometheus ({error!r:.100})") from error
        for warning in answer.get("warnings") or ():
            if str(warning)[:200] not in self.warnings:
                self.warnings.append(str(warning)[:200])
        return found


def most_complete(
    urls: Sequence[str], namespace: str, start: int, end: int, wait: http.Wait = time.sleep
) -> tuple[Prometheus, list[str]]:
    """The server that has seen the most, and why others were not asked.

    Each replica scrapes everything by itself, so that what one missed while it was down the other has.

    :raises Unreachable: none answers.
    """
    best: tuple[float, Prometheus] | None = None
    silent = []
    query = f'count by (job) (count_over_time(up{{namespace="{namespace}"}}[1h]))'
    for url in http.addresses(urls):
        server = Prometheus(url, wait)
        try:
            seen = sum(
                value for one in server.range(query, start, end, 3_600) for value in one.values.values()
            )
        except ReportError as error:
            silent.append(str(error))
            continue
        if best is None or seen > best[0]:
            best = (seen, server)
    if best is None:
        raise Unreachable("; ".join(silent))
    return best[1], silent


def _series(one: Mapping[str, Any]) -> Series:
    labels = {str(name): str(value) for name, value in one["metric"].items()}
    values = {int(moment): float(value) for moment, value in one["values"]}
    return Series(labels, {moment: value for moment, value in values.items() if math.isfinite(value)})
