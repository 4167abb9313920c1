"""Off a terminal, a step is one line when it starts and one when it ends."""

from __future__ import annotations

import io

import pytest

from toolchain import progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (3.44, "3.4 s"), (60, "1 min 00 s"), (127.4, "2 min 07 s")]
)
def test_durations_read_naturally(seconds: float, text: str) -> None:
    assert progress.format_seconds(seconds) == text


def test_step_prints_start_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_board", progress.Board(stream))
    with progress.step("compile") as step:
        step.update("1/2")  # too soon after the start to be worth a line
    start, end = stream.getvalue().splitlines()
    assert start == "… compile"
    assert end.startswith("✓ compile · 1/2 (")


def test_failed_step_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_board", progress.Board(stream))
    with pytest.raises(ValueError, match="x"), progress.step("compile"):
        raise ValueError("x")
    assert stream.getvalue().splitlines()[-1].startswith("✗ compile")
