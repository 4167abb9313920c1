"""A failed command's error ends with the end of its log; one failure ends the others."""

from __future__ import annotations

import threading
import time

import pytest

from toolchain import paths, process
from toolchain.errors import ToolchainError
from toolchain.tasks import parallel


def test_output_goes_to_the_log_and_to_the_listener() -> None:
    seen: list[str] = []
    process.run_logged(["sh", "-c", "echo one; echo two >&2"], log="demo", on_line=seen.append)
    assert seen == ["one", "two"]
    assert (paths.LOGS / "demo.log").read_text().splitlines()[1:] == ["one", "two"]


def test_failure_shows_status_and_log() -> None:
    with pytest.raises(ToolchainError, match=r"(?s)status 3; full log: .*demo\.log.*the reason"):
        process.run_logged(["sh", "-c", "echo the reason; exit 3"], log="demo")


def test_missing_command_is_named() -> None:
    with pytest.raises(ToolchainError, match="no-such-command: not found"):
        process.run_logged(["no-such-command"], log="demo")


def test_steps_run_after_what_they_need() -> None:
    order: list[str] = []
    with parallel() as tasks:
        first = tasks.add(lambda: (time.sleep(0.05), order.append("first")))
        tasks.add(lambda: order.append("second"), first)
    assert order == ["first", "second"]


def test_first_failure_ends_running_commands_and_skips_later_steps() -> None:
    ran: list[str] = []
    started = threading.Event()

    def fail() -> None:
        started.wait(5)
        raise ToolchainError("the real reason")

    def long() -> None:
        process.run_logged(
            ["sh", "-c", "echo up; exec sleep 60"], log="long", on_line=lambda _: started.set()
        )

    def steps() -> None:
        with parallel() as tasks:
            running = tasks.add(long)
            tasks.add(fail)
            tasks.add(lambda: ran.append("late"), running)

    begin = time.monotonic()
    with pytest.raises(ToolchainError, match="the real reason"):
        steps()
    assert ran == []
    assert time.monotonic() - begin < 10


def test_commands_run_again_after_a_failure() -> None:
    with pytest.raises(ValueError, match="x"), parallel() as tasks:
        tasks.add(lambda: int("x"))
    with parallel() as tasks:
        tasks.add(lambda: process.run_logged(["true"], log="demo"))
