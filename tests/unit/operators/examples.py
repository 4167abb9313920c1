"""Settings of operators for tests."""

from __future__ import annotations

from typing import Any

from components.operators.plan import ApiServer, OperatorsPlan, plan_operators
from components.operators.settings import Operators
from components.operators.values import (
    CERT_MANAGER_IMAGES,
    CONFIG_RELOADER_IMAGE,
    ECK_IMAGE,
    PROMETHEUS_OPERATOR_IMAGE,
)

CERT_MANAGER_VERSION = "v1.21.0"
ECK_VERSION = "3.5.0"
SERVER = ApiServer((("10.96.0.1/32", 443), ("192.168.1.11/32", 6443)), ("192.168.1.11/32",))
WATCHED = ["autoglm", "monitoring"]


def digest(character: str) -> str:
    return f"sha256:{character * 64}"


def chart(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "chart": f"oci://registry.example.com/charts/{name}",
        "version": version,
        "digest": digest("c"),
        **more,
    }


def raw() -> dict[str, Any]:
    """All three from their charts."""
    return {
        "certManager": chart("cert-manager", CERT_MANAGER_VERSION, kind="chart"),
        "prometheusOperator": chart(
            "kube-prometheus-stack",
            "88.5.3",
            kind="chart",
            definitions=chart("prometheus-operator-crds", "31.0.1"),
        ),
        "eck": chart("eck-operator", ECK_VERSION, kind="chart"),
    }


def images() -> dict[str, str]:
    versions = {
        **dict.fromkeys(CERT_MANAGER_IMAGES.values(), CERT_MANAGER_VERSION),
        PROMETHEUS_OPERATOR_IMAGE: "v0.93.1",
        CONFIG_RELOADER_IMAGE: "v0.93.1",
        ECK_IMAGE: ECK_VERSION,
    }
    return {
        name: f"registry.example.com/operators/{name}:{version}@{digest('1')}"
        for name, version in versions.items()
    }


def settings(**changes: Any) -> Operators:
    return Operators.model_validate({**raw(), **changes})


def plan(**changes: Any) -> OperatorsPlan:
    planned, problems = plan_operators(
        settings(**changes),
        images=images(),
        api_server=SERVER,
        watched={"prometheusOperator": WATCHED, "eck": ["logging"]},
    )
    assert planned is not None, problems
    return planned
