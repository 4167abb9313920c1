"""Steps that run at once where they can, each after the steps that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeVar

from toolchain import process

_T = TypeVar("_T")

THREADS: Final = 16
"""More than there are steps: a step that waits for another one occupies a thread."""


class Tasks:
    """A graph of steps; see :func:`parallel`."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._futures: list[Future[object]] = []
        self._errors: list[BaseException] = []

    def add(self, work: Callable[[], _T], *after: Future[object]) -> Future[object]:
        """Run ``work`` once the steps in ``after`` have succeeded; any failure keeps it from starting."""

        def run() -> object:
            wait(after)
            if self._errors or any(one.cancelled() or one.exception() for one in after):
                raise CancelledError
            try:
                return work()
            except BaseException as error:
                if not self._errors:
                    self._errors.append(error)
                    process.terminate_all()
                raise

        future = self._pool.submit(run)
        self._futures.append(future)
        return future

    def join(self) -> None:
        """Wait for all steps and raise what failed first; the others are its consequence."""
        wait(self._futures)
        if self._errors:
            raise self._errors[0]


@contextmanager
def parallel() -> Iterator[Tasks]:
    """Collect steps and run them; leaves when all have ended, with the first error if there is one."""
    process.accept()
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = Tasks(pool)
        try:
            yield tasks
            tasks.join()
        except BaseException:
            process.terminate_all()
            raise
