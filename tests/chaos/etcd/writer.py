"""A client that writes without pause and remembers what was acknowledged."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from etcd_tools.gateway import Credentials, encoded
from tests.chaos.etcd.namespaces import Namespace

PREFIX = "/chaos/"


@dataclass(frozen=True)
class Acknowledged:
    """A write that etcd has confirmed."""

    key: str
    value: str
    at: float
    """On the monotonic clock."""
    endpoint: str


class Writer:
    """Writes key after key; a write is repeated, at the next endpoint, until it is acknowledged.

    A write whose answer is lost may have happened. Since each key has one value for good, repeating it does
    no harm.
    """

    def __init__(
        self,
        host: Namespace,
        endpoints: tuple[str, ...],
        credentials: Credentials,
        *,
        name: str,
        attempt_seconds: float = 0.5,
        pause_seconds: float = 0.01,
        interval_seconds: float = 0.0,
    ) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.failed_attempts = 0
        self._endpoints = endpoints
        self._credentials = credentials
        self._name = name
        self._attempt_seconds = attempt_seconds
        self._pause_seconds = pause_seconds
        self._interval_seconds = interval_seconds
        self._connections: dict[str, http.client.HTTPSConnection] = {}
        self._stop = threading.Event()
        # Started on the host, so that it has the host's network.
        self._thread = threading.Thread(target=self._write, daemon=True)
        host.run(self._thread.start)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """After the write that is under way."""
        self._stop.set()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        number, current = 0, 0
        while not self._stop.is_set():
            key, value = f"{PREFIX}{self._name}/{number:06}", f"{self._name}-{number}"
            while not self._stop.is_set():
                endpoint = self._endpoints[current % len(self._endpoints)]
                if self._put(endpoint, key, value):
                    self.acknowledged.append(Acknowledged(key, value, time.monotonic(), endpoint))
                    break
                self.failed_attempts += 1
                current += 1
                self._stop.wait(self._pause_seconds)
            number += 1
            if self._interval_seconds:
                self._stop.wait(self._interval_seconds)
        for connection in self._connections.values():
            connection.close()

    def _put(self, endpoint: str, key: str, value: str) -> bool:
        connection = self._connections.get(endpoint)
        try:
            if connection is None:
                address = urlsplit(endpoint)
                connection = http.client.HTTPSConnection(
                    address.hostname or "",
                    address.port,
                    timeout=self._attempt_seconds,
                    context=self._credentials.context(),
                )
                self._connections[endpoint] = connection
            connection.request(
                "POST", "/v3/kv/put", json.dumps({"key": encoded(key), "value": encoded(value)})
            )
            answer = json.loads(connection.getresponse().read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            broken = self._connections.pop(endpoint, None)
            if broken is not None:
                broken.close()
            return False
        return "header" in answer and "error" not in answer

    def count(self) -> int:
        return len(self.acknowledged)

    def wait_for(self, more: int, seconds: float) -> float:
        """Until that many more writes are acknowledged; returns how long it took."""
        target, started = self.count() + more, time.monotonic()
        while self.count() < target:
            elapsed = time.monotonic() - started
            assert elapsed < seconds, f"{self.count() - target + more} of {more} writes within {seconds} s"
            time.sleep(0.005)
        return time.monotonic() - started

    def longest_pause(self) -> float:
        """Seconds between two acknowledged writes, at most."""
        times = [item.at for item in self.acknowledged]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)
