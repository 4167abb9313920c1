"""The audit collector's metrics as its own code writes them, to tell when the recorded page grows old."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from audit_trail.anomalies import RULES
from audit_trail.collect import Collector
from audit_trail.store import Store
from audit_trail.verify import Verdict, tell
from tests.artifacts.metric_pages import Page, load

JOB: Final = "audit-collector"
SOURCES: Final = ("kubernetes", "gateway", "model")


def audit_page() -> Page:
    """The page of a collector that has seen each source, and whose trail has been verified."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "trail")
        collector = Collector(store, dict.fromkeys(SOURCES, ()))
        collector.newest.update(dict.fromkeys(SOURCES, 1.0))
        collector.anomalies.update(dict.fromkeys(RULES, 1))
        tell(store, Verdict((), days=1, records=1, expired=0), datetime.now(UTC))
        file = Path(folder) / f"{JOB}.prom"
        file.write_text(f"# origin: recorded from apps/audit\n{collector.page()}", encoding="utf-8")
        return load(file)
