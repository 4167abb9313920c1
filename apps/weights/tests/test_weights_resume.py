"""F41: a fetch whose process dies goes on where it was, whatever the source."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback import Loopback
from support import BIG, NAME, NETWORK_KINDS, SECRET, Cli, read, sums_of

from weights.fetch import fetch
from weights.sources import file as _  # noqa: F401  (an unprivileged copy of this process may not read it)
from weights.sources import parse_source
from weights.store import Store
from weights.sums import parse

_LIMIT_SECONDS = 30.0
PAUSE = 3 * 2**20 + 2**19


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits until `condition()` is true."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


@pytest.fixture(params=NETWORK_KINDS)
def paused(request: pytest.FixtureRequest, cli: Cli, server: Loopback) -> Cli:
    """A source that stalls in the middle of its largest file."""
    cli.source = server.source(request.param)
    server.pause_after[BIG] = PAUSE
    return cli


def wait_until_paused(cli: Cli, process: subprocess.Popen[str]) -> None:
    """Waits until every other file is complete and the largest stalls."""

    def reached() -> bool:
        complete = [path for path in cli.staging.glob("files/**/*") if path.is_file()]
        return len(complete) == len(cli.manifest.files) - 1 and cli.staged_bytes() >= 2**20 + 3 * 2**20

    wait_for(reached, process)


def end(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=_LIMIT_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_f41_a_fetch_whose_process_dies_goes_on(
    paused: Cli, server: Loopback, files: dict[str, bytes], number: signal.Signals
) -> None:
    process = paused.start()
    wait_until_paused(paused, process)
    out, err = end(process, number)
    assert process.returncode in (-signal.SIGKILL, 1)
    if number == signal.SIGTERM:
        assert err.splitlines() == ["weights: refused: fetch: interrupted by SIGTERM; run again to go on"]
    assert not paused.published.exists()
    assert SECRET not in out + err
    kept = next(path.stat().st_size for path in paused.staging.rglob("*.part"))
    assert 3 * 2**20 <= kept <= PAUSE

    server.pause_after.clear()
    server.resume.set()
    server.requests.clear()
    assert paused.fetch() == 0
    assert read(paused.published) == files
    assert [request.range for request in server.downloads(BIG)] == [f"bytes={kept}-"]
    assert not server.downloads("config.json"), "what was complete is not fetched again"


def test_f41_a_copy_whose_process_dies_goes_on(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    size = 384 * 2**20  # sparse: quick to read, and long enough to be caught in the middle
    large = cli.origin / "large.safetensors"
    for path in cli.origin.rglob("*"):
        if path.is_file():
            path.unlink()
    with large.open("wb") as file:
        file.truncate(size)
    checksum = subprocess.run(
        ["sha256sum", large], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    cli.sums.write_text(f"{checksum}  large.safetensors\n")
    cli.manifest = parse(cli.sums.read_text())
    process = cli.start()
    wait_for(lambda: cli.staged_bytes() > 2**20, process)
    end(process, signal.SIGKILL)
    kept = cli.staged_bytes()
    assert 0 < kept < size
    assert cli.fetch() == 0
    printed = capsys.readouterr().out
    assert f"{kept / 2**20:.1f} MiB of an earlier attempt are there" in printed
    assert f"fetched {(size - kept) / 2**20:.1f} MiB, verified 384.0 MiB" in printed


def test_what_an_earlier_attempt_left_damaged_is_fetched_again(
    cli: Cli, server: Loopback, files: dict[str, bytes]
) -> None:
    """A node that crashes may leave zeros where data was to be."""
    cli.source = server.source("s3")
    server.pause_after[BIG] = PAUSE
    process = cli.start()
    wait_until_paused(cli, process)
    end(process, signal.SIGKILL)
    part = next(cli.staging.rglob("*.part"))
    with part.open("r+b") as file:
        file.write(bytes(4096))
    staged = cli.staging / "files/config.json"
    staged.chmod(0o644)
    staged.write_bytes(b"damaged")
    server.pause_after.clear()
    server.resume.set()
    assert cli.fetch() == 0
    assert read(cli.published) == files


def test_a_part_of_other_content_at_the_source_is_not_continued(
    cli: Cli, server: Loopback, files: dict[str, bytes]
) -> None:
    cli.source = server.source("https")
    server.files[BIG] = bytes(len(files[BIG]))
    server.pause_after[BIG] = PAUSE
    process = cli.start()
    wait_until_paused(cli, process)
    end(process, signal.SIGKILL)
    server.pause_after.clear()
    server.resume.set()
    server.files[BIG] = files[BIG]
    server.requests.clear()
    assert cli.fetch() == 0
    assert [request.range for request in server.downloads(BIG)] == [None]


def test_two_fetches_of_one_version_download_it_once(
    cli: Cli, server: Loopback, files: dict[str, bytes]
) -> None:
    cli.source = server.source("https")
    server.pause_after[BIG] = PAUSE
    first = cli.start()
    wait_until_paused(cli, first)
    second = cli.start()
    try:
        time.sleep(1.0)
        assert second.poll() is None, "it waits"
    finally:
        server.resume.set()
    out, err = first.communicate(timeout=_LIMIT_SECONDS)
    assert (first.returncode, err) == (0, "")
    assert "published tiny/" in out
    out, err = second.communicate(timeout=_LIMIT_SECONDS)
    assert (second.returncode, err) == (0, "")
    assert "is published already: 5 files" in out
    assert len(server.downloads(BIG)) == 1
    assert read(cli.published) == files


def test_a_fetch_that_waited_too_long_for_another_is_refused(
    cli: Cli, server: Loopback, files: dict[str, bytes]
) -> None:
    cli.source = server.source("https")
    server.pause_after[BIG] = PAUSE
    first = cli.start()
    try:
        wait_until_paused(cli, first)
        second = cli.start("--lock-wait-seconds", "0.1")
        _, err = second.communicate(timeout=_LIMIT_SECONDS)
        assert second.returncode == 1
        assert err == f"weights: refused: store: another fetch works on tiny/{cli.manifest.digest}\n"
    finally:
        end(first, signal.SIGKILL)


def test_it_runs_as_the_image_does(cli: Cli, files: dict[str, bytes], tmp_path: Path) -> None:
    """Unprivileged, and unable to write anywhere but to the store."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for directory in [tmp_path, *tmp_path.parents][:-1]:
        directory.chmod(directory.stat().st_mode | 0o011)
    os.chown(cli.store, 65532, 65532)
    cli.termination_log.chmod(0o666)

    assert in_child(lambda: unprivileged(cli)) == 0
    assert in_child(lambda: unprivileged(cli)) == 0, "published already"
    assert read(cli.published) == files
    modes = {path.stat().st_mode & 0o222 for path in [cli.published, *cli.published.rglob("*")]}
    assert modes == {0}, "nothing of a published version is writable"
    (cli.published / "sub").chmod(0o755)
    (cli.published / "sub/extra").touch()
    assert in_child(lambda: unprivileged(cli)) == 0, "repaired, although directories are read-only"
    assert read(cli.published) == files


