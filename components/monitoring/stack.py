"""What alerts and monitors need to know of the stack they watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MODEL_SERVER: Final = "model-server"
ETCD: Final = "etcd"
CERT_MANAGER: Final = "cert-manager"
KUBE_STATE_METRICS: Final = "kube-state-metrics"
NODE_EXPORTER: Final = "node-exporter"
DCGM_EXPORTER: Final = "dcgm-exporter"
KUBELET: Final = "kubelet"
API_SERVER: Final = "apiserver"
PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "alertmanager"
AUDIT_COLLECTOR: Final = "audit-collector"


@dataclass(frozen=True)
class Scraped:
    """Pods of a component that brings a monitor of its own: Prometheus is let out to them."""

    namespace: str
    name: str
    """Label `app.kubernetes.io/name`."""
    port: int


@dataclass(frozen=True)
class MonitoredStack:
    """Parts of a stack, as planned."""

    namespace: str
    """Of the models and of etcd."""
    models: Mapping[str, int]
    """Replicas by model name."""
    nodes: int
    pods: int
    """Most that are expected at once, of the whole cluster."""
    etcd_members: int | None = None
    """None: no etcd of the platform's own."""
    virtual_ips: tuple[str, ...] = ()
    """Addresses that keepalived moves, without prefix length."""
    nvidia_gpus: int = 0
    """GPUs that DCGM sees."""
    cert_manager: bool = False
    """Whether it issues certificates of the platform."""
    model_scheme: str = "http"
    """`http` or `https`, of the model servers."""
    name: str = "stack"
    """Of the stack: a label of what Prometheus sends elsewhere, alerts among it."""
    agents_namespace: str | None = None
    """Of what runs on every node; None where all of that is the cluster's own."""
    gpu_pools: tuple[str, ...] = ()
    """Names of the node pools with NVIDIA GPUs."""
    node_cidrs: tuple[str, ...] = ()
    """Networks of the nodes, as far as the cluster's plan knows them."""
    scraped: tuple[Scraped, ...] = ()
    """What else brings monitors."""
    audit_collectors: int = 0
    """Nodes whose audit records are collected; 0: there is no audit trail."""
    audit_receiver: bool = False
    """Whether the one collector is sent its records by Logstash."""
    logging_namespace: str | None = None
    """Of the log store; None: there is none."""
    jobs: tuple[str, ...] = field(init=False)
    """What must offer metrics."""

    def __post_init__(self) -> None:
        present = {
            MODEL_SERVER: bool(self.models),
            ETCD: self.etcd_members is not None,
            DCGM_EXPORTER: self.nvidia_gpus > 0,
            CERT_MANAGER: self.cert_manager,
            KUBE_STATE_METRICS: True,
            NODE_EXPORTER: True,
            KUBELET: True,
        }
        object.__setattr__(self, "jobs", tuple(job for job, there in present.items() if there))
