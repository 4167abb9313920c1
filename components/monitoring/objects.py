"""prometheus-operator's PrometheusRule and PodMonitor (monitoring.coreos.com/v1) with typed arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, meta

from components.monitoring.durations import format_duration
from components.monitoring.rule import RuleGroup

API_VERSION: Final = "monitoring.coreos.com/v1"
_POD_NODE: Final = "__meta_kubernetes_pod_node_name"


@dataclass(frozen=True)
class PodMonitorSpec:
    """Which pods of one namespace are scraped, and how."""

    name: str
    match_labels: Mapping[str, str]
    port: str
    """Name of the container's port."""
    interval: int
    """Seconds between samples."""
    scheme: str = "http"
    target_labels: Mapping[str, str] | None = None
    """Labels of the pods that samples carry, by the name that they get."""
    honor_labels: bool = False
    """Labels of the page win over those of the target: for pages about other objects."""
    node_instance: bool = False
    """`instance` is the node's name, not the address: for pages about nodes."""
    sample_limit: int | None = None
    """A page with more samples is dropped: a target that counts without bounds must not take all down."""

    def document(self) -> dict[str, Any]:
        """The object's spec."""
        endpoint: dict[str, Any] = {
            "port": self.port,
            "path": "/metrics",
            "scheme": self.scheme,
            "interval": format_duration(self.interval),
            "scrapeTimeout": format_duration(min(self.interval, 10)),
            "relabelings": [
                {
                    "action": "replace",
                    "sourceLabels": [f"__meta_kubernetes_pod_label_{_identifier(label)}"],
                    "targetLabel": name,
                }
                for name, label in (self.target_labels or {}).items()
            ],
        }
        if self.honor_labels:
            endpoint["honorLabels"] = True
        if self.node_instance:
            endpoint["relabelings"] += [
                {"action": "replace", "sourceLabels": [_POD_NODE], "targetLabel": label}
                for label in ("instance", "node")
            ]
        if self.scheme == "https":
            # Prometheus calls pods by address, and certificates name Services.
            endpoint["tlsConfig"] = {"insecureSkipVerify": True}
        spec: dict[str, Any] = {
            # `job` is the workload's name, as in kube-prometheus, not `<namespace>/<monitor>`.
            "jobLabel": "app.kubernetes.io/name",
            "selector": {"matchLabels": dict(self.match_labels)},
            "podMetricsEndpoints": [endpoint],
        }
        if self.sample_limit is not None:
            spec["sampleLimit"] = self.sample_limit
        return spec


def _identifier(label: str) -> str:
    """A label's name as service discovery writes it."""
    return "".join(character if character.isalnum() else "_" for character in label)


def prometheus_rule(
    name: str,
    metadata: meta.v1.ObjectMetaArgs,
    group: RuleGroup,
    *,
    runbooks: str,
    opts: pulumi.ResourceOptions,
) -> apiextensions.CustomResource:
    """Rules that Prometheus evaluates."""
    return apiextensions.CustomResource(
        name,
        api_version=API_VERSION,
        kind="PrometheusRule",
        metadata=metadata,
        spec={"groups": [group.document(runbooks)]},
        opts=opts,
    )


def pod_monitor(
    name: str, metadata: meta.v1.ObjectMetaArgs, spec: PodMonitorSpec, *, opts: pulumi.ResourceOptions
) -> apiextensions.CustomResource:
    """Pods that Prometheus scrapes."""
    return apiextensions.CustomResource(
        name,
        api_version=API_VERSION,
        kind="PodMonitor",
        metadata=metadata,
        spec=spec.document(),
        opts=opts,
    )
