"""F44: the log store is down, refuses, stalls or breaks connections; every line is delivered in the end.

A real Filebeat with the platform's configuration reads files that are written and rotated as kubelet does it.
What it sends to is a stand-in on loopback. Delivery is at least once: a line that comes twice has the same
id.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.common.quantities import MIB
from components.logging.shipper.configuration import Shipper
from tests.artifacts.log_shipper import NODE, Filebeat, PodLog, pod_log
from tests.chaos.logs.stores import Behaviour, FakeElasticsearch, FakeLogstash

pytestmark = pytest.mark.slow
QUEUE = 64 * MIB
PATIENCE = 60
"""Seconds until everything must have arrived after the store is well again."""


@pytest.fixture
def logstash() -> Iterator[FakeLogstash]:
    store = FakeLogstash()
    yield store
    store.stop()


@pytest.fixture
def elasticsearch() -> Iterator[FakeElasticsearch]:
    store = FakeElasticsearch()
    yield store
    store.stop()


class Lab:
    """Filebeat, the logs of a container, and a store."""

    def __init__(
        self, directory: Path, store: FakeLogstash | FakeElasticsearch, *, queue: int = QUEUE
    ) -> None:
        self.store = store
        self.log: PodLog = pod_log(directory / "pods")
        shipper = Shipper(
            hosts=(store.address,),
            queue_bytes=queue,
            node=NODE,
            pod_logs=str(directory / "pods"),
            tls=None,
            scan_seconds=1,
            retry_seconds=1,
        )
        output: dict[str, Any] | None = None
        if isinstance(store, FakeElasticsearch):
            # The same reading, masking and queue before another client.
            output = {
                "output.elasticsearch": {
                    "hosts": [store.address],
                    "index": "logs-generic-default",
                    "backoff.init": "200ms",
                    "backoff.max": "1s",
                    "bulk_max_size": 200,
                }
            }
        self.filebeat = Filebeat(directory, shipper, output=output)
        if isinstance(store, FakeLogstash):
            # As it is, it would wait half a minute for an answer.
            text = (directory / "filebeat.yml").read_text(encoding="utf-8")
            assert "timeout: 30s" in text
            (directory / "filebeat.yml").write_text(
                text.replace("timeout: 30s", "timeout: 2s").replace("ttl: 120s", "ttl: 3s"), encoding="utf-8"
            )
        self._count = 0

    def write(self, count: int, size: int = 80) -> None:
        """Lines that nobody else has written."""
        padding = "." * max(size - 20, 0)
        self.log.write(f"line {self._count + index:06d} {padding}" for index in range(count))
        self._count += count

    def write_for(self, seconds: float, *, each: int = 20) -> None:
        """A few lines every twentieth of a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.write(each)
            time.sleep(0.05)

    def arrived(self, seconds: float = PATIENCE) -> None:
        """Fails unless every line that was written is stored in time, and each under one id."""
        stored = self.store.stored
        self.filebeat.wait_until(
            lambda: len(stored.lines()) >= len(self.log.written), seconds, "every line delivered"
        )
        assert stored.missing(self.log.written) == []
        assert set(stored.lines()) == set(self.log.written)
        again = [line for line, count in stored.lines().items() if count > 1]
        assert all(len(stored.identities(line)) == 1 for line in again)


@pytest.fixture
def lab(tmp_path: Path, logstash: FakeLogstash) -> Iterator[Lab]:
    one = Lab(tmp_path, logstash)
    yield one
    one.filebeat.stop(signal.SIGKILL)


def test_f44_store_goes_down_under_writes_and_comes_back(lab: Lab) -> None:
    lab.store.start()
    lab.filebeat.start()
    lab.write_for(2)
    lab.store.stop()
    lab.write_for(4)
    before = len(lab.store.stored.lines())
    assert before < len(lab.log.written)
    lab.store.start()
    lab.write_for(1)
    lab.arrived()