def test_a_directory_that_the_kubelet_made_for_a_missing_version_is_replaced(
    cli: Cli, files: dict[str, bytes], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory that belongs to somebody else")
    for directory in [tmp_path, *tmp_path.parents][:-1]:
        directory.chmod(directory.stat().st_mode | 0o011)
    cli.termination_log.chmod(0o666)
    cli.published.mkdir(parents=True, mode=0o750)
    os.chown(cli.store, 65532, 65532)
    os.chown(cli.published.parent, 65532, 65532)
    assert in_child(lambda: unprivileged(cli)) == 0
    assert read(cli.published) == files
    assert [entry.name for entry in cli.published.parent.iterdir()] == [cli.manifest.digest]


def unprivileged(cli: Cli) -> int:
    """Fetches as the image's user, who must not be able to write to the source."""
    os.setgroups([])
    os.setresgid(65532, 65532, 65532)
    os.setresuid(65532, 65532, 65532)
    return 2 if os.access(cli.origin, os.W_OK) else cli.fetch()


def in_child(call: Callable[[], int]) -> int:
    """Runs `call` in a copy of this process, and returns its result as the exit status."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(call())
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_progress_is_reported_in_plain_lines(
    cli: Cli,
    server: Loopback,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("weights.progress.Progress.__init__.__defaults__", (0.05,))
    server.pause_after[BIG] = PAUSE
    threading.Timer(0.5, server.resume.set).start()
    fetch(parse_source(json.dumps(server.source("https"))), cli.manifest, Store(cli.store, NAME))
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("weights: ") and line.isprintable() for line in lines)
    assert any(line.startswith("weights: fetched 4.0 MiB of 6.0 MiB, 66.7 %, ") for line in lines), lines
    assert sums_of(files).digest in lines[-1]
