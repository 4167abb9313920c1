"""The engine's event log, read while it is written.

Lines for debugging hold everything that the program registers, secrets in plain text among them, so the log
never lies on a disk: the engine writes into a named pipe, and those lines are dropped on this side of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType


class EventLog:
    """A pipe at `path` while the context lasts; afterwards `lines` are what came through it."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="event-log-")
        self.path = Path(self._directory.name) / "events"
        self.lines: tuple[str, ...] = ()
        self._kept: list[str] = []
        self._writer = -1
        self._thread: threading.Thread | None = None

    def __enter__(self) -> EventLog:
        os.mkfifo(self.path, 0o600)
        # Opened for reading without waiting for the engine. Our own writing end, which nothing is written to,
        # keeps the reader from seeing an end before the engine has opened its.
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(self.path, os.O_WRONLY)
        os.set_blocking(reader, True)
        self._thread = threading.Thread(target=self._read, args=(reader,), daemon=True)
        self._thread.start()
        return self

    def _read(self, reader: int) -> None:
        with os.fdopen(reader, encoding="utf-8", errors="replace") as pipe:
            for line in pipe:
                if not _for_debugging(line):
                    self._kept.append(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._writer)
        if self._thread is not None:
            self._thread.join()
        self.lines = tuple(self._kept)
        self._directory.cleanup()


def _for_debugging(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return True  # cut short, and nobody knows what it would have been
    diagnostic = event.get("diagnosticEvent") if isinstance(event, dict) else None
    return isinstance(diagnostic, dict) and diagnostic.get("severity") == "debug"
