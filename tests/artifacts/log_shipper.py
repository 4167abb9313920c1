"""A real Filebeat with the platform's configuration, on files and addresses of a test."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.logging.shipper.configuration import Shipper, configuration
from toolchain import golang
from toolchain.errors import ToolchainError

NODE = "node-1"
TIMESTAMP = "2026-11-21T11:58:39.843298468Z"
POD = "models_phone-7d9c_0b6f2c5e-11aa-4f0e-9a51-2f6f3f1a7c11"
CONTAINER = "model-server"


def filebeat() -> Path:
    """The program; skips where it cannot be had."""
    if found := shutil.which("filebeat"):
        return Path(found)
    try:
        return golang.ensure_binaries("filebeat")["filebeat"]
    except (ToolchainError, OSError) as error:
        pytest.skip(f"filebeat cannot be had: {error}")


@dataclass
class PodLog:
    """A container's log as kubelet keeps it, and rotates it."""

    path: Path
    rotations: int = 0
    written: list[str] = field(default_factory=list)

    def write(self, lines: Iterable[str], stream: str = "stdout") -> None:
        """Whole lines, each with the prefix of the container runtime interface."""
        batch = list(lines)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{TIMESTAMP} {stream} F {line}\n" for line in batch)
        self.written += batch

    def rotate(self) -> Path:
        """kubelet renames the file with its time; the container runtime opens a new one."""
        self.rotations += 1
        old = self.path.with_name(f"{self.path.name}.20261121-12{self.rotations:04d}")
        self.path.rename(old)
        self.path.touch()
        return old


def pod_log(root: Path, pod: str = POD, container: str = CONTAINER) -> PodLog:
    """An empty log below `root`."""
    directory = root / pod / container
    directory.mkdir(parents=True)
    path = directory / "0.log"
    path.touch()
    return PodLog(path)


class Filebeat:
    """One that can be started, killed and started again on the same data."""

    def __init__(
        self,
        directory: Path,
        shipper: Shipper,
        *,
        output: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = directory
        self.messages = directory / "messages.log"
        document = configuration(shipper)
        if output is not None:
            document = {key: value for key, value in document.items() if not key.startswith("output.")}
            document |= output
        document |= {"path.data": str(directory / "data"), "http.enabled": False, **(settings or {})}
        document.pop("http")
        self._file = directory / "filebeat.yml"
        self._file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        self._file.chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Runs it; its messages go to a file."""
        assert self._process is None
        with self.messages.open("ab") as messages:
            self._process = subprocess.Popen(
                [filebeat(), "-e", "-c", self._file], stdout=messages, stderr=messages, cwd=self.directory
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it, if it runs."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def queue_bytes(self) -> int:
        """What its disk queue takes."""
        return sum(file.stat().st_size for file in (self.directory / "data" / "diskqueue").glob("*.seg"))

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Until something is so; fails with its last messages."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"filebeat ended by itself:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:g} s\n{self.tail()}")
            time.sleep(0.1)

    def tail(self) -> str:
        """Its last messages."""
        return self.messages.read_text(encoding="utf-8", errors="replace")[-3000:]


def ship_to_file(
    directory: Path, lines: list[str], *, pod: str = POD, container: str = CONTAINER, **changes: Any
) -> list[dict[str, Any]]:
    """What becomes of each line, in order: everything but the last step is as in a cluster."""
    log = pod_log(directory / "pods", pod, container)
    log.write(lines)
    shipper = Shipper(
        hosts=("unused:1",),
        queue_bytes=128 * 1024 * 1024,
        node=NODE,
        pod_logs=str(directory / "pods"),
        tls=None,
        scan_seconds=1,
        **changes,
    )
    # Filebeat's own output to a file stands in for Logstash: what is under test lies before it.
    one = Filebeat(
        directory,
        shipper,
        output={"output.file": {"path": str(directory / "out"), "rotate_every_kb": 1024 * 1024}},
    )
    one.start()
    try:
        one.wait_until(lambda: len(_shipped(directory)) >= len(lines), 60, f"{len(lines)} lines shipped")
    finally:
        one.stop()
    events = [json.loads(line) for line in _shipped(directory)]
    return sorted(events, key=lambda event: int(event["log"]["offset"]))


def _shipped(directory: Path) -> list[str]:
    return [
        line
        for file in sorted((directory / "out").glob("*"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.endswith("}")
    ]
