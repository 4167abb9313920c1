"""A small bare-metal cluster that tests change one thing in."""

from __future__ import annotations

import copy
from typing import Any

from components.onprem.plan import OnpremPlan, plan_onprem
from components.onprem.settings import OnpremCluster

NODES = [{"name": f"node-{number}", "address": f"192.168.1.1{number}"} for number in (1, 2, 3)]
_DOCUMENT: dict[str, Any] = {
    "kind": "onprem",
    "nodePools": [
        {"name": "entry", "nodes": [*NODES], "hardware": {"cpu": "16", "memory": "64Gi", "disk": "400Gi"}},
        {
            "name": "gpu",
            "nodes": [
                {"name": "gpu-1", "address": "192.168.1.21"},
                {"name": "gpu-2", "address": "192.168.1.22"},
            ],
            "zone": "rack-2",
            "hardware": {
                "cpu": "64",
                "memory": "512Gi",
                "disk": "1Ti",
                "accelerator": "H100-80",
                "acceleratorCount": 8,
            },
        },
        {
            "name": "npu",
            "nodes": [{"name": "npu-1", "address": "192.168.1.31"}],
            "hardware": {
                "cpu": "192",
                "memory": "1Ti",
                "disk": "2Ti",
                "accelerator": "Ascend-910B",
                "acceleratorCount": 8,
            },
            "taints": [{"key": "maintenance", "effect": "NoExecute"}],
        },
        {
            "name": "mlu",
            "nodes": [{"name": "mlu-1", "address": "192.168.1.41"}],
            "hardware": {"cpu": "128", "memory": "512Gi", "disk": "1Ti", "accelerator": "MLU370-X8"},
        },
    ],
    "storage": {
        "volumes": [
            {"node": "gpu-1", "path": "/srv/volumes/one", "size": "100Gi"},
            {"node": "gpu-2", "path": "/srv/volumes/one", "size": "100Gi"},
        ]
    },
    "virtualIp": {"nodes": [*NODES], "frontend": {"kind": "model-api", "tlsSecretName": "entry-tls"}},
    "hosts": {
        "kubernetesVersion": "1.36.3",
        "controlPlane": {
            "nodes": [*NODES],
            "virtualIp": {
                "instance": "VI_API",
                "address": "192.168.1.101/24",
                "routerId": 52,
                "healthPort": 8414,
                "peerPort": 8415,
                "nodes": [*NODES],
                "frontend": {"kind": "kubernetes-api"},
            },
        },
    },
}


def document() -> dict[str, Any]:
    return copy.deepcopy(_DOCUMENT)


def cluster(changed: dict[str, Any] | None = None) -> OnpremCluster:
    return OnpremCluster.model_validate(changed or document())


def plan(changed: dict[str, Any] | None = None, *, protect: bool = True) -> OnpremPlan:
    planned, problems = plan_onprem(cluster(changed), protect=protect)
    assert planned is not None, problems
    return planned


def refused(changed: dict[str, Any]) -> list[str]:
    """Problems as `path: message`."""
    planned, problems = plan_onprem(cluster(changed), protect=True)
    assert planned is None
    return [f"{problem.path}: {problem.message}" for problem in problems]
