"""A cluster section that is in order, and variations of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.common.problems import Problem
from components.eks.plan import EksPlan, plan_eks
from components.eks.settings import EksCluster
from tests.unit.changes import changed

ACCOUNT = "111122223333"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/platform-deploy"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/platform/admin"

_RAW: dict[str, Any] = {
    "kind": "eks",
    "name": "autoglm-test",
    "region": "us-east-1",
    "accountId": ACCOUNT,
    "version": "1.36",
    "adminRoleArns": [ADMINISTRATOR, DEPLOYER],
    "keyAdministrators": [DEPLOYER],
    "network": {
        "cidr": "10.40.0.0/16",
        "zones": ["us-east-1a", "us-east-1b", "us-east-1c"],
        "zoneIds": {"us-east-1a": "use1-az1", "us-east-1b": "use1-az2", "us-east-1c": "use1-az4"},
        "peerCidrs": ["10.8.0.0/16"],
    },
    "api": {"privateCidrs": ["10.8.0.0/16"]},
    "addons": {
        "vpcCni": "v1.22.4-eksbuild.3",
        "coredns": "v1.14.6-eksbuild.4",
        "kubeProxy": "v1.36.0-eksbuild.25",
        "eksPodIdentityAgent": "v1.3.10-eksbuild.3",
        "awsEbsCsiDriver": "v1.63.0-eksbuild.1",
        "awsEfsCsiDriver": "v3.4.0-eksbuild.1",
    },
    "nodePools": [
        {"name": "l40s", "machineType": "g6e.2xlarge", "minNodes": 3, "maxNodes": 8},
        {
            "name": "h100",
            "machineType": "p5.48xlarge",
            "minNodes": 0,
            "maxNodes": 2,
            "zones": ["us-east-1a", "us-east-1b"],
            "efa": True,
        },
        {
            "name": "a100-mig",
            "machineType": "p4d.24xlarge",
            "minNodes": 0,
            "maxNodes": 2,
            "capacity": {"kind": "reservation", "id": "cr-0123456789abcdef0", "zone": "us-east-1b"},
            "sharing": {"kind": "mig", "profile": "3g.20gb"},
        },
        {
            "name": "l4-shared",
            "machineType": "g6.xlarge",
            "minNodes": 0,
            "maxNodes": 2,
            "capacity": {"kind": "spot"},
            "sharing": {"kind": "time-slicing", "replicas": 4},
            "taints": [{"key": "team", "value": "vision", "effect": "NoExecute"}],
        },
        {"name": "batch", "machineType": "m7i.2xlarge", "minNodes": 1, "maxNodes": 2},
    ],
}


def raw(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The section as in a file, changed."""
    return changed(_RAW, changes)


def cluster(changes: Mapping[str, Any] | None = None) -> EksCluster:
    """The settings."""
    return EksCluster.model_validate(raw(changes))


def plan(changes: Mapping[str, Any] | None = None, *, protect: bool = True) -> EksPlan:
    """The plan of settings that are in order."""
    planned, found = plan_eks(cluster(changes), protect=protect)
    assert planned is not None, found
    return planned


def problems(changes: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with settings."""
    planned, found = plan_eks(cluster(changes), protect=True)
    assert (planned is None) == bool(found)
    return found
