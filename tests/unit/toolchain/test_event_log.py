"""The engine's event log is read from a pipe, without what it says for debugging."""

from __future__ import annotations

import json
import os
from pathlib import Path

from toolchain.event_log import EventLog

_KEPT = json.dumps({"sequence": 1, "preludeEvent": {"config": {}}})
_ERROR = json.dumps({"sequence": 2, "diagnosticEvent": {"severity": "error", "message": "no"}})
_DEBUG = json.dumps({"sequence": 3, "diagnosticEvent": {"severity": "debug", "message": "props=hunter2"}})


def test_lines_come_through_without_those_for_debugging() -> None:
    with EventLog() as log, log.path.open("w") as engine:
        engine.write(f"{_KEPT}\n{_DEBUG}\n{_ERROR}\n")
    assert log.lines == (f"{_KEPT}\n", f"{_ERROR}\n")


def test_more_than_a_pipe_holds_comes_through() -> None:
    with EventLog() as log, log.path.open("w") as engine:
        for _ in range(5000):
            engine.write(f"{_KEPT}\n")
    assert len(log.lines) == 5000


def test_an_engine_that_never_writes_leaves_an_empty_log() -> None:
    with EventLog() as log:
        pass
    assert log.lines == ()


def test_a_line_that_was_cut_short_is_dropped() -> None:
    with EventLog() as log, log.path.open("w") as engine:
        engine.write(f"{_KEPT}\n{_DEBUG[:-10]}")
    assert log.lines == (f"{_KEPT}\n",)


def test_it_is_a_private_pipe_and_leaves_nothing() -> None:
    with EventLog() as log:
        path: Path = log.path
        assert path.is_fifo()
        assert os.stat(path.parent).st_mode & 0o077 == 0
    assert not path.parent.exists()
