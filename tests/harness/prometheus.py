"""A real Prometheus on loopback that holds two weeks of metrics (`tests.harness.history`).

    with serve(wanted=frozenset({"vllm:num_requests_running"})) as prometheus:
        prometheus.query("sum(vllm:num_requests_running)", at=prometheus.span.end)

The samples are made into blocks once (`promtool tsdb create-blocks-from openmetrics`) and kept under
`.toolchain/artefacts`; each server gets a folder of its own, and ends with the block or with the process that
started it. Nothing is scraped and no rule is evaluated.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.artifacts.monitoring_tools import promtool
from tests.harness.commands import run
from tests.harness.history import DAY, HOUR, History, Span, sources
from toolchain import artefacts

_START_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 60
_END_SECONDS: Final = 20
_BUILD_SECONDS: Final = 900
_RETENTION: Final = "100y"
_RULES: Final = "rules.yaml"
"""A hash of the name as promtool is told it decides when in each interval a group is evaluated: with a folder
that is never the same, recorded values would never be the same."""
_ONE_BLOCK: Final = f"{64 * DAY // HOUR}h"
"""Longer than any history: promtool reads its input once for each block that it makes."""


@dataclass(frozen=True)
class Prometheus:
    """A server that answers."""

    url: str
    """Base URL of the HTTP API, without a slash at its end."""
    span: Span
    """When there are samples."""

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Result of an instant query, at the end of the history unless told otherwise."""
        result: list[dict[str, Any]] = self._get(
            "query", {"query": expression, "time": f"{self.span.end if at is None else at}"}
        )
        return result

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Result of a range query; times and step in seconds."""
        parameters = {"query": expression, "start": f"{start}", "end": f"{end}", "step": f"{step}"}
        result: list[dict[str, Any]] = self._get("query_range", parameters)
        return result

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=_ANSWER_SECONDS) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]["result"]


@contextmanager
def serve(
    span: Span | None = None,
    wanted: frozenset[str] | None = None,
    rules: str | None = None,
    more: str = "",
) -> Iterator[Prometheus]:
    """A server with a history, until the end of the block; skips where Prometheus cannot be had.

    :param wanted: series that are there; all recorded ones take minutes and 4 GB of disk to make, once.
    :param rules: text of a rule file whose recording rules have been evaluated all the time.
    :param more: lines of other series, as OpenMetrics has them.
    """
    span = span or Span()
    with serve_blocks(blocks(span, wanted, rules, more), span) as server:
        yield server


@contextmanager
def serve_blocks(made: Path, span: Span) -> Iterator[Prometheus]:
    """A server of blocks that are there, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="prometheus-") as folder:
        data = Path(folder) / "data"
        # Blocks are never written to; a server that compacts them removes links only.
        shutil.copytree(made, data, copy_function=_link)
        with _server(data) as url:
            yield Prometheus(url, span)


def blocks(
    span: Span, wanted: frozenset[str] | None = None, rules: str | None = None, more: str = ""
) -> Path:
    """Folder with the blocks of a history, made now if there is none."""
    what = json.dumps([repr(span), sorted(wanted) if wanted is not None else None, rules, more])
    key = artefacts.digest(what, Path(__file__), *sources(), promtool())
    return artefacts.ensure(
        "metric-history", key, lambda target: make_blocks(target, span, wanted, rules, more)
    )


def make_blocks(
    target: Path, span: Span, wanted: frozenset[str] | None, rules: str | None, more: str = ""
) -> None:
    """Writes the blocks of a history to an empty folder; arguments are those of `serve`."""
    create: list[str | Path] = [promtool(), "tsdb", "create-blocks-from"]
    with tempfile.TemporaryDirectory(prefix="metric-history-", dir=target.parent) as folder:
        text = Path(folder) / "history.openmetrics"
        with text.open("w", encoding="utf-8") as out:
            History(span, wanted).write(out, more)
        run(
            [*create, "openmetrics", f"--max-block-duration={_ONE_BLOCK}", "--quiet", text, target],
            timeout=_BUILD_SECONDS,
        ).succeeded()
        if rules is None:
            return
        (Path(folder) / _RULES).write_text(rules, encoding="utf-8")
        data = Path(folder) / "data"
        shutil.copytree(target, data, copy_function=_link)
        with _server(data) as url:
            # The end is not part of what is evaluated.
            first, last = (_rfc3339(moment) for moment in (span.start, span.end + span.step))
            evaluation = [f"--url={url}", f"--start={first}", f"--end={last}"]
            interval = [f"--eval-interval={span.step}s", f"--max-block-duration={_ONE_BLOCK}"]
            run(
                [*create, "rules", *evaluation, *interval, f"--output-dir={target.absolute()}", _RULES],
                cwd=Path(folder),
                timeout=_BUILD_SECONDS,
            ).succeeded()


@contextmanager
def _server(data: Path) -> Iterator[str]:
    """Prometheus on a folder with blocks; yields its URL."""
    configuration = data.parent / "prometheus.yaml"
    configuration.write_text("global: {}\n", encoding="utf-8")
    url = f"http://127.0.0.1:{_free_port()}"
    log = data.parent / "prometheus.log"
    with log.open("w", encoding="utf-8") as said:
        child = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "--"),
                str(promtool().with_name("prometheus")),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={data}",
                f"--storage.tsdb.retention.time={_RETENTION}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GOMAXPROCS": "2"},
        )
    try:
        _wait_until_ready(url, child, log)
        yield url
    finally:
        child.terminate()
        try:
            child.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _wait_until_ready(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except OSError:
            text = log.read_text(encoding="utf-8")
            assert child.poll() is None, f"Prometheus ended with status {child.returncode}:\n{text}"
            assert time.monotonic() < deadline, f"Prometheus is not ready after {_START_SECONDS} s:\n{text}"
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system.
        shutil.copy2(source, target)


def _rfc3339(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
