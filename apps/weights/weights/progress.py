"""Plain progress lines for `kubectl logs`."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from weights.redact import redact

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
INTERVAL_SECONDS = 5.0


def log(message: str) -> None:
    """One plain, redacted line on stdout."""
    print(f"weights: {redact(message)}", flush=True, file=sys.stdout)


def size(count: float) -> str:
    """`count` bytes for people: `18.6 GiB`."""
    for factor, unit in _UNITS:
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


class Progress:
    """Prints how far a transfer is, every few seconds, from a thread of its own.

    Args:
        verb: what happens to the bytes (`fetched`, `verified`).
        total: bytes in all, or None when the source does not tell.
        done: how many bytes there are now; called from the printing thread.
        interval_seconds: time between two lines.
    """

    def __init__(
        self,
        verb: str,
        total: int | None,
        done: Callable[[], int],
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._verb, self._total, self._done, self._interval = verb, total, done, interval_seconds
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._before, self._since = self._done(), time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._finished.wait(self._interval):
            log(self.line())

    def line(self) -> str:
        """The present state; the speed is that since the line before."""
        now, done = time.monotonic(), self._done()
        speed = max(0, done - self._before) / max(now - self._since, 1e-9) / 1e6
        self._before, self._since = done, now
        if self._total is None:
            return f"{self._verb} {size(done)}, {speed:.1f} MB/s"
        share = 100 * done / self._total if self._total else 100
        return f"{self._verb} {size(done)} of {size(self._total)}, {share:.1f} %, {speed:.1f} MB/s"


class Counter:
    """A number that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def add(self, count: int) -> None:
        """Adds `count`."""
        with self._lock:
            self._value += count

    def value(self) -> int:
        """The sum so far."""
        return self._value
