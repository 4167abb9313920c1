"""From settings to pools: what is refused, what the scheduler finds, and what keeps its name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.accelerators.machine_types import MACHINE_TYPES, machine_type
from components.common.labels import NODE_POOL
from components.eks.pools import PREFIX_ADDRESSES, addresses_per_node, most_pods
from tests.unit.eks.examples import ADMINISTRATOR, DEPLOYER, cluster, plan, problems

OTHER = "arn:aws:iam::444455556666:role/platform-deploy"


@pytest.mark.parametrize(
    ("changes", "path", "text"),
    [
        (
            {"nodePools[0].minNodes": 9},
            "nodePools[0].minNodes",
            "9 > maxNodes 8; lower minNodes or raise maxNodes",
        ),
        ({"systemPool.minNodes": 7}, "systemPool.minNodes", "7 > maxNodes 6"),
        ({"systemPool.minNodes": 2}, "systemPool.minNodes", "3 zones need a node each; write 3 or more"),
        (
            {"systemPool.machineType": "g6.xlarge"},
            "systemPool.machineType",
            "has accelerators; choose one without",
        ),
        (
            {"nodePools[0].machineType": "p5.49xlarge"},
            "nodePools[0].machineType",
            "not a known EC2 instance type; nearest are p5.4xlarge, p5.48xlarge",
        ),
        ({"nodePools[0].machineType": "trn1.32xlarge"}, "nodePools[0].machineType", "no device plugin for"),
        (
            {"nodePools[2].sharing.profile": "3g.40gb"},
            "nodePools[2].sharing.profile",
            "not a profile of A100-40",
        ),
        (
            {"nodePools[4].sharing": {"kind": "time-slicing", "replicas": 2}},
            "nodePools[4].sharing.kind",
            "m7i.2xlarge has no accelerator",
        ),
        (
            {"nodePools[0].efa": True},
            "nodePools[0].efa",
            "g6e.2xlarge has no Elastic Fabric Adapter; remove it",
        ),
        ({"nodePools[0].zones": ["us-east-1d"]}, "nodePools[0].zones[0]", "not among network.zones; add it"),
        (
            {"nodePools[2].capacity.zone": "us-east-1d"},
            "nodePools[2].capacity.zone",
            "the nodes need a subnet there",
        ),
        ({"nodePools[2].zones": ["us-east-1a"]}, "nodePools[2].zones", "reserved capacity is in us-east-1b"),
        ({"nodePools[0].name": "system"}, "nodePools[0].name", "the system pool; choose another"),
        ({"nodePools[1].name": "l40s"}, "nodePools[1].name", "another pool has it already"),
        ({"nodePools[0].disk": "10Gi"}, "nodePools[0].disk", "20Gi at least"),
        ({"nodePools[0].disk": "200500Mi"}, "nodePools[0].disk", "whole Gi"),
        (
            {"nodePools[0].releaseVersion": "1.35.2-20260101"},
            "nodePools[0].releaseVersion",
            "not of Kubernetes 1.36",
        ),
        (
            {"nodePools[0].labels": {NODE_POOL: "x"}},
            f"nodePools[0].labels.{NODE_POOL}",
            "choose a name of your own",
        ),
        (
            {"nodePools[0].labels": {"node.kubernetes.io/x": "x"}},
            "nodePools[0].labels.node.kubernetes.io/x",
            "choose a name of your own",
        ),
        ({"nodePools[3].taints": [{"key": "a"}, {"key": "a"}]}, "nodePools[3].taints[1]", "remove one"),
        (
            {"keyAdministrators": []},
            "keyAdministrators",
            "a key without an owner can be neither changed nor deleted",
        ),
        ({"keyAdministrators": [OTHER]}, "keyAdministrators[0]", "not of accountId 111122223333"),
        ({"adminRoleArns": [DEPLOYER, DEPLOYER]}, "adminRoleArns[1]", "listed twice; remove one"),
        ({"adminRoleArns": [ADMINISTRATOR, OTHER]}, "adminRoleArns[1]", "not of accountId 111122223333"),
        ({"addons.kubeProxy": "v1.35.3-eksbuild.21"}, "addons.kubeProxy", "same minor version; change one"),
        ({"tags": {"aws:owner": "me"}}, "tags.aws:owner", "choose another key"),
        ({"logRetentionDays": 180}, "logRetentionDays", "outlast half a year; write 365 or more"),
        ({"network.zones[2]": "us-east-2c"}, "network.zones[2]", "not of region us-east-1"),
        ({"network.zones[2]": "us-east-1a"}, "network.zones[2]", "listed twice; remove one"),
        (
            {"network.zoneIds": {"us-east-1d": "use1-az6"}},
            "network.zoneIds.us-east-1d",
            "not among network.zones",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_key_and_fix(changes: dict[str, Any], path: str, text: str) -> None:
    found = problems(changes)
    assert path in [problem.path for problem in found]
    assert any(problem.path == path and text in problem.message for problem in found), found


def test_all_problems_are_told_at_once() -> None:
    changes = {
        "network.cidr": "10.40.0.0/15",
        "keyAdministrators": [],
        "systemPool.minNodes": 1,
        "nodePools[0].minNodes": 9,
        "nodePools[0].machineType": "nonsense",
    }
    assert {problem.path for problem in problems(changes)} == {
        "network.cidr",
        "keyAdministrators",
        "systemPool.minNodes",
        "nodePools[0].minNodes",
        "nodePools[0].machineType",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("accountId", "1234"),
        ("region", "europe"),
        ("version", "1.36.3"),
        ("adminRoleArns", []),
        ("adminRoleArns", ["arn:aws:iam::111122223333:root"]),
        ("adminRoleArns", ["arn:aws:iam::111122223333:user/somebody"]),
        ("adminRoleArns", ["arn:aws:iam::111122223333:role/*"]),
        ("network.zones", ["us-east-1a", "us-east-1b"]),
        ("addons.vpcCni", "latest"),
        ("network.cidr", "10.40.0.1/16"),
        ("nodePools[0].sharing", {"kind": "time-slicing", "replicas": 1}),
        ("nodePools[0].capacity", {"kind": "reservation", "id": "mine", "zone": "us-east-1a"}),
        ("nodePools[0].minNodes", "3"),
        ("nodePools[0].colour", "red"),
    ],
)
def test_values_of_another_form_are_refused(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        cluster({path: value})


def test_a_type_that_the_region_lacks_is_refused_unless_zones_are_stated() -> None:
    # moto 5.2.5 knows trn1 and B200 in few regions; p5e is not in us-east-1.
    change = {"nodePools[0].machineType": "p5e.48xlarge"}
    (problem,) = problems(change)
    assert problem.path == "nodePools[0].machineType"
    assert "not in us-east-1; choose another type or region, or list the zones" in problem.message
    assert plan(change | {"nodePools[0].zones": ["us-east-1a"]})


def test_zones_without_the_type_are_skipped_where_their_ids_are_known() -> None:
    # g6e.2xlarge is in use1-az1, az2, az4 and az6.
    ids = {"us-east-1a": "use1-az1", "us-east-1b": "use1-az3", "us-east-1c": "use1-az6"}
    shape = plan({"network.zoneIds": ids}).pools[1]
    assert shape.zones == ("us-east-1a", "us-east-1c")
    (problem,) = [item for item in problems({"network.zoneIds": {}}) if item.path == "nodePools[0].zones"]
    assert "list the zones with these ids, or give all of network.zoneIds" in problem.message


def test_pools_as_the_scheduler_finds_them() -> None:
    shapes = {shape.name: shape for shape in plan().pools}
    assert list(shapes) == ["system", "l40s", "h100", "a100-mig", "l4-shared", "batch"]
    assert shapes["system"].taints == ()
    assert shapes["batch"].taints == ()
    for name in ("l40s", "h100", "a100-mig", "l4-shared"):
        assert ("nvidia.com/gpu", "present", "NoSchedule") in [
            (taint.key, taint.value, taint.effect) for taint in shapes[name].taints
        ]
    assert all(shape.labels[NODE_POOL] == name for name, shape in shapes.items())
    assert shapes["a100-mig"].allocatable["nvidia.com/mig-3g.20gb"] == 16
    assert "nvidia.com/gpu" not in shapes["a100-mig"].allocatable
    assert shapes["l4-shared"].allocatable["nvidia.com/gpu"] == 4
    # In each zone of its own, since its nodes must be close to each other.
    assert (shapes["h100"].min_nodes, shapes["h100"].max_nodes) == (0, 4)
    assert shapes["a100-mig"].zones == ("us-east-1b",)


def test_pods_reach_object_storage_and_credentials_by_these_addresses() -> None:
    planned = plan()
    assert planned.object_storage_cidrs == ("10.40.16.0/26", "10.40.48.0/26", "10.40.80.0/26")
    assert planned.identity_endpoints == (("169.254.170.23/32", 80),)


def names(changes: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in plan(changes).node_groups:
        found.setdefault(group.pool, []).append(group.name)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"nodePools[0].machineType": "g6e.4xlarge"},
        {"nodePools[0].capacity": {"kind": "spot"}},
        {
            "nodePools[0].capacity": {
                "kind": "reservation",
                "id": "cr-0123456789abcdef0",
                "zone": "us-east-1a",
            }
        },
        {"nodePools[0].zones": ["us-east-1a", "us-east-1b"]},
        {"nodePools[0].taints": [{"key": "team"}]},
        {"nodePools[0].sharing": {"kind": "time-slicing", "replicas": 2}},
    ],
)
def test_what_a_live_group_cannot_change_gets_a_group_of_a_new_name(changes: dict[str, Any]) -> None:
    before, after = names({}), names(changes)
    assert before["l40s"] != after["l40s"]
    assert {pool: before[pool] for pool in before if pool != "l40s"} == {
        pool: after[pool] for pool in after if pool != "l40s"
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"nodePools[0].minNodes": 1},
        {"nodePools[0].maxNodes": 9},
        {"nodePools[0].disk": "300Gi"},
        {"nodePools[0].maxPods": 40},
        {"nodePools[0].labels": {"team": "vision"}},
        {"nodePools[0].releaseVersion": "1.36.0-20260714"},
        {"tags": {"cost-center": "agents"}},
        {"network.peerCidrs": ["10.8.0.0/16", "10.9.0.0/16"]},
    ],
)
def test_what_a_live_group_takes_in_its_stride_changes_no_name(changes: dict[str, Any]) -> None:
    assert names(changes) == names({})


def test_names_fit_everywhere() -> None:
    changes = {"name": "c" * 40, "nodePools[1].name": "p" * 30}
    assert all(len(group.name) <= 63 for group in plan(changes).node_groups)


@pytest.mark.parametrize("machine", list(MACHINE_TYPES["aws"]))
def test_every_machine_has_addresses_for_the_pods_that_pools_may_ask_for(machine: str) -> None:
    known = machine_type("aws", machine)
    for pods in (8, 30, 110, 250):
        if pods <= most_pods(known):
            taken = addresses_per_node(known, pods)
            assert pods + PREFIX_ADDRESSES <= taken <= pods + 3 * PREFIX_ADDRESSES + known.network_interfaces


def test_more_pods_than_a_machine_has_addresses_for_are_refused() -> None:
    smallest = min(MACHINE_TYPES["aws"].values(), key=most_pods)
    assert most_pods(smallest) >= 110
