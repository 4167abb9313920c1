"""Two weeks of metrics of a stack that never ran, with the names and labels of the recorded pages.

Every series of `tests/artifacts/metrics` is there, once for each target that would offer it. What dashboards
and reports show follows one model of load: requests rise and fall with the day and the week, latencies, KV
cache, GPU and tokens follow them; everything else gets a plausible level or rate. Wednesday of the last week
has an incident: answers are slow, some fail, and one replica restarts, so that its counters begin anew.

The same arguments give the same text, bit by bit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TextIO

from prometheus_client.parser import text_string_to_metric_families

from tests.artifacts.metric_pages import FOLDER

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
WEEK: Final = 7 * DAY
MONDAY: Final = 1_794_787_200
"""2026-11-16 00:00 UTC, a Monday: the end of the history unless told otherwise."""

Value = float | int | None
"""None: no sample, as when a target is down."""
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Span:
    """When there are samples: every `step` seconds, and every `dense_step` in the last hours."""

    end: int = MONDAY
    """Seconds since the epoch; the last sample is there."""
    days: int = 14
    step: int = 240
    """Less than the five minutes after which Prometheus takes a series for gone."""
    dense_hours: int = 3
    dense_step: int = 60
    incident: int = 4 * DAY + 10 * HOUR
    """Seconds from the beginning of the incident to the end of the history."""

    @property
    def start(self) -> int:
        """Of the first sample."""
        return self.end - self.days * DAY

    @cached_property
    def times(self) -> tuple[int, ...]:
        """Of all samples, rising."""
        dense = self.end - self.dense_hours * HOUR
        return (*range(self.start, dense, self.step), *range(dense, self.end + 1, self.dense_step))


@dataclass(frozen=True)
class Target:
    """Something that is scraped."""

    job: str
    instance: str
    added: Mapping[str, str] = field(default_factory=dict)
    """Labels that a sample gets unless it has one of that name."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Labels of the recorded page that are another target's here."""

    @property
    def number(self) -> int:
        """Among its like."""
        digits = "".join(character for character in self.instance.partition(":")[0] if character.isdigit())
        return int(digits or 0)

    def labels(self, recorded: Mapping[str, str]) -> Labels:
        """Of a sample, sorted."""
        own = {name: self.replaced.get(name, value) for name, value in recorded.items()}
        return tuple(sorted({**self.added, "job": self.job, "instance": self.instance, **own}.items()))


def targets(job: str) -> tuple[Target, ...]:
    """Of a job; one that is not known has a single one."""
    found: dict[str, tuple[Target, ...]] = {
        "model-server": tuple(
            Target(
                job,
                f"phone-{index}:8000",
                {
                    "namespace": "autoglm",
                    "model": "autoglm-phone-9b",
                    "pod": f"phone-{index}",
                    "container": "vllm",
                    "endpoint": "http",
                },
            )
            for index in range(2)
        ),
        "etcd": tuple(
            Target(
                job,
                f"etcd-{index}:2381",
                {
                    "namespace": "autoglm",
                    "cluster": "etcd",
                    "pod": f"etcd-{index}",
                    "container": "etcd",
                    "endpoint": "metrics",
                },
            )
            for index in range(3)
        ),
        "dcgm-exporter": tuple(
            Target(
                job,
                f"gpu-{index + 1}:9400",
                replaced={"Hostname": f"gpu-{index + 1}", "pod": f"phone-{index}", "UUID": f"GPU-{index}"},
            )
            for index in range(2)
        ),
        **{
            job: tuple(Target(job, f"{node}:{port}") for node in ("gpu-1", "gpu-2", "system-3"))
            for job, port in (("node-exporter", 9100), ("kubelet", 10250))
        },
        "alertmanager": tuple(
            Target(job, f"alertmanager-{index}:9093", {"namespace": "monitoring"}) for index in range(3)
        ),
    }
    return found.get(job, (Target(job, f"{job}:80"),))


@dataclass(frozen=True)
class Series:
    """All samples of one series; `values` has one for each time of the span."""

    name: str
    labels: Labels
    values: Sequence[Value]


