"""Tests are skipped where nothing can be built, and fail where our own code does not compile."""

from __future__ import annotations

import pytest

from tests.harness import built as harness
from toolchain.errors import ToolchainError


def broken() -> str:
    raise ToolchainError("go build ended with status 1: undefined: x")


def test_what_is_built_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_cannot_build", lambda: pytest.fail("nobody has to ask"))
    assert harness.built("it", lambda: "made") == "made"


def test_code_that_does_not_compile_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_cannot_build", lambda: None)
    with pytest.raises(ToolchainError, match="undefined: x"):
        harness.built("it", broken)


def test_a_machine_without_modules_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ToolchainError("go: dial tcp: connection refused")

    monkeypatch.setattr(harness.golang, "go", lambda: "go")
    monkeypatch.setattr(harness.golang, "environment", dict)
    monkeypatch.setattr(harness, "run_logged", no_network)
    with pytest.raises(pytest.skip.Exception, match="it cannot be had here: go: dial tcp"):
        harness.built("it", broken)
