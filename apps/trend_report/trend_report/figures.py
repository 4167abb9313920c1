"""What Prometheus knows of two weeks, hour by hour.

Counters are asked for by the hour (`increase(…[1h])`) and summed here: no query has to hold a week of raw
samples in memory, restarts of a server cost nothing, and an hour without data is seen as such instead of
being smoothed over. Names of metrics are vLLM's, DCGM exporter's and node exporter's, as the platform's own
alerts use them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from trend_report.errors import ReportError
from trend_report.histogram import Histogram
from trend_report.period import HOUR, Week
from trend_report.prometheus import Prometheus, Series

Hourly = Mapping[int, float]
"""Values by the end of the hour, in seconds since the epoch; hours without data are not in it."""

_ANSWERS: Final = 'job="model-server",handler=~"/v1/(chat/)?completions"'
"""Requests for answers; probes ask for other paths."""
_GPU_MEMORY: Final = (
    "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE + DCGM_FI_DEV_FB_RESERVED)"
)

MODEL_QUERIES: Final[Mapping[str, str]] = {
    "latency": "sum by (model, le) (increase(vllm:e2e_request_latency_seconds_bucket{SELECTOR}[1h]))",
    "first_token": "sum by (model, le) (increase(vllm:time_to_first_token_seconds_bucket{SELECTOR}[1h]))",
    "answers": f"sum by (model, status) (increase(http_requests_total{{SELECTOR,{_ANSWERS}}}[1h]))",
    "generated": "sum by (model) (increase(vllm:generation_tokens_total{SELECTOR}[1h]))",
    "prompted": "sum by (model) (increase(vllm:prompt_tokens_total{SELECTOR}[1h]))",
    "kv_cache": "avg by (model) (avg_over_time(vllm:kv_cache_usage_perc{SELECTOR}[1h]))",
    "kv_cache_peak": "max by (model) (max_over_time(vllm:kv_cache_usage_perc{SELECTOR}[1h]))",
    "queue": "sum by (model) (avg_over_time(vllm:num_requests_waiting{SELECTOR}[1h]))",
    "up": 'avg by (model) (avg_over_time(up{SELECTOR,job="model-server"}[1h]))',
}
"""By name; `SELECTOR` stands for the matcher of the namespace. Each result has the label `model`."""
STACK_QUERIES: Final[Mapping[str, str]] = {
    "gpu": "avg(avg_over_time(DCGM_FI_DEV_GPU_UTIL[1h])) / 100",
    "gpu_memory": f"avg({_GPU_MEMORY})",
    "cpu": '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[1h]))',
    "restarts": "sum(increase(kube_pod_container_status_restarts_total{SELECTOR}[1h]))",
}
"""Of everything together."""


@dataclass(frozen=True)
class ModelWeek:
    """One model in one week."""

    week: Week
    latency: Mapping[int, Histogram] = field(default_factory=dict)
    """Whole answers, by hour."""
    first_token: Mapping[int, Histogram] = field(default_factory=dict)
    answers: Hourly = field(default_factory=dict)
    """All that were given, whatever their status."""
    failed: Hourly = field(default_factory=dict)
    """Those with 5xx."""
    generated: Hourly = field(default_factory=dict)
    """Tokens."""
    prompted: Hourly = field(default_factory=dict)
    """Tokens."""
    kv_cache: Hourly = field(default_factory=dict)
    kv_cache_peak: Hourly = field(default_factory=dict)
    queue: Hourly = field(default_factory=dict)
    up: Hourly = field(default_factory=dict)
    """Part of the scrapes that a replica answered."""


@dataclass(frozen=True)
class StackWeek:
    """What is not any model's, in one week; parts of 1, restarts as a number."""

    week: Week
    gpu: Hourly = field(default_factory=dict)
    gpu_memory: Hourly = field(default_factory=dict)
    cpu: Hourly = field(default_factory=dict)
    restarts: Hourly = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """The week and the one before it."""

    week: Week
    models: Mapping[str, tuple[ModelWeek, ModelWeek]]
    """By model: the week, and the one before it."""
    stack: tuple[StackWeek, StackWeek]
    missing: tuple[str, ...]
    """What could not be asked for, or whose answer is known to lack something: in words."""


