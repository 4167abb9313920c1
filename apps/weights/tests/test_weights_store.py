"""The store: publishing is atomic, versions are repaired and kept, and a full volume is seen beforehand."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import BIG, NAME, Cli, read, write

from weights.store import Retention, Store
from weights.verify import being_read, verify_tree

Refusal = Callable[[], str]


class Crash(BaseException):
    """The machine loses power."""


CALLS = ("rename", "fsync", "chmod", "fchmod", "utime", "unlink", "mkdir")


@pytest.mark.parametrize("damaged", [False, True], ids=["new version", "repair of a damaged version"])
def test_whenever_it_crashes_a_version_is_there_entirely_or_not_at_all(
    cli: Cli, files: dict[str, bytes], damaged: bool
) -> None:
    """The process dies before each single change that it makes to the file system, one after the other."""
    crashes = 0
    for step in range(1000):
        shutil.rmtree(cli.store)
        cli.store.mkdir()
        if damaged:
            write(cli.published, {**files, "config.json": b"damaged"})
        with pytest.MonkeyPatch.context() as patch:
            if not _crash_at(patch, step, lambda: cli.fetch()):
                break
        crashes += 1
        if cli.published.exists() and not damaged:
            verify_tree(cli.published, cli.manifest)
        assert cli.fetch() == 0
        assert read(cli.published) == files
        assert not cli.staging.exists()
        assert [entry.name for entry in (cli.store / NAME).iterdir()] == [cli.manifest.digest]
    assert crashes > 20


def _crash_at(patch: pytest.MonkeyPatch, step: int, run: Callable[[], object]) -> bool:
    """Runs until the change number `step`; returns whether there was one."""
    left = [step]

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if left[0] <= 0:
                raise Crash
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in CALLS:
        patch.setattr(os, name, wrap(getattr(os, name)))
    try:
        run()
    except Crash:
        return True
    return False


def test_a_published_version_is_verified_again_and_not_fetched(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.fetch() == 0
    shutil.rmtree(cli.origin)
    assert cli.fetch() == 0
    assert "is published already: 5 files, 6.0 MiB, verified again" in capsys.readouterr().out


def test_a_damaged_version_is_replaced(cli: Cli, files: dict[str, bytes]) -> None:
    assert cli.fetch() == 0
    (cli.published / BIG).chmod(0o644)
    (cli.published / BIG).write_bytes(b"rot")
    assert cli.fetch() == 0
    assert read(cli.published) == files


def test_a_damaged_version_stays_when_the_source_is_gone(cli: Cli, refusal: Refusal) -> None:
    assert cli.fetch() == 0
    (cli.published / BIG).chmod(0o644)
    (cli.published / BIG).write_bytes(b"rot")
    shutil.rmtree(cli.origin)
    assert cli.fetch() == 1
    assert refusal().startswith("source: no directory ")
    assert (cli.published / BIG).read_bytes() == b"rot"


def test_an_extra_file_in_a_published_version_is_refused(cli: Cli, refusal: Refusal) -> None:
    assert cli.fetch() == 0
    (cli.published / "sub").chmod(0o755)
    (cli.published / "sub/extra.json").touch()
    assert cli.verify() == 1
    assert refusal() == "sub/extra.json: is not in the pinned list"


@pytest.mark.parametrize("kind", ["symlink", "extra", "symlinked part"])
def test_f40_what_does_not_belong_into_staging_is_refused_and_removed(
    cli: Cli, refusal: Refusal, files: dict[str, bytes], kind: str
) -> None:
    (cli.staging / "files").mkdir(parents=True)
    (cli.staging / "parts").mkdir()
    outside = cli.store.parent / "outside"
    outside.write_bytes(files["config.json"])
    if kind == "symlink":
        (cli.staging / "files/config.json").symlink_to(outside)
        reason = "config.json: is a symbolic link (in the staging area; removed)"
    elif kind == "extra":
        (cli.staging / "files/x.py").touch()
        reason = "x.py: is not in the pinned list (in the staging area; removed)"
    else:
        (cli.staging / "parts/x.part").symlink_to(outside)
        reason = "x.part: is a symbolic link (in the staging area; removed)"
    assert cli.fetch() == 1
    assert refusal() == reason
    assert outside.read_bytes() == files["config.json"]
    assert cli.fetch() == 0
    assert read(cli.published) == files


def test_a_download_that_does_not_fit_is_refused_beforehand(
    cli: Cli, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    assert cli.fetch() == 1
    assert refusal() == f"store: 6.0 MiB to fetch, 1.0 MiB free on the volume at {cli.store}; enlarge it"
    assert cli.staged_bytes() == 0


def test_a_volume_that_fills_up_is_named(cli: Cli, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    assert cli.fetch("--workers", "1") == 1
    assert refusal() == f"store: the volume is full while {BIG} is written; enlarge it"
    assert not cli.published.exists()


class TestRetention:
    """Versions are told apart by the time when they were published."""

    NOW = Retention(keep=2, superseded_hours=0)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store(tmp_path, NAME)

    def publish(self, store: Store, digit: str, hours_ago: float) -> Path:
        version = store.published(digit * 64)
        write(version, {"sub/config.json": b"{}"})
        (version / "sub").chmod(0o555)
        version.chmod(0o555)
        published = time.time() - hours_ago * 3600
        os.utime(version, (published, published))
        return version

    def kept(self, store: Store) -> str:
        return "".join(sorted(entry.name[0] for entry in store.versions.iterdir()))

    def test_the_newest_versions_stay(self, store: Store) -> None:
        for digit, hours in (("1", 4.0), ("2", 3.0), ("3", 2.0), ("4", 1.0)):
            self.publish(store, digit, hours)
        store.prune(Retention(keep=3, superseded_hours=0))
        assert self.kept(store) == "234"
        store.prune(self.NOW)
        assert self.kept(store) == "34"

    def test_a_version_stays_while_its_successors_may_still_fail(self, store: Store) -> None:
        for digit, hours in (("1", 900.0), ("2", 30.0), ("3", 2.0), ("4", 1.0)):
            self.publish(store, digit, hours)
        store.prune(Retention())
        assert self.kept(store) == "234", "1 was superseded 30 hours ago, 2 only 2 hours ago"

    def test_a_version_that_is_asked_for_stays(self, store: Store) -> None:
        for digit, hours in (("1", 3.0), ("2", 2.0), ("3", 1.0)):
            self.publish(store, digit, hours)
        store.prune(Retention(keep=2, superseded_hours=0, retain=frozenset({"1" * 64})))
        assert self.kept(store) == "123"

    def test_a_version_that_is_being_verified_stays(self, store: Store) -> None:
        for digit, hours in (("1", 3.0), ("2", 2.0), ("3", 1.0)):
            self.publish(store, digit, hours)
        with being_read(store.published("1" * 64)):
            store.prune(self.NOW)
        assert self.kept(store) == "123"
        store.prune(self.NOW)
        assert self.kept(store) == "23"

    def test_nothing_else_is_touched(self, store: Store) -> None:
        for digit, hours in (("1", 3.0), ("2", 2.0), ("3", 1.0)):
            self.publish(store, digit, hours)
        (store.versions / "notes").mkdir()
        (store.versions / ("f" * 64)).symlink_to(store.published("1" * 64))
        store.prune(self.NOW)
        assert sorted(entry.name[0] for entry in store.versions.iterdir()) == ["2", "3", "f", "n"]

    def test_an_abandoned_download_is_removed_unless_it_is_being_worked_on(self, store: Store) -> None:
        staged = store.root / ".staging" / NAME / ("a" * 64)
        write(staged, {"files/config.json": b"{}"})
        os.utime(staged, (0, 0))
        lock = staged.with_name(staged.name + ".lock")
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            store.prune(Retention())
            assert staged.exists()
        store.prune(Retention())
        assert not staged.exists()

    def test_a_roll_back_makes_a_version_the_newest(self, cli: Cli, files: dict[str, bytes]) -> None:
        assert cli.fetch() == 0
        first = cli.manifest.digest
        for text in (b"second", b"third"):
            newer = {**files, "config.json": text}
            write(cli.origin, newer)
            cli.pin(newer)
            assert cli.fetch() == 0
        cli.pin(files)
        assert cli.fetch("--superseded-hours", "0") == 0
        versions = {entry.name for entry in cli.published.parent.iterdir()}
        assert first in versions
        assert len(versions) == 2

    def test_room_is_made_before_a_download_is_refused(
        self, cli: Cli, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store(cli.store, NAME)
        for digit, hours in (("1", 90.0), ("2", 80.0), ("3", 70.0)):
            self.publish(store, digit, hours)

        def disk_usage(path: Path) -> SimpleNamespace:
            return SimpleNamespace(free=2**30 if len(list(store.versions.iterdir())) < 2 else 0)

        monkeypatch.setattr(shutil, "disk_usage", disk_usage)
        assert cli.fetch() == 0
        assert {entry.name for entry in store.versions.iterdir()} == {"3" * 64, cli.manifest.digest}
