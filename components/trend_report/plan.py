"""From the settings of the weekly report to what is built: pure, every problem collected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from components.common.demand import Demand, pod_demand
from components.common.problems import Problem
from components.common.quantities import MIB, Resources
from components.monitoring import ports
from components.monitoring.durations import DAY, HOUR, format_duration
from components.monitoring.settings import Monitoring
from components.monitoring.stack import ALERTMANAGER, PROMETHEUS
from components.trend_report.settings import TrendReport

REPORT_IMAGE: Final = "trend-report"
NAME: Final = "trend-report"
"""Of all its objects, and `app.kubernetes.io/name` of its pods."""
NEEDED_SECONDS: Final = 14 * DAY + 12 * HOUR
"""Two weeks, and the time from Monday's midnight to a report that is made the same morning."""
KEPT_JOBS: Final = 2
"""Whose logs can be read: the last that succeeded and the last that failed."""
RESOURCES: Final = Resources(cpu=100, memory=192 * MIB, ephemeral_storage=64 * MIB)
"""Python with two weeks of hourly figures: 25 MiB were seen with one model. Answers are read as a whole."""
REPORT_BYTES: Final = 256 * 1024
"""Of a week, on the safe side: a page with a dozen models."""


@dataclass(frozen=True)
class EstimatedPrice:
    """What the stack's own estimate says of an hour."""

    low: float
    high: float
    currency: str
    source: str
    """Where the prices come from, in words."""
    unpriced: tuple[str, ...]
    """What is not in them."""


@dataclass(frozen=True)
class Server:
    """Pods that the report asks or tells."""

    namespace: str
    labels: Mapping[str, str]
    port: int


@dataclass(frozen=True)
class TrendReportPlan:
    """The weekly report of a stack, checked."""

    settings: TrendReport
    namespace: str
    image: str
    configuration: str
    """JSON for the program; it holds no secret."""
    prometheus: Server
    alertmanager: Server | None
    """None: nobody is told."""

    @property
    def demand(self) -> Demand:
        """What it takes of the namespace's quota while a report is made."""
        return pod_demand(RESOURCES, storage=self.settings.storage.size, jobs=KEPT_JOBS + 1)


def plan_trend_report(
    settings: TrendReport,
    monitoring: Monitoring,
    *,
    stack: str,
    models_namespace: str,
    images: Mapping[str, str],
    estimate: EstimatedPrice | None = None,
) -> tuple[TrendReportPlan | None, list[Problem]]:
    """The plan, or what is wrong with the settings; paths begin below the section `report`.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param estimate: of the stack's cost, where its prices are known.
    """
    problems = list(_problems(settings, monitoring, images))
    if problems:
        return None, problems
    existing = monitoring.existing
    namespace = monitoring.namespace if existing is None else existing.namespace
    labels = {"app.kubernetes.io/name": PROMETHEUS} if existing is None else existing.pod_labels
    prometheus = Server(namespace, labels, ports.PROMETHEUS)
    alertmanager = Server(namespace, {"app.kubernetes.io/name": ALERTMANAGER}, ports.ALERTMANAGER)
    told = alertmanager if settings.announce else None
    document = _document(settings, monitoring, stack, models_namespace, estimate, prometheus, told)
    return (
        TrendReportPlan(
            settings=settings,
            namespace=monitoring.namespace,
            image=images.get(REPORT_IMAGE, ""),
            configuration=json.dumps(document, indent=2, ensure_ascii=False) + "\n",
            prometheus=prometheus,
            alertmanager=told,
        ),
        [],
    )


def _problems(settings: TrendReport, monitoring: Monitoring, images: Mapping[str, str]) -> Iterator[Problem]:
    if images and REPORT_IMAGE not in images:
        yield Problem("", f"needs the image {REPORT_IMAGE!r}, which is not listed; add it with its digest")
    if not _is_zone(settings.time_zone):
        yield Problem(
            "timeZone",
            f"{settings.time_zone!r}: not in the time zone database; write one such as Asia/Shanghai",
        )
    retention = monitoring.prometheus.retention
    if monitoring.existing is None and retention < NEEDED_SECONDS:
        yield Problem(
            "",
            f"compares two weeks, and monitoring.prometheus.retention is {format_duration(retention)}; "
            f"write {-(-NEEDED_SECONDS // DAY)}d or more there",
        )
    if (price := settings.price) is not None and price.high < price.low:
        yield Problem("price.high", f"{price.high:g}: less than low {price.low:g}; write at least as much")
    needed = settings.keep_weeks * REPORT_BYTES
    if settings.storage.size < needed:
        fit = settings.storage.size // REPORT_BYTES
        yield Problem(
            "keepWeeks",
            f"{settings.keep_weeks}: {needed // MIB} MiB may be needed and storage.size is "
            f"{settings.storage.size // MIB} MiB; raise storage.size, or keep {fit}",
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo("Etc/UTC")
    except ZoneInfoNotFoundError:
        # This machine has no database; Kubernetes checks the name.
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    # The API server refuses it: it is nobody's in particular.
    return name != "Local"


def _document(
    settings: TrendReport,
    monitoring: Monitoring,
    stack: str,
    models_namespace: str,
    estimate: EstimatedPrice | None,
    prometheus: Server,
    alertmanager: Server | None,
) -> dict[str, Any]:
    """The program's configuration (apps/trend_report/trend_report/configuration.py)."""
    thresholds, objectives = monitoring.thresholds, monitoring.objectives
    return {
        "stack": stack,
        "namespace": models_namespace,
        "timeZone": settings.time_zone,
        # prometheus-operator's own Services name every pod, so that each one can be asked.
        "prometheus": [_address("prometheus-operated", prometheus)],
        "alertmanagers": [] if alertmanager is None else [_address("alertmanager-operated", alertmanager)],
        "objectives": {
            "availability": objectives.availability,
            "firstToken": objectives.first_token,
            "firstTokenSeconds": objectives.first_token_seconds,
            "latencyQuantile": thresholds.latency_quantile,
            "latencySeconds": thresholds.latency_seconds,
        },
        "price": _price(settings, estimate),
        "keepWeeks": settings.keep_weeks,
    }


def _price(settings: TrendReport, estimate: EstimatedPrice | None) -> dict[str, Any] | None:
    if (given := settings.price) is not None:
        return {
            "low": given.low,
            "high": given.high,
            "currency": given.currency,
            "source": "the price of an hour that the stack's settings give",
            "unpriced": [],
        }
    if estimate is None:
        return None
    return {
        "low": estimate.low,
        "high": estimate.high,
        "currency": estimate.currency,
        "source": estimate.source,
        "unpriced": list(estimate.unpriced),
    }


def _address(service: str, server: Server) -> str:
    return f"http://{service}.{server.namespace}.svc:{server.port}"