def test_f44_shipper_killed_and_logs_rotated_while_the_store_is_down(lab: Lab) -> None:
    lab.filebeat.start()
    lab.write_for(2)
    lab.filebeat.wait_until(lambda: lab.filebeat.queue_bytes() > 0, 20, "lines in the queue")
    lab.log.rotate()
    lab.write_for(0.5)
    lab.filebeat.stop(signal.SIGKILL)
    # Nobody reads while these are written, and the file is renamed once more.
    lab.write(500)
    lab.log.rotate()
    lab.write(500)
    lab.filebeat.start()
    lab.write_for(1)
    assert lab.store.stored.lines() == {}
    lab.store.start()
    lab.arrived()


def test_f44_read_logs_may_vanish_because_they_are_in_the_queue(lab: Lab) -> None:
    """kubelet deletes what has been rotated too often; the queue is the buffer, not kubelet's files."""
    lab.filebeat.start()
    lab.write(2000)
    size = sum(len(line) for line in lab.log.written)
    lab.filebeat.wait_until(lambda: lab.filebeat.queue_bytes() > size, 30, "lines in the queue")
    time.sleep(2)
    lab.log.rotate().unlink()
    lab.filebeat.stop(signal.SIGKILL)
    lab.filebeat.start()
    lab.store.start()
    lab.arrived()


def test_f44_queue_full_stops_the_reading_and_loses_nothing(tmp_path: Path, logstash: FakeLogstash) -> None:
    queue = 10 * MIB
    lab = Lab(tmp_path, logstash, queue=queue)
    lab.filebeat.start()
    try:
        lab.write(30_000, size=1000)
        lab.filebeat.wait_until(lambda: lab.filebeat.queue_bytes() > 0.8 * queue, 60, "queue filled")
        time.sleep(3)
        full = lab.filebeat.queue_bytes()
        assert full <= queue
        time.sleep(2)
        assert lab.filebeat.queue_bytes() == full, "it went on reading"
        lab.filebeat.stop(signal.SIGKILL)
        lab.filebeat.start()
        lab.store.start()
        lab.arrived(120)
        lab.filebeat.wait_until(lambda: lab.filebeat.queue_bytes() < queue / 2, 30, "the queue given back")
    finally:
        lab.filebeat.stop(signal.SIGKILL)


def test_f44_store_that_breaks_connections_gets_every_line(lab: Lab) -> None:
    lab.store.behaviour = Behaviour.BREAKING
    lab.store.start()
    lab.filebeat.start()
    lab.write_for(3)
    lab.filebeat.wait_until(lambda: lab.store.attempts > 3, 30, "several attempts")
    lab.store.behaviour = Behaviour.WELL
    lab.arrived()


def test_f44_store_that_never_answers_gets_every_line_later(lab: Lab) -> None:
    lab.store.behaviour = Behaviour.STALLED
    lab.store.start()
    lab.filebeat.start()
    lab.write_for(3)
    lab.filebeat.wait_until(lambda: lab.store.attempts > 1, 30, "attempts")
    assert lab.store.stored.lines() == {}
    lab.store.behaviour = Behaviour.WELL
    lab.arrived()


def test_f44_shipper_killed_again_and_again(lab: Lab) -> None:
    randomness = random.Random(44)
    lab.store.start()
    writer = threading.Thread(target=lab.write_for, args=(8,))
    writer.start()
    while writer.is_alive():
        lab.filebeat.start()
        time.sleep(randomness.uniform(0.6, 1.4))
        lab.filebeat.stop(signal.SIGKILL)
    writer.join()
    lab.filebeat.start()
    lab.arrived()


@pytest.mark.parametrize("refusal", [Behaviour.REFUSING, Behaviour.PARTIAL])
def test_f44_store_without_room_gets_every_line_later(
    tmp_path: Path, elasticsearch: FakeElasticsearch, refusal: Behaviour
) -> None:
    lab = Lab(tmp_path, elasticsearch)
    elasticsearch.start()
    lab.filebeat.start()
    try:
        lab.write_for(1)
        elasticsearch.behaviour = refusal
        lab.write_for(2)
        elasticsearch.stop()
        lab.write_for(1)
        elasticsearch.start()
        lab.write_for(1)
        assert elasticsearch.stored.missing(lab.log.written)
        elasticsearch.behaviour = Behaviour.WELL
        lab.arrived()
    finally:
        lab.filebeat.stop(signal.SIGKILL)
