"""An artefact is complete or absent, built once per key, and its key follows content."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain import artefacts, paths


def test_built_once_per_key() -> None:
    builds: list[Path] = []

    def build(directory: Path) -> None:
        builds.append(directory)
        (directory / "file").write_text("content")

    first = artefacts.ensure("thing", "key", build)
    again = artefacts.ensure("thing", "key", build)
    other = artefacts.ensure("thing", "other", build)

    assert first == again != other
    assert (first / "file").read_text() == "content"
    assert len(builds) == 2


def test_failed_build_leaves_nothing() -> None:
    def build(directory: Path) -> None:
        (directory / "half").touch()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        artefacts.ensure("thing", "key", build)
    assert list((paths.ARTEFACTS / "thing").iterdir()) == []


def test_concurrent_callers_share_one_build() -> None:
    builds = []
    gate = threading.Barrier(4)

    def build(directory: Path) -> None:
        builds.append(directory)

    def call() -> None:
        gate.wait()
        artefacts.ensure("thing", "key", build)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_key_follows_names_and_content(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_text("one")
    before = artefacts.digest(tree)

    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "x.pyc").write_text("compiled")
    assert artefacts.digest(tree) == before

    (tree / "below" / "file").write_text("two")
    changed = artefacts.digest(tree)
    (tree / "below" / "file").rename(tree / "below" / "renamed")
    assert len({before, changed, artefacts.digest(tree)}) == 3


@given(st.lists(st.text(), max_size=5), st.lists(st.text(), max_size=5))
def test_different_parts_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (artefacts.digest(*one) == artefacts.digest(*other)) == (one == other)
