"""The table of binaries agrees with the pins, and keys change with what goes into a build."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import artefacts, golang, paths
from toolchain.errors import ToolchainError

_INTERNAL = re.compile(r'"autoglm\.dev/platform/toolchain/(internal/[^"]+)"')


def test_own_commands_exist_in_the_repository() -> None:
    for name, binary in golang.BINARIES.items():
        if binary.package.startswith("./"):
            assert (binary.module / binary.package).is_dir(), name


def test_what_own_commands_share_goes_into_their_builds() -> None:
    shared = 0
    for name, binary in golang.BINARIES.items():
        files = [file for source in binary.sources for file in (binary.module / source).rglob("*.go")]
        for package in {found for file in files for found in _INTERNAL.findall(file.read_text())}:
            shared += 1
            assert any(f"{package}/".startswith(f"{source}/") for source in binary.sources), (name, package)
    assert shared >= 3


def test_every_source_of_another_module_is_pinned() -> None:
    for name, binary in golang.BINARIES.items():
        if not binary.package.startswith("./"):
            text = (binary.module / "go.mod").read_text()
            assert any(f"{module} v" in text for module in _prefixes(binary.package)), name


def _prefixes(package: str) -> list[str]:
    parts = package.split("/")
    return ["/".join(parts[:length]) for length in range(2, len(parts) + 1)]


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("./cmd/etcd", "etcd"),
        ("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
        ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
    ],
)
def test_output_names_follow_go(package: str, file: str) -> None:
    assert golang._output_name(package) == file


def test_unknown_binary_is_named() -> None:
    with pytest.raises(ToolchainError, match="no such binary: nonsense"):
        golang.ensure_binaries("pulumi", "nonsense")


def test_unpinned_module_is_named() -> None:
    with pytest.raises(ToolchainError, match=r"example\.org/nothing is not required"):
        golang.module_version("example.org/nothing")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with one command, in place of the real one."""
    directory = tmp_path / "module"
    (directory / "cmd" / "hello").mkdir(parents=True)
    (directory / "go.mod").write_text("module example.org/m\n\ngo 1.21\n")
    (directory / "go.sum").touch()
    (directory / "cmd" / "hello" / "main.go").write_text('package main\n\nfunc main() { println("hi") }\n')
    monkeypatch.setattr(
        golang, "BINARIES", {"hello": golang.Binary("./cmd/hello", directory, "", ("cmd/hello",))}
    )
    return directory


@pytest.fixture
def count_builds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    calls = []
    original = golang._build

    def counted(names: list[str]) -> None:
        calls.append(names)
        original(names)

    monkeypatch.setattr(golang, "_build", counted)
    return lambda: len(calls)


def _require_go() -> None:
    found = subprocess.run(["go", "version"], capture_output=True, check=False) if _on_path("go") else None
    if found is None:
        pytest.skip("Go is not on PATH: the wheel is not installed for a unit test")


def _on_path(name: str) -> bool:
    return any(
        os.access(Path(directory) / name, os.X_OK) for directory in os.environ["PATH"].split(os.pathsep)
    )


def test_rebuilt_when_its_sources_change_and_only_then(module: Path, count_builds: Callable[[], int]) -> None:
    _require_go()
    first = golang.ensure_binaries("hello")["hello"]
    assert golang.ensure_binaries("hello")["hello"] == first
    assert count_builds() == 1
    assert (paths.BIN / "hello").resolve() == first
    assert subprocess.run([paths.BIN / "hello"], capture_output=True, text=True, check=True).stderr == "hi\n"

    (module / "cmd" / "hello" / "main.go").write_text('package main\n\nfunc main() { println("ho") }\n')
    second = golang.ensure_binaries("hello")["hello"]
    assert second != first
    assert (paths.BIN / "hello").resolve() == second


def test_broken_source_shows_the_compiler_error(module: Path) -> None:
    _require_go()
    (module / "cmd" / "hello" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(ToolchainError, match="undefined: undefined"):
        golang.ensure_binaries("hello")
    assert not artefacts.path_of("go-binaries/hello", golang._key("hello")).exists()


def test_go_from_path_must_be_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.2.3\n")
    old.chmod(0o755)
    assert golang._version_of(str(old)) == (1, 2, 3)
    assert golang._version_of(str(old)) < golang.required_go()
