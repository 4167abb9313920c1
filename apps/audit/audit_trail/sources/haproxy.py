"""haproxy's HTTP log (`option httplog`), as components/virtual_ip configures it.

Format: https://docs.haproxy.org/2.6/configuration.html#8.2.3. Times have no zone: the container's is UTC.
A captured `traceparent` header (W3C Trace Context) gives the trace id.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from audit_trail.errors import Unreadable
from audit_trail.records import GATEWAY, Record, address, identity, result_of, utc
from audit_trail.sources.http import quiet, request
from audit_trail.sources.line import Line

_ACCESS: Final = re.compile(
    r"(?P<client>\S+):(?P<port>\d+) \[(?P<time>[^\]]+)\] \S+ [^\s/]+/\S+ "
    r"(?P<timers>[-+\d]+/[-+\d]+/[-+\d]+/[-+\d]+/[-+\d]+) (?P<status>-1|\d{3}) (?P<bytes>\+?\d+) \S+ \S+ "
    r"(?P<state>\S{4}) [\d/+]+ \d+/\d+ (?P<captured>(?:\{[^}]*\} ){0,2})\"(?P<request>.*)"
)
_START: Final = re.compile(r"\S+:\d+ \[\d\d/[A-Z][a-z]{2}/\d{4}:")
_TRACE: Final = re.compile(r"(?:^|[{|])00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?=[|}])")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)\.(\d{3})")
_BAD_REQUEST: Final = "<BADREQ>"


def read(line: Line) -> Record | None:
    """The record of a request; None for what haproxy says of itself."""
    match = _ACCESS.fullmatch(line.text)
    if match is None:
        if _START.match(line.text) and ("HTTP/" in line.text or _BAD_REQUEST in line.text):
            raise Unreadable("nearly a line of the HTTP log")
        return None
    # A long request line is cut by haproxy, and has then no closing quote.
    asked = match["request"].removesuffix('"')
    method, path = ("-", _BAD_REQUEST) if asked.startswith(_BAD_REQUEST) else request(asked)
    status = int(match["status"])
    if status != -1 and not 100 <= status <= 599:
        raise Unreadable("a strange status")
    if quiet(method, path, status) and status != -1:
        return None
    trace = _TRACE.search(match["captured"])
    return Record(
        id=identity(GATEWAY, line.file, line.written or "", line.text),
        timestamp=_time(match["time"]),
        source=GATEWAY,
        action=method,
        resource=path,
        # -1: the connection ended before there was an answer.
        result=result_of(status) if status != -1 else "failure",
        ip=address(match["client"]),
        status=status if status != -1 else None,
        bytes=int(match["bytes"]),
        trace_id=trace[1] if trace else None,
        node=line.node,
    )


def _time(value: str) -> str:
    match = _TIME.fullmatch(value)
    if match is None or match[2] not in _MONTHS:
        raise Unreadable("no time of haproxy's log")
    day, month, year, hour, minute, second, milli = match.groups()
    try:
        return utc(
            datetime(
                int(year),
                _MONTHS.index(month) + 1,
                int(day),
                int(hour),
                int(minute),
                int(second),
                int(milli) * 1000,
                UTC,
            )
        )
    except ValueError:
        raise Unreadable("a time that no calendar has") from None
