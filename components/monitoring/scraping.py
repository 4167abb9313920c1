"""What Prometheus scrapes that no pod of the platform offers: kubelets with cAdvisor, and the API server.

prometheus-operator has no object for nodes; this text goes in beside what it writes from monitors. Both offer
thousands of series of which few are ever looked at: what is kept is named, the rest is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from components.monitoring.access import TOKEN_DIRECTORY
from components.monitoring.durations import format_duration
from components.monitoring.stack import API_SERVER, KUBELET

KUBELET_METRICS: Final = (
    "kubernetes_build_info",
    "kubelet_node_name",
    "kubelet_running_(pods|containers)",
    "kubelet_volume_stats_.*",
    "kubelet_evictions",
    "kubelet_http_requests_total",
    "kubelet_pleg_relist_duration_seconds_(sum|count)",
    "kubelet_pod_start_duration_seconds_(sum|count)",
    "kubelet_certificate_manager_client_ttl_seconds",
    "process_(cpu_seconds_total|resident_memory_bytes|start_time_seconds)",
)
CADVISOR_METRICS: Final = (
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_(periods|throttled_periods)_total",
    "container_memory_(working_set_bytes|rss|cache)",
    "container_network_(receive|transmit)_(bytes|errors|packets_dropped)_total",
    "container_fs_(reads|writes)_bytes_total",
    "container_fs_usage_bytes",
    "container_oom_events_total",
    "container_start_time_seconds",
    "machine_(cpu_cores|memory_bytes)",
)
API_SERVER_METRICS: Final = (
    "apiserver_request_total",
    "apiserver_request_duration_seconds_(sum|count)",
    "apiserver_current_inflight_requests",
    "apiserver_storage_size_bytes",
    "apiserver_audit_(event|requests_rejected|error)_total",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_flowcontrol_rejected_requests_total",
    "apiserver_client_certificate_expiration_seconds_(sum|count)",
    "authentication_attempts",
    "kubernetes_build_info",
    "process_(cpu_seconds_total|resident_memory_bytes|start_time_seconds)",
)
SAMPLE_LIMIT: Final = 20_000
"""Of a page, after what is dropped; a cluster of a hundred pods a node stays far below."""


def scrape_configs(interval: int) -> list[dict[str, Any]]:
    """Jobs in Prometheus' own notation; `interval` in seconds."""
    return [*_kubelets(interval), _api_server(interval)]


def scrape_configs_text(interval: int) -> str:
    """The text: JSON, which is YAML."""
    return json.dumps(scrape_configs(interval), indent=2) + "\n"


def _job(name: str, interval: int, discovery: dict[str, Any], kept: tuple[str, ...]) -> dict[str, Any]:
    return {
        "job_name": name,
        "scheme": "https",
        "scrape_interval": format_duration(interval),
        "scrape_timeout": format_duration(min(interval, 10)),
        "sample_limit": SAMPLE_LIMIT,
        "authorization": {"type": "Bearer", "credentials_file": f"{TOKEN_DIRECTORY}/token"},
        "kubernetes_sd_configs": [discovery],
        "metric_relabel_configs": [
            {"action": "keep", "source_labels": ["__name__"], "regex": "|".join(kept)}
        ],
    }


def _kubelets(interval: int) -> Iterator[dict[str, Any]]:
    for name, path, kept in (
        (KUBELET, "/metrics", KUBELET_METRICS),
        (f"{KUBELET}-cadvisor", "/metrics/cadvisor", CADVISOR_METRICS),
    ):
        job = _job(name, interval, {"role": "node"}, kept)
        yield {
            **job,
            "metrics_path": path,
            # Its certificate is signed by itself unless the cluster rotates serving certificates. Whoever
            # stands in for a kubelet gets a token that reads metrics and lists pods.
            "tls_config": {"insecure_skip_verify": True},
            "relabel_configs": [
                {"target_label": "job", "replacement": KUBELET},
                {"target_label": "metrics_path", "replacement": path},
                {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
                {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance"},
            ],
        }


def _api_server(interval: int) -> dict[str, Any]:
    discovery = {"role": "endpointslice", "namespaces": {"names": ["default"]}}
    return {
        **_job(API_SERVER, interval, discovery, API_SERVER_METRICS),
        "tls_config": {
            "ca_file": f"{TOKEN_DIRECTORY}/ca.crt",
            "server_name": "kubernetes.default.svc",
        },
        "relabel_configs": [
            {
                "action": "keep",
                "source_labels": [
                    "__meta_kubernetes_service_name",
                    "__meta_kubernetes_endpointslice_port_name",
                ],
                "regex": "kubernetes;https",
            },
        ],
    }
