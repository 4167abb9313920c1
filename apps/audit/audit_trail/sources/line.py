"""A line of a log, and what is known of it beside its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from audit_trail.errors import Unreadable

CRI: Final = re.compile(rb"(\S+) (stdout|stderr) ([PF])(?::\S*)? ?")
"""What container runtimes write before each line (CRI log format): time, stream, part or whole."""


@dataclass(frozen=True)
class Line:
    """One line, without its end."""

    text: str
    node: str | None = None
    """Node whose log it is in."""
    written: str | None = None
    """When the container runtime got it, RFC 3339; None in files that a program writes itself."""
    file: str = ""
    """Name of the log: what is the same for a file and its rotated predecessors."""


def decode(raw: bytes) -> str:
    """Text of a line; bytes that are no UTF-8 are replaced, and what holds them is unreadable soon enough."""
    return raw.decode("utf-8", "replace")


def unframe(raw: bytes) -> tuple[str, bool, bytes]:
    """Time, whether the line ends here, and content of a container's line."""
    match = CRI.match(raw)
    if match is None:
        raise Unreadable("no line of a container's log")
    return match[1].decode("ascii", "replace"), match[3] == b"F", raw[match.end() :]
