"""Figures of two weeks that are made up, and a configuration for them."""

from __future__ import annotations

import math
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from trend_report import configuration
from trend_report.configuration import Configuration
from trend_report.figures import Figures, ModelWeek, StackWeek
from trend_report.histogram import Histogram
from trend_report.period import Week

UTC = ZoneInfo("UTC")
WEEK = Week(date(2026, 11, 9), UTC)
MODEL = "autoglm-phone-9b"
BOUNDS = (0.3, 0.5, 0.8, 1.0, 1.5, math.inf)


def document(**changes: Any) -> dict[str, Any]:
    """The configuration's JSON."""
    return {
        "stack": "prod",
        "namespace": "autoglm",
        "timeZone": "UTC",
        "prometheus": ["http://prometheus-operated.monitoring.svc:9090"],
        "alertmanagers": ["http://alertmanager-operated.monitoring.svc:9093"],
        "objectives": {
            "availability": 0.999,
            "firstToken": 0.95,
            "firstTokenSeconds": 0.8,
            "latencyQuantile": 0.99,
            "latencySeconds": 0.9,
        },
        "price": {
            "low": 10,
            "high": 40,
            "currency": "USD",
            "source": "list prices of 2026-07-20",
            "unpriced": ["Filestore"],
        },
        "keepWeeks": 4,
        **changes,
    }


def settings(**changes: Any) -> Configuration:
    """The configuration."""
    return configuration.parse(document(**changes))


def histogram(*counts: float) -> Histogram:
    """Observations up to each of BOUNDS."""
    return Histogram(dict(zip(BOUNDS, counts, strict=True)))


USUAL = histogram(10, 60, 98, 100, 100, 100)
SLOW = histogram(0, 10, 30, 60, 90, 100)


def model_week(week: Week, *, failed: float = 0.0, slow: int | None = None, hours: int = 168) -> ModelWeek:
    """A hundred requests an hour; one hour may be slow, and only the first ones may be there at all."""
    times = week.hours[:hours]
    latency = {hour: SLOW if index == slow else USUAL for index, hour in enumerate(times)}
    return ModelWeek(
        week=week,
        latency=latency,
        first_token=latency,
        answers=dict.fromkeys(times, 100.0),
        failed={hour: failed if index == slow else 0.0 for index, hour in enumerate(times)},
        generated=dict.fromkeys(times, 5_000.0),
        prompted=dict.fromkeys(times, 245_000.0),
        kv_cache=dict.fromkeys(times, 0.25),
        kv_cache_peak={hour: 0.97 if index == slow else 0.6 for index, hour in enumerate(times)},
        queue=dict.fromkeys(times, 0.5),
        up=dict.fromkeys(times, 1.0),
    )


def stack_week(week: Week) -> StackWeek:
    """GPUs that are a third busy; nothing is known of CPUs."""
    return StackWeek(
        week=week,
        gpu=dict.fromkeys(week.hours, 0.33),
        gpu_memory=dict.fromkeys(week.hours, 0.92),
        restarts={hour: float(index == 60) for index, hour in enumerate(week.hours)},
    )


def figures(model: str = MODEL, **more: Any) -> Figures:
    """A bad week after a good one, and a second model that nobody has asked yet."""
    return Figures(
        week=WEEK,
        models={
            model: (model_week(WEEK, failed=40, slow=62), model_week(WEEK.before)),
            "unused": (ModelWeek(WEEK), ModelWeek(WEEK.before)),
        },
        stack=(stack_week(WEEK), stack_week(WEEK.before)),
        missing=more.get("missing", ()),
    )
