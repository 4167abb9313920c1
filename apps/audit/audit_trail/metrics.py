"""Figures for Prometheus, in its text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from audit_trail.store import Store, write

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """A metric with all its samples."""

    name: str
    kind: str
    """`counter` or `gauge`."""
    help: str
    samples: Mapping[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    """Values by labels."""


def by_label(label: str, values: Mapping[str, float]) -> dict[tuple[tuple[str, str], ...], float]:
    """Samples that differ by one label."""
    return {((label, key),): value for key, value in values.items()}


def single(value: float) -> dict[tuple[tuple[str, str], ...], float]:
    """The one sample of a metric without labels."""
    return {(): value}


def render(metrics: Iterable[Metric]) -> str:
    """The text that Prometheus reads."""
    lines: list[str] = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in sorted(metric.samples.items()):
            inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels)
            lines.append(f"{metric.name}{f'{{{inner}}}' if inner else ''} {value:.17g}")
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def save(store: Store, job: str, metrics: Iterable[Metric]) -> None:
    """Figures of a Job, for the collector to tell."""
    write(store.root / "metrics" / f"{job}.prom", render(metrics).encode())


def page(store: Store, own: Iterable[Metric]) -> str:
    """The collector's figures, and those that Jobs have left on the volume."""
    stat = os.statvfs(store.root)
    free = Metric(
        "audit_store_free_bytes",
        "gauge",
        "Free space on the volume of the trail.",
        single(stat.f_bavail * stat.f_frsize),
    )
    parts = [render([*own, free])]
    for path in sorted((store.root / "metrics").glob("*.prom")):
        parts.append(path.read_text(encoding="utf-8"))
    return "".join(parts)


def serve(port: int, content: Callable[[], str], healthy: Callable[[], bool]) -> ThreadingHTTPServer:
    """Serve /metrics, and /healthz for the kubelet, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, content(), CONTENT_TYPE)
            elif self.path == "/healthz":
                self._answer(200 if healthy() else 503, "", "text/plain")
            else:
                self._answer(404, "", "text/plain")

        def _answer(self, status: int, body: str, kind: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
