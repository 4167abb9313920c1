"""Samples that follow from nothing recorded: a cluster of three nodes, and programs that do their work.

`tests.harness.history` gives every recorded series a course. Where a dashboard is about how series belong
together (pods on nodes of pools, an address that one node holds at a time) or about a program's own figures,
its series are made here, with the names and labels of the recorded pages.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from components.monitoring.alerts.kubernetes import POOL_LABEL
from tests.harness.history import MINUTE, Span

Course = Callable[[int], float]
"""Value at a time."""
NODES: Final = {"gpu-1": "gpu", "gpu-2": "gpu", "system-3": "system"}
"""Node pool of each node."""
GIB: Final = 2.0**30
_OFFERED: Final = {
    "gpu": {"cpu": (31.0, "core"), "memory": (240 * GIB, "byte"), "nvidia_com_gpu": (1.0, "integer")},
    "system": {"cpu": (7.5, "core"), "memory": (30 * GIB, "byte")},
}


@dataclass(frozen=True)
class Pod:
    """A pod and what it asks for."""

    name: str
    namespace: str
    node: str
    container: str
    cpu: float
    memory: float
    gpus: int = 0


PODS: Final = (
    Pod("autoglm-phone-9b-7c9d5-4xk2p", "autoglm", "gpu-1", "vllm", 12, 120 * GIB, 1),
    Pod("autoglm-phone-9b-7c9d5-q8m7d", "autoglm", "gpu-2", "vllm", 12, 120 * GIB, 1),
    *(Pod(f"etcd-{index}", "autoglm", node, "etcd", 1, 4 * GIB) for index, node in enumerate(NODES)),
    *(Pod(f"prometheus-{index}", "monitoring", "system-3", "prometheus", 0.5, 2 * GIB) for index in (0, 1)),
    *(Pod(f"alertmanager-{i}", "monitoring", "system-3", "alertmanager", 0.05, 0.2 * GIB) for i in range(3)),
    *(Pod(f"node-exporter-{node}", "node-agents", node, "node-exporter", 0.1, 0.1 * GIB) for node in NODES),
    Pod("grafana-6f5c9d-x2v8z", "monitoring", "system-3", "grafana", 0.25, 0.5 * GIB),
    Pod("coredns-5d78c-9dkqm", "kube-system", "system-3", "coredns", 0.1, 0.1 * GIB),
    Pod("kube-state-metrics-0", "monitoring", "system-3", "kube-state-metrics", 0.1, 0.2 * GIB),
)


@dataclass(frozen=True)
class Samples:
    """Series of one span."""

    span: Span

    @property
    def incident(self) -> int:
        """When it began."""
        return self.span.end - self.span.incident

    def names(self) -> frozenset[str]:
        """Of all series."""
        return frozenset(name for name, _, _ in self._series())

    def text(self) -> str:
        """In OpenMetrics' format, without its end."""
        lines = []
        for name, labels, course in self._series():
            pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
            lines += [f"{name}{{{pairs}}} {course(time):.10g} {time}\n" for time in self.span.times]
        return "".join(lines)

    def _series(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        yield from self._cluster()
        yield from self._engines()
        yield from self._machines()
        yield from self._address()
        yield from self._etcd()
        yield from self._prometheus()
        yield from self._alertmanager()
        yield from self._gpu_errors()
        yield from self._audit()

    def _cluster(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        source = {"job": "kube-state-metrics", "instance": "kube-state-metrics:8080"}
        for node, pool in NODES.items():
            yield "kube_node_labels", {**source, "node": node, POOL_LABEL: pool}, _always(1)
            for resource, (amount, unit) in _OFFERED[pool].items():
                labels = {**source, "node": node, "resource": resource, "unit": unit}
                yield "kube_node_status_allocatable", labels, _always(amount)
            for status in ("true", "false", "unknown"):
                labels = {**source, "node": node, "condition": "Ready", "status": status}
                yield "kube_node_status_condition", labels, _always(status == "true")
        for index, pod in enumerate(PODS):
            own = {**source, "namespace": pod.namespace, "pod": pod.name, "uid": str(index)}
            yield "kube_pod_info", {**own, "node": pod.node}, _always(1)
            for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
                yield "kube_pod_status_phase", {**own, "phase": phase}, _always(phase == "Running")
            asked = {"cpu": (pod.cpu, "core"), "memory": (pod.memory, "byte")}
            if pod.gpus:
                asked["nvidia_com_gpu"] = (pod.gpus, "integer")
            for resource, (amount, unit) in asked.items():
                labels = {**own, "container": pod.container, "node": pod.node, "resource": resource}
                yield "kube_pod_container_resource_requests", {**labels, "unit": unit}, _always(amount)
            restarts = {**own, "container": pod.container}
            restarted = self._since(22 * MINUTE) if pod == PODS[1] else _always(0)
            yield "kube_pod_container_status_restarts_total", restarts, restarted
        model = {**source, "namespace": "autoglm", "deployment": "autoglm-phone-9b"}
        yield "kube_deployment_spec_replicas", model, _always(2)
        yield "kube_deployment_status_replicas_available", model, self._during(20, 25, 1, 2)

    def _engines(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        """Requests lose their place in the KV cache while it is full."""
        for index in range(2):
            own = {"job": "model-server", "namespace": "autoglm", "model": "autoglm-phone-9b"}
            own |= {"pod": f"phone-{index}", "instance": f"phone-{index}:8000", "engine": "0"}
            full = self._grows(0, 45, 2.4 - 0.7 * index)
            yield "vllm:num_preemptions_total", {**own, "model_name": "autoglm-phone-9b"}, full

    def _machines(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        for node, pool in NODES.items():
            own = {"job": "node-exporter", "instance": f"{node}:9100"}
            large = 9e6 if pool == "gpu" else 2e6
            for way, part in (("receive", 1.0), ("transmit", 0.22)):
                labels = {**own, "device": "eth0"}
                yield f"node_network_{way}_bytes_total", labels, self._counter(f"{node}{way}", large * part)

    def _address(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        """gpu-1 has the address, and gpu-2 from the incident's middle on."""
        moved = self.incident + 20 * MINUTE
        for node, holds in (("gpu-1", lambda time: time < moved), ("gpu-2", lambda time: time >= moved)):
            labels = {
                "job": "node-exporter",
                "instance": f"{node}:9100",
                "device": "eth0",
                "address": "192.168.1.100",
                "netmask": "32",
                "scope": "global",
            }
            # Prometheus is told where a series ends; a file of samples cannot tell it, so 0 stands for it.
            yield "node_network_address_info", labels, _where(holds)

    def _etcd(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        for index in range(3):
            own = {"job": "etcd", "namespace": "autoglm", "pod": f"etcd-{index}", "cluster": "etcd"}
            own["instance"] = f"etcd-{index}:2381"
            yield "etcd_server_leader_changes_seen_total", own, self._since(24 * MINUTE, base=1)
            yield "etcd_server_proposals_committed_total", own, self._counter("committed", 46)
            yield "etcd_server_proposals_failed_total", own, _always(0)
            for way, size in (("sent", 61_000), ("received", 18_000)):
                name = f"etcd_network_client_grpc_{way}_bytes_total"
                yield name, own, self._counter(f"{index}{way}", size)
            grown = self._between(31e6, 46e6)
            yield "etcd_mvcc_db_total_size_in_bytes", own, grown
            yield "etcd_mvcc_db_total_size_in_use_in_bytes", own, self._between(24e6, 33e6)

    def _prometheus(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        for index in range(2):
            own = {"job": "prometheus", "namespace": "monitoring", "instance": f"prometheus-{index}:9090"}
            name = f"prometheus {index}"
            yield "prometheus_tsdb_head_series", own, self._around(name, 28_400)
            appended = {**own, "type": "float"}
            yield "prometheus_tsdb_head_samples_appended_total", appended, self._counter(name, 1_893)
            yield "prometheus_tsdb_storage_blocks_bytes", own, self._between(3.1 * GIB, 4.4 * GIB)
            yield "prometheus_tsdb_retention_limit_bytes", own, _always(9.6 * GIB)
            for group, seconds in (("model-service", 0.021), ("service-objectives", 0.084), ("etcd", 0.009)):
                rules = {**own, "rule_group": f"/etc/rules/{group}.yaml;{group}"}
                course = self._around(f"{name} {group}", seconds, 0.3)
                yield "prometheus_rule_group_last_duration_seconds", rules, course
                yield "prometheus_rule_group_iterations_missed_total", rules, _always(0)
                yield "prometheus_rule_evaluation_failures_total", rules, _always(0)

    def _alertmanager(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        own = {"job": "alertmanager", "namespace": "monitoring", "instance": "alertmanager-0:9093"}
        for way, seconds in (("wechat", 0.31), ("webhook", 0.12)):
            labels = {**own, "integration": way}
            yield "alertmanager_notifications_total", labels, self._messages
            failed = {**labels, "reason": "serverError"}
            yield "alertmanager_notifications_failed_total", failed, _always(0)
            for bound in (1, 5, 10, 15, 20, math.inf):
                part = 1 - math.exp(-bound / seconds)
                name = "+Inf" if math.isinf(bound) else f"{bound}"
                bucket = {**labels, "le": name}
                yield (
                    "alertmanager_notification_latency_seconds_bucket",
                    bucket,
                    _scaled(self._messages, part),
                )

    def _gpu_errors(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        labels = {"job": "dcgm-exporter", "instance": "gpu-2:9400", "Hostname": "gpu-2", "gpu": "0"}
        labels |= {"modelName": "NVIDIA H100 80GB HBM3", "UUID": "GPU-1", "xid": "31"}
        yield "DCGM_EXP_XID_ERRORS_TOTAL", labels, self._since(19 * MINUTE)

    def _audit(self) -> Iterator[tuple[str, Mapping[str, str], Course]]:
        own = {"job": "audit-collector", "namespace": "node-agents", "instance": "audit-collector-0:9464"}
        own["pod"] = "audit-collector-0"
        for source, rate in (("kubernetes", 6.5), ("gateway", 4.2), ("model", 4.2)):
            labels = {**own, "source": source}
            yield "audit_records_total", labels, self._counter(source, rate)
            yield "audit_refused_lines_total", labels, _always(0)
            yield "audit_last_record_timestamp_seconds", labels, lambda time: time - 2.0
        for rule, begin in (("denials", 15 * MINUTE), ("bulk-export-at-night", -9 * 60 * MINUTE)):
            yield "audit_anomalies_total", {**own, "rule": rule}, self._since(begin)
        yield "audit_verify_success", own, _always(1)
        yield "audit_verify_timestamp_seconds", own, lambda time: time - (time - 7_800) % 86_400
        yield "audit_store_free_bytes", own, self._between(6.2 * GIB, 4.1 * GIB)

    def _messages(self, time: int) -> float:
        """A few at the incident's beginning and end."""
        since = (time - self.incident) / MINUTE
        return 11 + sum(since >= minute for minute in (3, 4, 6, 22, 31, 48, 51))

    def _since(self, seconds: int, base: float = 0) -> Course:
        """A counter that counts one at a time after the incident's beginning."""
        return lambda time: base + (time >= self.incident + seconds)

    def _grows(self, first: int, last: int, each_minute: float) -> Course:
        """A counter that counts in some minutes of the incident only."""

        def course(time: int) -> float:
            minutes = (time - self.incident) / MINUTE
            return 3 + round(each_minute * max(0.0, min(minutes, last) - first))

        return course

    def _during(self, first: int, last: int, inside: float, outside: float) -> Course:
        """Another value in some minutes of the incident."""
        return lambda time: inside if first <= (time - self.incident) / MINUTE <= last else outside

    def _counter(self, name: str, rate: float) -> Course:
        """A counter that grows with the day's load."""
        chance = random.Random(name)
        # Amplitude in seconds of growth, time for a radian, phase.
        waves = [(0.02 * each, each, chance.uniform(0, 6)) for each in (53, 97, 211, 433, 907, 1_801)]
        day = 86_400

        def course(time: int) -> float:
            elapsed = time - self.span.start
            # The integral of a rate that is highest at 14:00.
            wave = day / (2 * math.pi) * math.sin(2 * math.pi * (time - 14 * 3_600) / day)
            small = sum(size * math.sin(time / each + phase) for size, each, phase in waves)
            return rate * (elapsed + 0.62 * wave + small + day)

        return course

    def _around(self, name: str, value: float, spread: float = 0.01) -> Course:
        """A gauge that trembles, the same way each time."""
        return lambda time: value * (1 + spread * (random.Random(f"{name} {time}").random() - 0.5))

    def _between(self, first: float, last: float) -> Course:
        """A gauge that goes straight from one value to another."""
        whole = self.span.end - self.span.start
        return lambda time: first + (last - first) * (time - self.span.start) / whole


def _always(value: float) -> Course:
    return lambda _: value


def _where(holds: Callable[[int], bool]) -> Course:
    """1 while it holds, else 0."""
    return lambda time: float(holds(time))


def _scaled(course: Course, factor: float) -> Course:
    return lambda time: course(time) * factor