def collect(prometheus: Prometheus, week: Week, namespace: str) -> Figures:
    """Ask for everything; a query that fails leaves a gap that is named.

    :raises ReportError: the last failure, where every query failed.
    """
    weeks = (week, week.before)
    asked = _Asked(prometheus, namespace, weeks)
    by_model = {name: asked.query(name, query) for name, query in MODEL_QUERIES.items()}
    of_stack = {name: asked.query(name, query) for name, query in STACK_QUERIES.items()}
    if asked.last_failure is not None and asked.failures == len(by_model) + len(of_stack):
        raise asked.last_failure
    names = sorted({one.labels.get("model", "") for found in by_model.values() for one in found} - {""})
    models = {name: (_model(weeks[0], name, by_model), _model(weeks[1], name, by_model)) for name in names}
    return Figures(
        week=week,
        models=models,
        stack=(_stack(weeks[0], of_stack), _stack(weeks[1], of_stack)),
        missing=(*asked.missing, *prometheus.warnings),
    )


@dataclass
class _Asked:
    prometheus: Prometheus
    namespace: str
    weeks: tuple[Week, Week]
    missing: list[str] = field(default_factory=list)
    failures: int = 0
    last_failure: ReportError | None = None

    def query(self, name: str, query: str) -> list[Series]:
        """Both weeks in one range, an answer for each hour."""
        selector = f'namespace="{self.namespace}"'
        first, last = self.weeks[1].hours[0], self.weeks[0].hours[-1]
        try:
            return self.prometheus.range(query.replace("SELECTOR", selector), first, last, HOUR)
        except ReportError as error:
            self.failures += 1
            self.last_failure = error
            self.missing.append(f"{name.replace('_', ' ')}: {error}")
            return []


def _model(week: Week, model: str, found: Mapping[str, Sequence[Series]]) -> ModelWeek:
    mine = {
        name: [one for one in series if one.labels.get("model") == model] for name, series in found.items()
    }
    answers = _sum(week, mine["answers"])
    failed = _sum(week, [one for one in mine["answers"] if one.labels.get("status") == "5xx"])
    return ModelWeek(
        week=week,
        latency=_histograms(week, mine["latency"]),
        first_token=_histograms(week, mine["first_token"]),
        answers=answers,
        # A server that never failed has no series that says so.
        failed={hour: failed.get(hour, 0.0) for hour in answers},
        **{
            name: _sum(week, mine[name])
            for name in ("generated", "prompted", "kv_cache", "kv_cache_peak", "queue", "up")
        },
    )


def _stack(week: Week, found: Mapping[str, Sequence[Series]]) -> StackWeek:
    return StackWeek(week=week, **{name: _sum(week, series) for name, series in found.items()})


def _sum(week: Week, series: Sequence[Series]) -> dict[int, float]:
    totals: dict[int, float] = {}
    for one in series:
        for hour in week.hours:
            if hour in one.values:
                totals[hour] = totals.get(hour, 0.0) + one.values[hour]
    return totals


def _histograms(week: Week, series: Sequence[Series]) -> dict[int, Histogram]:
    counts: dict[int, dict[float, float]] = {}
    for one in series:
        try:
            bound = float(one.labels["le"])
        except (KeyError, ValueError):
            continue
        for hour in week.hours:
            if hour in one.values:
                counts.setdefault(hour, {})[bound] = one.values[hour]
    return {hour: Histogram(found) for hour, found in sorted(counts.items()) if math.inf in found}


def together(histograms: Sequence[Histogram]) -> Histogram:
    """One histogram of the observations of all."""
    counts: dict[float, float] = {}
    for one in histograms:
        for bound, count in one.counts.items():
            counts[bound] = counts.get(bound, 0.0) + count
    return Histogram(counts)