@dataclass(frozen=True)
class Family:
    """Series that share a type."""

    name: str
    kind: str
    series: tuple[Series, ...]


class Load:
    """Requests of one replica, by interval between two samples."""

    PEAK: Final = 3.0
    """Requests per second at the busiest hour of a weekday."""
    LENGTH: Final = 45 * MINUTE
    """Of the incident."""
    OUTAGE: Final = (20 * MINUTE, 25 * MINUTE)
    """From the incident's start: the restart of the replica that restarts."""

    def __init__(self, span: Span, replica: int) -> None:
        self.span, self.replica = span, replica
        self.incident = (span.end - span.incident, span.end - span.incident + self.LENGTH)
        noise = random.Random(f"load {replica}")
        self.rates: list[float] = []
        """Requests per second up to each sample."""
        for time in span.times:
            hour = (time % DAY) / HOUR
            day = 0.12 + 0.88 * math.exp(-(((hour - 14) / 4.2) ** 2))
            # The epoch was a Thursday.
            weekday = 0.45 if (time // DAY + 3) % 7 >= 5 else 1.0
            growth = 1 + 0.12 * (time - span.start) / WEEK
            self.rates.append(self.PEAK * day * weekday * growth / 1.24 * noise.uniform(0.93, 1.07))
        intervals = [after - before for before, after in zip(span.times, span.times[1:], strict=False)]
        self.requests = [0.0, *(rate * each for rate, each in zip(self.rates[1:], intervals, strict=True))]
        """Of the interval before each sample."""
        self.slow = [self.incident[0] < time <= self.incident[1] for time in span.times]
        if replica == 1:
            self.requests = [
                0.0 if self.down(index) else requests for index, requests in enumerate(self.requests)
            ]

    def busy(self, index: int) -> float:
        """Part of what the replica can do at most."""
        return min(1.0, self.rates[index] / self.PEAK) if not self.slow[index] else 1.0

    def down(self, index: int) -> bool:
        """Whether the replica is restarting."""
        since = self.span.times[index] - self.incident[0]
        return self.replica == 1 and self.OUTAGE[0] < since <= max(
            self.OUTAGE[1], self.OUTAGE[0] + self.span.step
        )

    def counted(self, amounts: Sequence[float]) -> list[Value]:
        """A counter of amounts by interval, which begins anew after a restart and is absent during it."""
        values: list[Value] = []
        total = 0.0
        for index, amount in enumerate(amounts):
            if self.down(index):
                total = 0.0
                values.append(None)
            else:
                total += amount
                values.append(round(total))
        return values


@dataclass(frozen=True)
class Spread:
    """How a histogram's observations are spread: log-normal, wider and later under load."""

    median: float
    sigma: float = 0.5
    busy: float = 0.0
    """By what part the median rises when the replica has all that it can do."""
    slow: float = 1.0
    """Factor of the median during the incident."""
    each: float = 1.0
    """Observations per request."""


SPREADS: Final[Mapping[str, Spread]] = {
    "vllm:time_to_first_token_seconds": Spread(0.16, 0.45, 1.0, 4.0),
    "vllm:e2e_request_latency_seconds": Spread(0.42, 0.24, 0.18, 2.6),
    "vllm:request_queue_time_seconds": Spread(0.02, 0.9, 1.5, 20.0),
    "vllm:request_inference_time_seconds": Spread(0.40, 0.24, 0.15, 2.0),
    "vllm:request_prefill_time_seconds": Spread(0.13, 0.4, 0.8, 2.0),
    "vllm:request_decode_time_seconds": Spread(0.27, 0.3, 0.1, 2.0),
    "vllm:inter_token_latency_seconds": Spread(0.011, 0.4, 0.6, 2.0, each=47),
    "vllm:request_time_per_output_token_seconds": Spread(0.011, 0.4, 0.6, 2.0),
    "vllm:request_prompt_tokens": Spread(2_300, 0.4),
    "vllm:request_generation_tokens": Spread(44, 0.5),
    "vllm:request_max_num_generation_tokens": Spread(44, 0.5),
    "vllm:request_prefill_kv_computed_tokens": Spread(900, 0.6),
    "vllm:request_params_max_tokens": Spread(3_000, 0.01),
    "vllm:request_params_n": Spread(1, 0.01),
    "vllm:request_num_preemptions": Spread(0.2, 0.3),
    "vllm:iteration_tokens_total": Spread(90, 1.0, 0.5, each=20),
    "http_request_duration_highr_seconds": Spread(0.42, 0.24, 0.18, 2.6),
    "http_request_duration_seconds": Spread(0.42, 0.24, 0.18, 2.6),
    "etcd_disk_wal_fsync_duration_seconds": Spread(0.0028, 0.6, 0.3, 3.0, each=2),
    "etcd_disk_backend_commit_duration_seconds": Spread(0.006, 0.6, 0.3, 3.0, each=2),
}
"""By family; of the rest, the median is a bound in the lower third."""

TOKENS: Final[Mapping[str, float]] = {
    "vllm:prompt_tokens_total": 2_460,
    "vllm:generation_tokens_total": 48,
    "vllm:prefix_cache_queries_total": 2_460,
    "vllm:prefix_cache_hits_total": 1_390,
    "vllm:prompt_tokens_cached_total": 1_390,
    "vllm:mm_cache_queries_total": 3,
    "vllm:mm_cache_hits_total": 2,
    "vllm:num_preemptions_total": 0.002,
    "vllm:external_prefix_cache_queries_total": 0,
    "vllm:external_prefix_cache_hits_total": 0,
    "vllm:admission_rejections_total": 0,
}
"""Of each request."""
_PARTS: Final[Mapping[tuple[str, str], float]] = {
    ("finished_reason", "stop"): 0.985,
    ("finished_reason", "length"): 0.012,
    ("finished_reason", "abort"): 0.003,
    ("finished_reason", "error"): 0,
    ("finished_reason", "repetition"): 0,
    ("source", "local_compute"): 0.435,
    ("source", "local_cache_hit"): 0.565,
    ("source", "external_kv_transfer"): 0,
}
_GIB: Final = 2.0**30
_LEVELS: Final[Mapping[str, float]] = {
    "node_filesystem_size_bytes": 200 * _GIB,
    "node_filesystem_avail_bytes": 128 * _GIB,
    "node_filesystem_free_bytes": 138 * _GIB,
    "node_filesystem_files": 13e6,
    "node_filesystem_files_free": 12e6,
    "node_filesystem_readonly": 0,
    "node_filesystem_device_error": 0,
    "node_memory_MemTotal_bytes": 256 * _GIB,
    "node_memory_MemAvailable_bytes": 170 * _GIB,
    "kubelet_volume_stats_capacity_bytes": 40 * _GIB,
    "kubelet_volume_stats_available_bytes": 19 * _GIB,
    "kubelet_volume_stats_used_bytes": 21 * _GIB,
    "kubelet_volume_stats_inodes": 2.6e6,
    "kubelet_volume_stats_inodes_free": 2.5e6,
    "kubelet_volume_stats_inodes_used": 1e5,
    "etcd_mvcc_db_total_size_in_bytes": 46e6,
    "etcd_mvcc_db_total_size_in_use_in_bytes": 31e6,
    "etcd_server_quota_backend_bytes": 2 * _GIB,
    "etcd_server_has_leader": 1,
    "etcd_server_proposals_pending": 0,
    "etcd_server_is_learner": 0,
    "etcd_network_known_peers": 3,
    "DCGM_FI_DEV_FB_RESERVED": 560,
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": 0,
    "kube_deployment_spec_replicas": 1,
    "kube_deployment_status_replicas_available": 1,
    "kube_statefulset_replicas": 3,
    "kube_statefulset_status_replicas_ready": 3,
    "kube_job_status_failed": 0,
    "alertmanager_alerts": 0,
    "prometheus_tsdb_head_series": 41_000,
    "prometheus_ready": 1,
    "prometheus_config_last_reload_successful": 1,
    "alertmanager_config_last_reload_successful": 1,
}
"""Gauges that hardly move."""
_TRUE: Final = {
    ("kube_pod_status_phase", "phase", "Running"),
    ("kube_pod_status_ready", "condition", "true"),
    ("kube_job_complete", "condition", "true"),
    ("kube_job_failed", "condition", "false"),
    ("kube_node_status_condition", "condition", "Ready"),
    ("kube_persistentvolumeclaim_status_phase", "phase", "Bound"),
    ("certmanager_certificate_ready_status", "condition", "True"),
    ("vllm:engine_sleep_state", "sleep_state", "awake"),
}
_STATES: Final = {name for name, _, _ in _TRUE}


class History:
    """What all targets would have offered.

    :param wanted: names of series or of families that are there; None for all that were recorded.
    """

    def __init__(self, span: Span | None = None, wanted: frozenset[str] | None = None) -> None:
        self.span = span or Span()
        self.wanted = wanted
        self.loads = (Load(self.span, 0), Load(self.span, 1))

    def families(self) -> Iterator[Family]:
        """In the order in which they must be written."""
        yield self._up()
        kinds: dict[str, str] = {}
        series: dict[str, list[Series]] = {}
        for path in sorted(FOLDER.glob("*.prom")):
            job = path.name.partition(".")[0]
            for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
                if not self._is_wanted(family.name):
                    continue
                bounds = sorted({float(one.labels["le"]) for one in family.samples if "le" in one.labels})
                found = series.setdefault(family.name, [])
                kinds.setdefault(family.name, family.type)
                for target in targets(job):
                    samples = [(one.name, dict(one.labels)) for one in family.samples]
                    for name, labels in [*samples, *_failures(samples)]:
                        # A counter that lacks the suffix of counters is written with the name that it has.
                        values = self._values(job, target, family.type, name, labels, bounds)
                        found.append(Series(name, target.labels(labels), values))
        for name, found in series.items():
            yield Family(name, kinds[name], tuple(found))

    def write(self, out: TextIO, more: str = "") -> int:
        """As OpenMetrics has it, times in seconds, then `more` lines; returns how many are its own."""
        written = 0
        times = [f" {time}\n" for time in self.span.times]
        for family in self.families():
            for one in family.series:
                # No `# TYPE`: OpenMetrics would insist on names that recorded pages need not have.
                pairs = ",".join(f'{key}="{_quoted(value)}"' for key, value in one.labels)
                head = f"{one.name}{{{pairs}}} "
                lines = [
                    f"{head}{value:.10g}{time}"
                    for value, time in zip(one.values, times, strict=True)
                    if value is not None
                ]
                written += len(lines)
                out.writelines(lines)
        out.write(f"{more}# EOF\n")
        return written

    def _is_wanted(self, family: str) -> bool:
        if self.wanted is None:
            return True
        suffixes = ("", "_total", "_bucket", "_count", "_sum")
        return any(f"{family}{suffix}" in self.wanted for suffix in suffixes)

    def _up(self) -> Family:
        jobs = dict.fromkeys(path.name.partition(".")[0] for path in sorted(FOLDER.glob("*.prom")))
        found = []
        for job in jobs:
            for target in targets(job):
                down = self._load(target).down if job == "model-server" else _never
                values = [int(not down(index)) for index in range(len(self.span.times))]
                found.append(Series("up", target.labels({}), values))
        return Family("up", "gauge", tuple(found))

    def _load(self, target: Target) -> Load:
        number = target.number - (1 if target.job == "dcgm-exporter" else 0)
        return self.loads[number % 2]

    def _values(
        self,
        job: str,
        target: Target,
        kind: str,
        name: str,
        labels: Mapping[str, str],
        bounds: Sequence[float],
    ) -> Sequence[Value]:
        load = self._load(target)
        if kind == "histogram":
            family = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            return self._histogram(load, job, family, name, labels, bounds)
        if kind in ("counter", "unknown") or name.endswith("_total"):
            return self._counter(load, job, name, labels)
        return self._gauge(load, target, name, labels)

    def _histogram(
        self,
        load: Load,
        job: str,
        family: str,
        name: str,
        labels: Mapping[str, str],
        bounds: Sequence[float],
    ) -> Sequence[Value]:
        finite = [bound for bound in bounds if math.isfinite(bound) and bound > 0] or [1.0]
        spread = SPREADS.get(family, Spread(finite[len(finite) // 3]))
        each = spread.each * (1.0 if labels.get("handler") != "/v1/models" else 0.05)
        if job != "model-server":
            each *= 0.2
        bound = float(labels["le"]) if name.endswith("_bucket") else math.inf
        amounts = []
        for index, requests in enumerate(load.requests):
            if not requests:
                amounts.append(0.0)
                continue
            median = spread.median * (1 + spread.busy * load.busy(index) ** 2)
            median *= spread.slow if load.slow[index] else 1.0
            if name.endswith("_sum"):
                part = median * math.exp(spread.sigma**2 / 2)
            elif math.isinf(bound):
                part = 1.0
            else:
                part = 0.5 * (1 + math.erf(math.log(bound / median) / (spread.sigma * math.sqrt(2))))
            amounts.append(requests * each * part)
        if name.endswith("_sum"):
            return self._reset(load, job, amounts)
        return load.counted(amounts) if job == "model-server" else _rounded(amounts)

    def _reset(self, load: Load, job: str, amounts: Sequence[float]) -> Sequence[Value]:
        total, values = 0.0, list[Value]()
        for index, amount in enumerate(amounts):
            down = job == "model-server" and load.down(index)
            total = 0.0 if down else total + amount
            values.append(None if down else round(total, 4))
        return values

    def _counter(self, load: Load, job: str, name: str, labels: Mapping[str, str]) -> Sequence[Value]:
        if job == "model-server":
            each = TOKENS.get(name, 1.0)
            for pair in labels.items():
                each *= _PARTS.get(pair, 1.0)
            if labels.get("handler") == "/v1/models":
                each *= 0.05
            share = _shares(labels.get("status"))
            amounts = [
                requests * each * share(load.slow[index]) for index, requests in enumerate(load.requests)
            ]
            values = load.counted(amounts)
            if labels.get("status") != "5xx":
                return values
            # Nobody has counted a failure before there was one.
            return [value or None for value in values]
        if name.startswith("DCGM_EXP_XID") or "fail" in name or "error" in name or "reject" in name:
            return [0] * len(load.requests)
        if name.startswith("kube_") and "restarts" in name:
            hit = labels.get("container") == "vllm"
            return [int(hit and time > load.incident[0] + Load.OUTAGE[0]) for time in self.span.times]
        if name == "node_cpu_seconds_total":
            return self._cpu(load, labels["mode"])
        noise = random.Random(f"{name} {sorted(labels.items())}")
        each = noise.choice((0.05, 0.2, 0.5, 1.0))
        return _rounded([requests * each for requests in load.requests])

    def _cpu(self, load: Load, mode: str) -> Sequence[Value]:
        """Seconds of one CPU in a mode."""
        part = {"user": 0.42, "system": 0.09, "iowait": 0.01, "softirq": 0.01}.get(mode, 0.0)
        times = self.span.times
        total, values = 0.0, list[Value]()
        for index, time in enumerate(times):
            busy = 0.06 + 0.94 * load.busy(index)
            share = 1 - 0.53 * busy if mode == "idle" else part * busy
            total += share * (time - times[max(index - 1, 0)])
            values.append(round(total, 2))
        return values

    def _gauge(self, load: Load, target: Target, name: str, labels: Mapping[str, str]) -> Sequence[Value]:
        count = len(self.span.times)
        noise = random.Random(f"{name} {target.instance} {sorted(labels.items())}")
        if name in _STATES:
            true = any((name, key, value) in _TRUE for key, value in labels.items())
            if "status" in labels:
                true = labels["status"] == ("true" if true else "false")
            return [int(true)] * count
        if name.endswith(("_info", "_labels")) or name == "vllm:cache_config_info":
            return [1] * count
        if name == "etcd_server_is_leader":
            return [int(target.number == 0)] * count
        if name.startswith("certmanager_") or name.endswith("_timestamp_seconds"):
            ahead = 60 * DAY if "expiration" in name or "not_after" in name else -HOUR
            return [self.span.end + ahead] * count
        if (moving := _MOVING.get(name)) is not None:
            down = load.down if target.job == "model-server" else _never
            return [
                None if down(index) else round(moving(load, index, noise.random()), 4)
                for index in range(count)
            ]
        around = _LEVELS.get(name)
        if around is None:
            around = noise.choice((1.0, 3.0, 12.0))
        if not around or around <= 3 or (float(around).is_integer() and around < 10):
            return [around] * count
        return [round(around * (1 + 0.02 * (noise.random() - 0.5))) for _ in range(count)]


def _waiting(load: Load, index: int, chance: float) -> float:
    return float(round(14 + 6 * chance)) if load.slow[index] else float(chance > 0.985)


_MOVING: Final[Mapping[str, Callable[[Load, int, float], float]]] = {
    "vllm:num_requests_running": lambda load, index, chance: round(
        min(24.0, load.rates[index] * 0.6 + 1.5 * chance) if not load.slow[index] else 24
    ),
    "vllm:num_requests_waiting": _waiting,
    "vllm:num_requests_waiting_by_reason": _waiting,
    "vllm:kv_cache_usage_perc": lambda load, index, chance: (
        0.985 if load.slow[index] else 0.03 + 0.62 * load.busy(index) + 0.03 * chance
    ),
    "DCGM_FI_DEV_GPU_UTIL": lambda load, index, chance: round(4 + 84 * load.busy(index) + 6 * chance),
    "DCGM_FI_DEV_GPU_TEMP": lambda load, index, chance: round(36 + 29 * load.busy(index) + 2 * chance),
    "DCGM_FI_DEV_POWER_USAGE": lambda load, index, chance: 95 + 470 * load.busy(index) + 20 * chance,
    "DCGM_FI_DEV_FB_USED": lambda load, index, chance: round(74_400 + 60 * chance),
    "DCGM_FI_DEV_FB_FREE": lambda load, index, chance: round(6_090 - 60 * chance),
    "node_load1": lambda load, index, chance: 0.4 + 5 * load.busy(index) + chance,
    "node_load5": lambda load, index, chance: 0.4 + 5 * load.busy(index) + 0.5 * chance,
    "node_load15": lambda load, index, chance: 0.4 + 5 * load.busy(index) + 0.2 * chance,
    "node_memory_MemAvailable_bytes": lambda load, index, chance: (
        (190 - 40 * load.busy(index) + 2 * chance) * _GIB
    ),
}
"""Gauges that follow the load."""


def _failures(samples: Sequence[tuple[str, dict[str, str]]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Requests that are answered with 5xx, which the recorded engine has not seen."""
    for name, labels in samples:
        if name == "http_requests_total" and (labels["method"], labels["status"]) == ("POST", "2xx"):
            yield name, {**labels, "status": "5xx"}


def _shares(status: str | None) -> Callable[[bool], float]:
    """Part of all requests that end with a status, in the incident and outside it."""
    usual, slow = {
        "2xx": (0.9957, 0.936),
        "4xx": (0.004, 0.004),
        "5xx": (0.0003, 0.06),
    }.get(status or "", (1.0, 1.0))
    return lambda incident: slow if incident else usual


def _rounded(amounts: Sequence[float]) -> list[Value]:
    total, values = 0.0, list[Value]()
    for amount in amounts:
        total += amount
        values.append(round(total))
    return values


def _never(_: int) -> bool:
    return False


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def sources() -> tuple[Path, ...]:
    """Everything that the text depends on, besides its arguments."""
    return (Path(__file__), FOLDER)
