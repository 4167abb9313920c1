"""A complete cluster section for GKE; tests change one thing in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.common.problems import Problem
from components.gke.plan import GkePlan, plan_gke
from components.gke.settings import GkeCluster
from tests.unit.changes import changed

_RAW: dict[str, Any] = {
    "kind": "gke",
    "name": "autoglm-test",
    "project": "example-project",
    "projectNumber": "111122223333",
    "region": "europe-west4",
    "keyAdministrators": ["group:platform-security@example.com"],
    "network": {
        "zones": ["europe-west4-a", "europe-west4-b", "europe-west4-c"],
        "cidr": "10.40.0.0/16",
        "podCidr": "10.44.0.0/14",
        "serviceCidr": "10.48.0.0/20",
        "peerCidrs": ["10.8.0.0/16"],
    },
    "api": {"privateCidrs": ["10.8.0.0/24"]},
    "imageRepositories": ["projects/example-project/locations/europe-west4/repositories/autoglm"],
    "nodePools": [
        {"name": "general", "machineType": "n2-standard-8", "minNodes": 1, "maxNodes": 3},
        {
            "name": "l4",
            "machineType": "g2-standard-24",
            "minNodes": 1,
            "maxNodes": 4,
            "zones": ["europe-west4-a", "europe-west4-b"],
            "taints": [{"key": "dedicated", "value": "models"}],
            "labels": {"team": "models"},
        },
        {
            "name": "h100",
            "machineType": "a3-highgpu-8g",
            "maxNodes": 2,
            "zones": ["europe-west4-a"],
            "sharing": {"kind": "mig", "profile": "3g.40gb"},
            "capacity": {"kind": "reservation", "name": "models"},
        },
        {
            "name": "t4",
            "machineType": "n1-standard-8",
            "gpu": "T4",
            "gpus": 1,
            "maxNodes": 2,
            "bounds": "zone",
            "sharing": {"kind": "time-slicing", "replicas": 4},
            "capacity": {"kind": "spot"},
            "driver": "LATEST",
        },
        {
            "name": "v6e",
            "machineType": "ct6e-standard-8t",
            "topology": "2x4",
            "maxNodes": 2,
            "zones": ["europe-west4-a"],
        },
        {
            "name": "v6e-slice",
            "machineType": "ct6e-standard-4t",
            "topology": "4x4",
            "minNodes": 4,
            "maxNodes": 4,
            "zones": ["europe-west4-a"],
        },
    ],
}


def raw(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The example, changed."""
    return changed(_RAW, changes)


def settings(changes: Mapping[str, Any] | None = None) -> GkeCluster:
    """The example, validated."""
    return GkeCluster.model_validate(raw(changes))


def plan(changes: Mapping[str, Any] | None = None, *, protect: bool = False) -> GkePlan:
    """The example's plan; it must have no problems."""
    result, problems = plan_gke(settings(changes), protect=protect)
    assert not problems
    assert result is not None
    return result


def problems(changes: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the example once it is changed; nothing must then be planned."""
    result, found = plan_gke(settings(changes), protect=False)
    assert (result is None) == bool(found)
    return found
