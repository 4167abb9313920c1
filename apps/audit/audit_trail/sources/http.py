"""What lines about HTTP requests have in common."""

from __future__ import annotations

import re
from typing import Final

from audit_trail.errors import Unreadable
from audit_trail.records import text

_REQUEST: Final = re.compile(r"([A-Z]{1,16}) (\S+)(?: HTTP/\d(?:\.\d)?)?")
_QUIET: Final = frozenset({"/health", "/ping", "/metrics", "/v1/models"})
"""What probes and monitoring ask for, several times a minute."""


def request(value: str) -> tuple[str, str]:
    """Method and path of a request line; the query is dropped: it may hold anything."""
    match = _REQUEST.fullmatch(value)
    if match is None:
        raise Unreadable("no request line")
    path = re.split(r"[?#]", match[2], maxsplit=1)[0]
    return match[1], text(path) or "/"


def quiet(method: str, path: str, status: int) -> bool:
    """Whether it is one of the questions that machines ask all the time, and was answered."""
    return method in ("GET", "HEAD") and path in _QUIET and status < 400
