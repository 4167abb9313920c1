"""Access lines of uvicorn, the HTTP server of vLLM and SGLang.

    INFO:     10.0.0.1:4711 - "POST /v1/chat/completions HTTP/1.1" 200 OK

Other lines of the same log tell of the engine and of no access. The line has no time; the container runtime
notes one.
"""

from __future__ import annotations

import re
from typing import Final

from audit_trail.errors import Unreadable
from audit_trail.records import MODEL, Record, address, identity, parse_time, result_of
from audit_trail.sources.http import quiet, request
from audit_trail.sources.line import Line

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_ACCESS: Final = re.compile(
    r"(?:\([^)]*\) )?INFO: +(?P<client>\S+):(?P<port>\d+) - \"(?P<request>[^\"]*)\" (?P<status>\d{3})(?: .*)?"
)
_LIKE_ACCESS: Final = re.compile(r" - \"[A-Z]+ \S+ HTTP/")


def read(line: Line) -> Record | None:
    """The record of an access line; None for what else the engine says, and for probes."""
    plain = _COLOUR.sub("", line.text)
    match = _ACCESS.fullmatch(plain)
    if match is None:
        if _LIKE_ACCESS.search(plain):
            raise Unreadable("nearly an access line")
        return None
    method, path = request(match["request"])
    status = int(match["status"])
    if not 100 <= status <= 599:
        raise Unreadable("a strange status")
    if quiet(method, path, status):
        return None
    if line.written is None:
        raise Unreadable("an access line without time; read it from the container's log")
    return Record(
        id=identity(MODEL, line.file, line.written, plain),
        timestamp=parse_time(line.written),
        source=MODEL,
        action=method,
        resource=path,
        result=result_of(status),
        ip=address(match["client"].strip("[]")),
        status=status,
        node=line.node,
    )
