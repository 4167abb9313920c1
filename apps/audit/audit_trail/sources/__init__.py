"""What writes audit records, and how its lines are read.

A reader takes a line and returns its record, or None for a line that tells of no access, or raises
Unreadable. A gateway that comes later is one more reader, and its name in READERS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from audit_trail.records import GATEWAY, KUBERNETES, MODEL, Record
from audit_trail.sources import haproxy, kubernetes, uvicorn
from audit_trail.sources.line import Line

Reader = Callable[[Line], Record | None]

READERS: Final[Mapping[str, Reader]] = {
    KUBERNETES: kubernetes.read,
    GATEWAY: haproxy.read,
    MODEL: uvicorn.read,
}
