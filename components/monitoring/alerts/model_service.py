"""Alerts on what users of a model notice, and on the engine behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import (
    AlertRule,
    Evidence,
    Growth,
    Level,
    RuleGroup,
    Series,
    Severity,
    level,
)
from components.monitoring.settings import AlertThresholds, Monitoring
from components.monitoring.stack import MODEL_SERVER, MonitoredStack

AREA: Final = "model"
ANSWERS: Final = f'job="{MODEL_SERVER}",handler=~"/v1/(chat/)?completions"'
"""Requests for answers. Probes ask for /v1/models and /health, far more often than users do."""
NAMESPACE: Final = "autoglm"
MODEL: Final = "autoglm-phone-9b"
_MODEL_LABELS: Final = {"namespace": NAMESPACE, "model": MODEL}
_REPLICA_LABELS: Final = {**_MODEL_LABELS, "pod": "phone-0"}


def target(pod: str = "phone-0", more: str = "") -> str:
    """Labels of a replica's samples in the evidence."""
    return f'job="{MODEL_SERVER}",namespace="{NAMESPACE}",model="{MODEL}",pod="{pod}"{more}'


def histogram(name: str, per_second: dict[str, float]) -> tuple[Series, ...]:
    """Buckets of a histogram: requests per second by upper bound."""
    return tuple(
        Series(f"{name}_bucket{{{target(more=_bound(bound))}}}", Growth(rate))
        for bound, rate in per_second.items()
    )


def _bound(bound: str) -> str:
    return f',engine="0",le="{bound}"'


def answers(status: str, per_second: float) -> Series:
    """Requests for answers that end with a status."""
    more = f',handler="/v1/chat/completions",method="POST",status="{status}"'
    return Series(f"http_requests_total{{{target(more=more)}}}", Growth(per_second))


def engine(name: str, samples: Level | Growth) -> Series:
    """A series of the engine."""
    extra = ',engine="0"'
    return Series(f"vllm:{name}{{{target(more=extra)}}}", samples)


def model_service(settings: Monitoring, stack: MonitoredStack) -> RuleGroup:
    """Alerts on a stack's models."""
    return RuleGroup("model-service", (), tuple(_alerts(settings.thresholds, stack)))


def _alerts(limits: AlertThresholds, stack: MonitoredStack) -> Iterator[AlertRule]:
    yield _servers_down(stack)
    yield _latency(limits)
    yield _first_token(limits)
    yield _token_rate(limits)
    yield _kv_cache(limits)
    yield _failures(limits)


def _servers_down(stack: MonitoredStack) -> AlertRule:
    up = f'up{{job="{MODEL_SERVER}",namespace="{stack.namespace}"}}'
    return AlertRule(
        name="ModelServersDown",
        severity=Severity.PAGE,
        area=AREA,
        # Without any pod there is no target either, and `up` has no sample at all.
        expr=f"sum by (namespace) ({up}) == 0 or sum by (namespace) (absent({up})) * 0",
        # Long enough for one scrape that fails by chance, short enough to tell within a minute of a crash.
        hold=MINUTE // 2,
        summary="No model server of {{ $labels.namespace }} answers",
        description="Nobody gets an answer. Either there is no pod, or none of them lets itself be scraped.",
        runbook="model-servers-down",
        firing=Evidence(
            (Series(f"up{{{target()}}}", Level(((1, 120), (None, 0)))),),
            true_from=120,
            labels=({"namespace": NAMESPACE},),
        ),
        silent=(Series(f"up{{{target()}}}", level(0)), Series(f"up{{{target('phone-1')}}}", level(1))),
    )


def _latency(limits: AlertThresholds) -> AlertRule:
    buckets = "sum by (namespace, model, le) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))"
    return AlertRule(
        name="ModelLatencyHigh",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"histogram_quantile({limits.latency_quantile:g}, {buckets}) > {limits.latency_seconds:g}",
        hold=5 * MINUTE,
        summary="Answers of {{ $labels.model }} take {{ $value | humanizeDuration }}",
        description=(
            f"{limits.latency_quantile:.4g} of whole answers should take no longer than "
            f"{limits.latency_seconds:g} s."
        ),
        runbook="model-slow",
        # 98 in 100 within 0.8 s, all within 1 s: the 99th percentile lies half-way between.
        firing=Evidence(
            histogram("vllm:e2e_request_latency_seconds", {"0.8": 9.7, "1.0": 10, "+Inf": 10}),
            true_from=15,
            labels=(_MODEL_LABELS,),
        ),
        silent=histogram("vllm:e2e_request_latency_seconds", {"0.8": 9.85, "1.0": 10, "+Inf": 10}),
    )


