"""One line per step: what, how far, how long.

On a terminal the lines of running steps are redrawn in place; elsewhere a step prints when it starts, at most
every ten seconds while it moves, and when it ends. Steps may run in several threads at once.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

PLAIN_INTERVAL_SECONDS: Final = 10.0
"""Least time between two updates of one step where lines cannot be redrawn."""

TICK_SECONDS: Final = 0.5


def format_seconds(seconds: float) -> str:
    """``3.4 s`` below a minute, ``2 min 07 s`` above."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class Step:
    """A running step; :meth:`update` tells how far it is."""

    def __init__(self, title: str, board: Board) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()
        self._board = board
        self._last_plain = self.started

    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started

    def update(self, detail: str) -> None:
        """Say how far the step is, for example ``12/40 packages``."""
        self.detail = detail
        self._board.changed(self)

    def line(self, mark: str) -> str:
        detail = f" · {self.detail}" if self.detail else ""
        return f"{mark} {self.title}{detail} ({format_seconds(self.elapsed())})"

    def due(self) -> bool:
        """Whether a plain update may be printed again."""
        now = time.monotonic()
        if now - self._last_plain < PLAIN_INTERVAL_SECONDS:
            return False
        self._last_plain = now
        return True


class Board:
    """The steps that run now, drawn on one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._running: list[Step] = []
        self._drawn = 0
        self._live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._ticker: threading.Thread | None = None

    def begin(self, title: str) -> Step:
        step = Step(title, self)
        with self._lock:
            self._running.append(step)
            if self._live:
                self._redraw()
                if self._ticker is None:
                    self._ticker = threading.Thread(target=self._tick, daemon=True)
                    self._ticker.start()
            else:
                self._print(f"… {title}")
        return step

    def end(self, step: Step, *, failed: bool) -> None:
        with self._lock:
            self._running.remove(step)
            self._erase()
            self._print(step.line("✗" if failed else "✓"))
            self._redraw()

    def changed(self, step: Step) -> None:
        with self._lock:
            if self._live:
                self._redraw()
            elif step.due():
                self._print(step.line("…"))

    def note(self, text: str) -> None:
        with self._lock:
            self._erase()
            self._print(text)
            self._redraw()

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                if not self._running:
                    self._ticker = None
                    return
                self._redraw()

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def _erase(self) -> None:
        if self._live and self._drawn:
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _redraw(self) -> None:
        if not self._live:
            return
        self._erase()
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            width = 80
        for step in self._running:
            self._stream.write(step.line("…")[: width - 1] + "\n")
        self._drawn = len(self._running)
        self._stream.flush()


_board = Board(sys.stderr)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show a step from here to the end of the block, with its elapsed time."""
    running = _board.begin(title)
    try:
        yield running
    except BaseException:
        _board.end(running, failed=True)
        raise
    _board.end(running, failed=False)


def note(text: str) -> None:
    """Print a line without disturbing the running steps."""
    _board.note(text)
