"""A stack with everything that can be watched, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from components.common.problems import Problem
from components.monitoring.documentation import EXAMPLE
from components.monitoring.plan import (
    ALERTMANAGER_IMAGE,
    DCGM_EXPORTER_IMAGE,
    KUBE_STATE_METRICS_IMAGE,
    NODE_EXPORTER_IMAGE,
    PROMETHEUS_IMAGE,
    RELAY_IMAGE,
    MonitoringPlan,
    plan_monitoring,
)
from components.monitoring.settings import Monitoring

RUNBOOKS: Final = "https://git.example.com/platform/docs/runbooks"
IMAGES: Final = {
    name: f"registry.example.com/{name}@sha256:{'0' * 64}"
    for name in (
        *(PROMETHEUS_IMAGE, ALERTMANAGER_IMAGE, RELAY_IMAGE),
        *(NODE_EXPORTER_IMAGE, KUBE_STATE_METRICS_IMAGE, DCGM_EXPORTER_IMAGE),
    )
}
WECOM: Final = {
    "kind": "wecom",
    "name": "on-call",
    "corpId": "ww0123456789abcdef",
    "agentId": 1000002,
    "toParty": "2",
    "secretName": "wecom",
}
DINGTALK: Final = {"kind": "dingtalk", "name": "platform-group", "secretName": "dingtalk-platform"}
ROUTING: Final[Mapping[str, Any]] = {
    "receivers": [WECOM, DINGTALK],
    "pages": ["on-call", "platform-group"],
    "tickets": ["platform-group"],
}
EGRESS: Final = {"relayEgressCidrs": ["203.0.113.0/24"], "wecomEgressCidrs": ["198.51.100.0/24"]}
STACK: Final = replace(EXAMPLE, gpu_pools=("h100",), node_cidrs=("10.20.0.0/16",))


def settings(**changes: Any) -> Monitoring:
    """Complete settings, with changes in camelCase."""
    raw = {"runbooks": RUNBOOKS, "routing": ROUTING, **EGRESS, **changes}
    return Monitoring.model_validate(raw)


def plan(**changes: Any) -> MonitoringPlan:
    """The plan of settings that are right."""
    planned, problems = plan_monitoring(settings(**changes), STACK, images=IMAGES, protect=True)
    assert planned is not None, problems
    return planned


def problems(**changes: Any) -> list[Problem]:
    """What is wrong with settings."""
    return plan_monitoring(settings(**changes), STACK, images=IMAGES, protect=True)[1]
