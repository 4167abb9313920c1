"""Settings of logging that are sound, to change one thing of."""

from __future__ import annotations

from typing import Any

from components.logging.plan import IMAGES as NAMES
from components.logging.plan import LoggingPlan, plan_logging
from components.logging.settings import Logging

IMAGES = {name: f"registry.example.com/{name}@sha256:{'ab' * 32}" for name in NAMES}


def settings(**changes: Any) -> Logging:
    return Logging.model_validate({"clusterIssuer": "internal-ca", **changes})


def plan(*, nodes: int = 6, protect: bool = True, **changes: Any) -> LoggingPlan:
    planned, problems = plan_logging(
        settings(**changes),
        nodes=nodes,
        images=IMAGES,
        protect=protect,
        unmasked=(("node-agents", "collector"),),
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