def _first_token(limits: AlertThresholds) -> AlertRule:
    buckets = "sum by (namespace, model, le) (rate(vllm:time_to_first_token_seconds_bucket[2m]))"
    return AlertRule(
        name="FirstTokenSlow",
        severity=Severity.PAGE,
        area=AREA,
        expr=(
            f"histogram_quantile({limits.first_token_quantile:g}, {buckets}) > {limits.first_token_seconds:g}"
        ),
        hold=2 * MINUTE,
        summary="First tokens of {{ $labels.model }} take {{ $value | humanizeDuration }}",
        description=(
            f"{limits.first_token_quantile:.4g} of first tokens should come within "
            f"{limits.first_token_seconds:g} s. Usually requests wait in the queue."
        ),
        runbook="model-slow",
        firing=Evidence(
            histogram("vllm:time_to_first_token_seconds", {"0.75": 9, "1.0": 10, "+Inf": 10}),
            true_from=15,
            labels=(_MODEL_LABELS,),
        ),
        silent=histogram("vllm:time_to_first_token_seconds", {"0.75": 9.45, "1.0": 10, "+Inf": 10}),
    )


def _token_rate(limits: AlertThresholds) -> AlertRule:
    by = "(namespace, model, pod)"
    slow = f"sum by {by} (rate(vllm:generation_tokens_total[2m])) < {limits.tokens_per_second:g}"
    # Busy all the time: a replica that had nothing to do for half of it is not slow.
    busy = f"sum by {by} (min_over_time(vllm:num_requests_running[2m])) > 0"
    enough = limits.tokens_per_second
    return AlertRule(
        name="TokenRateLow",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"{slow} and {busy}",
        hold=5 * MINUTE,
        summary="{{ $labels.pod }} generates {{ $value | humanize }} tokens a second",
        description=f"A busy replica should generate {enough:g} tokens a second or more.",
        runbook="model-slow",
        firing=Evidence(
            (
                engine("generation_tokens_total", Growth(enough * 0.9)),
                engine("num_requests_running", level(2)),
            ),
            true_from=15,
            labels=(_REPLICA_LABELS,),
        ),
        # One has nothing to do every other minute; one is just fast enough.
        silent=(
            engine("generation_tokens_total", Growth(enough * 0.1)),
            engine("num_requests_running", Level(tuple((count, 60) for count in (2, 0) * 20))),
            Series(f"vllm:generation_tokens_total{{{target('phone-1')}}}", Growth(enough * 1.05)),
            Series(f"vllm:num_requests_running{{{target('phone-1')}}}", level(4)),
        ),
    )


def _kv_cache(limits: AlertThresholds) -> AlertRule:
    by = "(namespace, model, pod)"
    full = f"max by {by} (vllm:kv_cache_usage_perc) > {limits.kv_cache_percent / 100:.4g}"
    return AlertRule(
        name="KvCacheFull",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"{full} and sum by {by} (vllm:num_requests_waiting) > 0",
        hold=2 * MINUTE,
        summary="KV cache of {{ $labels.pod }} is {{ $value | humanizePercentage }} full and requests wait",
        description=(
            "Requests wait until others have ended, and some are pre-empted and computed anew. A full cache "
            "without a queue is a well-used engine and no alert."
        ),
        runbook="kv-cache-full",
        firing=Evidence(
            (engine("kv_cache_usage_perc", level(0.97)), engine("num_requests_waiting", level(3))),
            true_from=0,
            labels=(_REPLICA_LABELS,),
        ),
        silent=(engine("kv_cache_usage_perc", level(0.99)), engine("num_requests_waiting", level(0))),
    )


def _failures(limits: AlertThresholds) -> AlertRule:
    failed = f'sum by (namespace, model) (rate(http_requests_total{{{ANSWERS},status="5xx"}}[5m]))'
    every = f"sum by (namespace, model) (rate(http_requests_total{{{ANSWERS}}}[5m]))"
    return AlertRule(
        name="RequestsFailing",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"{failed} / {every} > {limits.failed_request_percent / 100:.4g}",
        hold=5 * MINUTE,
        summary="{{ $value | humanizePercentage }} of requests to {{ $labels.model }} fail",
        description=f"More than {limits.failed_request_percent:g} % of requests are answered with 5xx.",
        runbook="requests-failing",
        firing=Evidence((answers("2xx", 9.8), answers("5xx", 0.2)), true_from=15, labels=(_MODEL_LABELS,)),
        silent=(answers("2xx", 9.95), answers("5xx", 0.05)),
    )
