"""Settings of logging that are sound, to change one thing of."""

from __future__ import annotations

from typing import Any

from components.logging.pipelines.access import MODEL, AccessLog
from components.logging.plan import IMAGES as NAMES
from components.logging.plan import LoggingPlan, TrailReceiver, plan_logging
from components.logging.settings import Logging

IMAGES = {name: f"registry.example.com/{name}@sha256:{'ab' * 32}" for name in NAMES}

TRAIL = TrailReceiver(
    namespace="node-agents",
    pod_labels={"app.kubernetes.io/name": "audit-collector"},
    port=8443,
    url="https://audit-collector.node-agents.svc:8443/records",
)


def settings(**changes: Any) -> Logging:
    return Logging.model_validate({"clusterIssuer": "internal-ca", **changes})


def plan(
    *, nodes: int = 6, protect: bool = True, trail: TrailReceiver | None = None, **changes: Any
) -> LoggingPlan:
    planned, problems = plan_logging(
        settings(**changes),
        nodes=nodes,
        images=IMAGES,
        protect=protect,
        unmasked=(("node-agents", "collector"),),
        access=(AccessLog(MODEL, "autoglm", "vllm"),) if trail else (),
        trail=trail,
    )
    assert planned is not None, problems
    return planned


FULL: dict[str, Any] = {
    "elasticsearch": {"warm": {"nodes": 2, "volume": {"size": "500Gi", "storageClass": "slow"}}},
    "logstash": {"files": {"claim": "exports", "pattern": "/*.log"}},
    "shipper": {"hostLogs": [{"dataset": "haproxy", "path": "/var/log/haproxy/haproxy.log"}]},
    "readers": ["grafana-logs"],
    "readerNamespaces": ["monitoring"],
    "kibanaClients": ["ingress"],
}
