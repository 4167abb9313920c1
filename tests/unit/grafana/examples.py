"""Grafana of a stack with everything that can be watched."""

from __future__ import annotations

from typing import Any, Final

from components.common.problems import Problem
from components.grafana.plan import (
    GRAFANA_IMAGE,
    DataSource,
    GrafanaPlan,
    LogStoreSource,
    plan_grafana,
)
from components.grafana.settings import Grafana
from tests.unit.monitoring.examples import STACK
from tests.unit.monitoring.examples import settings as monitoring

IMAGE: Final = f"registry.example.com/grafana@sha256:{'1' * 64}"
IMAGES: Final = {GRAFANA_IMAGE: IMAGE}
PROMETHEUS: Final = DataSource(
    url="http://prometheus.monitoring.svc:9090",
    port=9090,
    pod_labels={"app.kubernetes.io/name": "prometheus"},
)
LOGS: Final = LogStoreSource(
    DataSource(
        url="https://logs-es-http.logging.svc:9200",
        port=9200,
        pod_labels={"elasticsearch.k8s.elastic.co/cluster-name": "logs"},
        namespace="logging",
    ),
    index="audit-*",
)


def settings(**changes: Any) -> Grafana:
    """Complete settings, with changes in camelCase; None takes a key away."""
    raw: dict[str, Any] = {
        "adminSecretName": "grafana-admin",
        "rootUrl": "https://grafana.example.com",
        "clients": {"purpose": "ingress"},
        "logStore": {"secretName": "grafana-logs"},
        **changes,
    }
    return Grafana.model_validate({key: value for key, value in raw.items() if value is not None})


def _plan(inputs: dict[str, Any], changes: dict[str, Any]) -> tuple[GrafanaPlan | None, list[Problem]]:
    given: dict[str, Any] = {
        "images": IMAGES,
        "protect": True,
        "prometheus": PROMETHEUS,
        "logs": LOGS,
        "audit_metrics": True,
        **inputs,
    }
    return plan_grafana(settings(**changes), monitoring(), given.pop("stack", STACK), **given)


def plan(inputs: dict[str, Any] | None = None, **changes: Any) -> GrafanaPlan:
    """The plan of settings that are right."""
    planned, found = _plan(inputs or {}, changes)
    assert planned is not None, found
    return planned


def problems(inputs: dict[str, Any] | None = None, **changes: Any) -> list[Problem]:
    """What is wrong with settings."""
    return _plan(inputs or {}, changes)[1]
