"""Volume and memory of Prometheus, from what is scraped.

Disk: retention × samples per second × bytes per sample; Prometheus' documentation ("Storage", operational
aspects) gives 1 to 2 bytes per sample after compression, and asks that retention by size be at most 80 to
85 % of the volume. Counts of series are those of the recorded pages in `tests/artifacts/metrics` and of the
embedded cluster (one node, 30 pods; what `scraping.py` and the exporters' options leave out does not count),
rounded up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from components.common.quantities import GIB, MIB
from components.monitoring.stack import MonitoredStack

SERIES_OF_MODEL_SERVER: Final = 600
"""A vLLM replica with one engine and a dozen paths and status codes in use."""
SERIES_OF_ETCD_MEMBER: Final = 1_500
SERIES_OF_NODE: Final = 1_000
"""node exporter: 334 with two CPUs and one disk; a large machine has fifty times the CPUs."""
SERIES_OF_KUBELET: Final = 200
SERIES_OF_POD: Final = 200
"""cAdvisor's of its containers and kube-state-metrics' of the pod, its owner, volumes and Services: 115."""
SERIES_OF_GPU: Final = 40
SERIES_OF_CONTROL: Final = 6_000
"""API server (1138), Prometheus (1039) and Alertmanager (534) about themselves; the platform's rules."""
BYTES_PER_SAMPLE: Final = 2
PART_FOR_SAMPLES: Final = 0.8
"""Of the volume; the rest is for the write-ahead log and for blocks that are being compacted."""
BYTES_PER_SERIES_IN_MEMORY: Final = 8 * 1024
"""Of the head: labels, index and two hours of samples. 8157 series were seen in 87 MiB, all included."""
CHURN: Final = 2
"""Series of pods that are gone count until the head is compacted: every pod replaced once in three hours."""


@dataclass(frozen=True)
class Sizing:
    """What one replica of Prometheus needs."""

    series: int
    """Active at once."""
    samples: int
    """Bytes: Prometheus' `retentionSize`."""
    volume: int
    """Bytes, whole GiB."""
    memory: int
    """Bytes, whole MiB."""


def active_series(stack: MonitoredStack) -> int:
    """An estimate of the series that a stack has at once."""
    return (
        SERIES_OF_MODEL_SERVER * sum(stack.models.values())
        + SERIES_OF_ETCD_MEMBER * (stack.etcd_members or 0)
        + (SERIES_OF_NODE + SERIES_OF_KUBELET) * stack.nodes
        + SERIES_OF_POD * stack.pods
        + SERIES_OF_GPU * stack.nvidia_gpus
        + SERIES_OF_CONTROL
    )


def prometheus_sizing(series: int, scrape_interval: int, retention: int, volume: int | None = None) -> Sizing:
    """For a number of active series, an interval and a retention in seconds.

    :param volume: capacity that is given, in bytes; retention by size follows from it.
    """
    samples = math.ceil(series / scrape_interval * retention * BYTES_PER_SAMPLE)
    planned = math.ceil(samples / PART_FOR_SAMPLES / GIB) * GIB
    capacity = planned if volume is None else volume
    memory = math.ceil(series * CHURN * BYTES_PER_SERIES_IN_MEMORY / MIB + 256) * MIB
    return Sizing(series, int(capacity * PART_FOR_SAMPLES), capacity, memory)
