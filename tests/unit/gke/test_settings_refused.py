"""Bad input: each case is refused before anything is registered, with its key, its value and the fix."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.gke.examples import plan, problems, settings

PLANNED: dict[str, tuple[dict[str, Any], str, str]] = {
    "pods overlap nodes": (
        {"network.podCidr": "10.40.0.0/14"},
        "network.podCidr",
        "10.40.0.0/14: overlaps network.cidr 10.40.0.0/16; choose a range of its own",
    ),
    "services overlap pods": (
        {"network.serviceCidr": "10.45.0.0/20"},
        "network.serviceCidr",
        "10.45.0.0/20: overlaps network.podCidr 10.44.0.0/14; choose a range of its own",
    ),
    "a peer overlaps": (
        {"network.peerCidrs": ["10.8.0.0/16", "10.32.0.0/11"]},
        "network.peerCidrs[1]",
        "10.32.0.0/11: overlaps network.cidr 10.40.0.0/16; choose a range of its own",
    ),
    "Google's addresses": (
        {"network.podCidr": "199.36.128.0/17"},
        "network.podCidr",
        "199.36.128.0/17: overlaps Google's restricted addresses 199.36.153.4/30; choose a range of its own",
    ),
    "public addresses": (
        {"network.podCidr": "203.0.0.0/14"},
        "network.podCidr",
        "203.0.0.0/14: addresses of others, whom pods could then not reach; choose a private range "
        "(10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10)",
    ),
    "block too small": (
        {"network.cidr": "10.40.0.0/21"},
        "network.cidr",
        "10.40.0.0/21: choose a range of /16 to /20",
    ),
    "too many services": (
        {"network.serviceCidr": "10.56.0.0/13"},
        "network.serviceCidr",
        "10.56.0.0/13: choose a range of /16 to /27",
    ),
    "pods without addresses": (
        {"network.podCidr": "10.44.0.0/20"},
        "network.podCidr",
        "10.44.0.0/20: has room for 32 nodes of 128 addresses each: the pools can have 35, upgrades and one "
        "replaced pool included; choose a wider range, or lower maxNodes or maxPodsPerNode",
    ),
    "nodes without addresses": (
        {"network.cidr": "10.40.0.0/20", "network.podCidr": "100.64.0.0/10", "nodePools[0].maxNodes": 2000},
        "network.cidr",
        "its half 10.40.0.0/21 has room for 2028 nodes: the pools can have 4026, upgrades and one replaced "
        "pool included; choose a wider range or lower maxNodes",
    ),
    "F52 anyone by the private endpoint": (
        {"api.privateCidrs": ["0.0.0.0/0"]},
        "api.privateCidrs[0]",
        "0.0.0.0/0: admits anyone on the Internet; name the networks that need access, each at least a /8",
    ),
    "F52 anyone by the public endpoint": (
        {"api.publicCidrs": ["198.51.100.0/24", "128.0.0.0/1"]},
        "api.publicCidrs[1]",
        "128.0.0.0/1: admits anyone on the Internet; name the networks that need access, each at least a /8",
    ),
    "F52 anywhere by NAT": (
        {"network.nat": {"destinations": ["0.0.0.0/0"]}},
        "network.nat.destinations[0]",
        "0.0.0.0/0: admits anyone on the Internet; name the networks that need access, each at least a /8",
    ),
    "a network that is not connected": (
        {"api.privateCidrs": ["10.9.0.0/16"]},
        "api.privateCidrs[0]",
        "10.9.0.0/16: not within a network that is connected; add it to network.peerCidrs, or to "
        "api.publicCidrs if its hosts come over the Internet",
    ),
    "a private network by the public endpoint": (
        {"api.publicCidrs": ["10.8.0.0/16"]},
        "api.publicCidrs[0]",
        "10.8.0.0/16: no public addresses; a connected network belongs in network.peerCidrs and "
        "api.privateCidrs",
    ),
    "a zone of another region": (
        {"network.zones": ["europe-west4-a", "europe-west4-b", "europe-west1-b"]},
        "network.zones[2]",
        "'europe-west1-b': not in region europe-west4; choose zones of it or another region",
    ),
    "no channel and no version": (
        {"releaseChannel": "UNSPECIFIED", "version": "1.36"},
        "version",
        "'1.36': without a release channel it must be exact; write one of `gcloud container "
        "get-server-config`, such as 1.36.3-gke.1000000, or choose a releaseChannel",
    ),
    "too little time for maintenance": (
        {"maintenance": {"days": ["SU"], "hours": 6}},
        "maintenance.hours",
        "6: on SU that is 24 hours in four weeks, GKE needs 48; add days or hours",
    ),
    "an accelerator for the system": (
        {"systemPool.machineType": "g2-standard-4"},
        "systemPool.machineType",
        "'g2-standard-4': has accelerators, so that nothing else would run on its nodes; choose one without",
    ),
    "min > max": (
        {"nodePools[0].minNodes": 4},
        "nodePools[0].minNodes",
        "4 > maxNodes 3; lower minNodes or raise maxNodes",
    ),
    "two pools of one name": (
        {"nodePools[1].name": "general"},
        "nodePools[1].name",
        "'general': already that of nodePools[0]; choose another",
    ),
    "the system pool's name": (
        {"nodePools[0].name": "system"},
        "nodePools[0].name",
        "'system': that is the system pool's; choose another",
    ),
    "a zone that the cluster lacks": (
        {"nodePools[1].zones": ["europe-west4-d"]},
        "nodePools[1].zones[0]",
        "'europe-west4-d': not among network.zones; use europe-west4-a, europe-west4-b, europe-west4-c "
        "or add it",
    ),
    "F49 more GPUs than the machine has": (
        {"nodePools[1].gpus": 8},
        "nodePools[1].gpus",
        "8: g2-standard-24 has 2; remove gpus, or choose a machine type with 8",
    ),
    "F49 more GPUs than N1 takes": (
        {"nodePools[3].gpus": 8},
        "nodePools[3].gpus",
        "8",
    ),
    "two kinds of GPU": (
        {"nodePools[1].gpu": "T4"},
        "nodePools[1].gpu",
        "'T4': g2-standard-24 comes with L4; remove gpu",
    ),
    "a GPU that nobody makes": (
        {"nodePools[3].gpu": "T5"},
        "nodePools[3].gpu",
        "'T5': not a known accelerator",
    ),
    "a machine type that nobody has": (
        {"nodePools[0].machineType": "n2-standard-7"},
        "nodePools[0].machineType",
        "'n2-standard-7': not a known Google Cloud machine type; nearest are",
    ),
    "a partition that the GPU lacks": (
        {"nodePools[2].sharing.profile": "3g.20gb"},
        "nodePools[2].sharing.profile",
        "'3g.20gb': not a profile of H100-80",
    ),
    "a GPU that cannot be partitioned": (
        {"nodePools[1].sharing": {"kind": "mig", "profile": "1g.10gb"}},
        "nodePools[1].sharing.kind",
        "'mig': L4 cannot be partitioned; write exclusive or time-slicing",
    ),
    "sharing without a GPU": (
        {"nodePools[0].sharing": {"kind": "time-slicing", "replicas": 2}},
        "nodePools[0].sharing.kind",
        "'time-slicing': n2-standard-8 has no accelerator; write exclusive",
    ),
    "a TPU topology that the type lacks": (
        {"nodePools[4].topology": "4x4"},
        "nodePools[4].topology",
        "'4x4': not a topology of ct6e-standard-8t; it is made up of ct6e-standard-4t; ct6e-standard-8t "
        "makes up 2x4",
    ),
    "a TPU topology that the generation lacks": (
        {"nodePools[5].topology": "2x2x4"},
        "nodePools[5].topology",
        "'2x2x4': TPU v6e has no such topology; nearest are",
    ),
    "a TPU without topology": (
        {"nodePools[4].topology": None},
        "nodePools[4].topology",
        "missing: ct6e-standard-8t is part of a TPU slice; write its topology",
    ),
    "a topology without TPU": (
        {"nodePools[1].topology": "2x4"},
        "nodePools[1].topology",
        "'2x4': g2-standard-24 has no TPU; remove it",
    ),
    "more nodes than the slice has hosts": (
        {"nodePools[5].maxNodes": 8},
        "nodePools[5].maxNodes",
        "8: a slice of 4x4 is 4 hosts of ct6e-standard-4t, all in one pool; write 4, and a further pool for "
        "each further slice",
    ),
    "a part of a slice": (
        {"nodePools[5].minNodes": 1},
        "nodePools[5].minNodes",
        "1: a slice exists as a whole; write 0 or 4",
    ),
    "a slice across zones": (
        {"nodePools[5].zones": ["europe-west4-a", "europe-west4-b"]},
        "nodePools[5].zones",
        "europe-west4-a, europe-west4-b: a slice of several hosts lies in one zone; name that one",
    ),
    "a spare host for a slice": (
        {"nodePools[5].upgrade": {"maxSurge": 1, "maxUnavailable": 0}},
        "nodePools[5].upgrade.maxSurge",
        "1: a slice has no spare hosts; write 0, and maxUnavailable 1 or more",
    ),
    "an upgrade that cannot begin": (
        {"nodePools[0].upgrade": {"maxSurge": 0, "maxUnavailable": 0}},
        "nodePools[0].upgrade",
        "maxSurge 0 and maxUnavailable 0: no node could go; raise one of them",
    ),
    "a driver without GPU": (
        {"nodePools[0].driver": "LATEST"},
        "nodePools[0].driver",
        "'LATEST': n2-standard-8 has no GPU; remove it",
    ),
    "NCCL without GPU": (
        {"nodePools[4].fastSocket": True},
        "nodePools[4].fastSocket",
        "true: ct6e-standard-8t has no GPU; remove it",
    ),
    "local SSDs that the machine brings": (
        {"nodePools[2].localSsds": 2},
        "nodePools[2].localSsds",
        "2: a3-highgpu-8g comes with 16; remove localSsds",
    ),
    "a disk that the machine cannot boot from": (
        {"nodePools[4].diskType": "pd-ssd"},
        "nodePools[4].diskType",
        "'pd-ssd': ct6e-standard-8t boots from Hyperdisk only; write hyperdisk-balanced",
    ),
    "a disk of part of a GiB": (
        {"nodePools[0].disk": "100G"},
        "nodePools[0].disk",
        "97656250Ki: write whole GiB, at least 50Gi",
    ),
    "a label of GKE's": (
        {"nodePools[0].labels": {"cloud.google.com/gke-accelerator": "none"}},
        "nodePools[0].labels.cloud.google.com/gke-accelerator",
        "set by GKE or the platform itself; choose a key of your own",
    ),
    "a label of the platform's": (
        {"nodePools[0].labels": {"autoglm-platform/node-pool": "other"}},
        "nodePools[0].labels.autoglm-platform/node-pool",
        "set by GKE or the platform itself; choose a key of your own",
    ),
    "a taint of GKE's": (
        {"nodePools[1].taints": [{"key": "nvidia.com/gpu", "value": "present"}]},
        "nodePools[1].taints[0].key",
        "'nvidia.com/gpu': GKE sets it on nodes with accelerators; remove it here",
    ),
    "F51 logs that do not outlast half a year": (
        {"logRetentionDays": 180},
        "logRetentionDays",
        "180: the audit log must outlast half a year; write 200 or more, or null",
    ),
    "a taint twice": (
        {"nodePools[0].taints": [{"key": "dedicated"}, {"key": "dedicated", "value": "models"}]},
        "nodePools[0].taints[1]",
        "dedicated NoSchedule: given twice; remove one of them",
    ),
}

INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "host bits": ({"network.cidr": "10.40.0.1/16"}, "'10.40.0.1/16' has host bits set; write 10.40.0.0/16"),
    "no prefix": ({"network.cidr": "10.40.0.0"}, "has no prefix length"),
    "IPv6": ({"network.podCidr": "fd00::/64"}, "is not IPv4"),
    "nobody administers the keys": ({"keyAdministrators": []}, "keyAdministrators"),
    "everybody administers the keys": ({"keyAdministrators": ["allUsers"]}, "keyAdministrators.0"),
    "keys that last too long": ({"keyRotationDays": 365}, "keyRotationDays"),
    "a number that is none": ({"projectNumber": "example"}, "projectNumber"),
    "F53 unknown key": ({"network.subnets": []}, "network.subnets"),
    "yes for a number": ({"nodePools[0].minNodes": True}, "nodePools.0.minNodes"),
    "no node at all": ({"nodePools[0].maxNodes": 0}, "nodePools.0.maxNodes"),
    "a driver that GKE does not know": ({"nodePools[1].driver": "NEWEST"}, "nodePools.1.driver"),
    "another kind of topology": ({"nodePools[4].topology": "8 chips"}, "nodePools.4.topology"),
    "a name too long for its account": ({"name": "a" * 25}, "name"),
    "a wildcard member": ({"keyAdministrators": ["user:*@example.com"]}, "keyAdministrators.0"),
}


@pytest.mark.parametrize("case", PLANNED)
def test_refused_by_the_plan(case: str) -> None:
    changes, path, message = PLANNED[case]
    messages = [problem.message for problem in problems(changes) if problem.path == path]
    assert any(found.startswith(message) for found in messages), messages


@pytest.mark.parametrize("case", INVALID)
def test_refused_by_the_schema(case: str) -> None:
    changes, message = INVALID[case]
    with pytest.raises(ValidationError, match=message.replace(".", r"\.").replace("(", r"\(")):
        settings(changes)


def test_all_problems_at_once() -> None:
    found = problems(
        {
            "network.podCidr": "10.40.0.0/14",
            "api.privateCidrs": ["0.0.0.0/0"],
            "nodePools[0].minNodes": 4,
            "nodePools[4].topology": "4x4",
        }
    )
    assert {problem.path for problem in found} == {
        "network.podCidr",
        "api.privateCidrs[0]",
        "nodePools[0].minNodes",
        "nodePools[4].topology",
    }


def test_the_example_is_accepted() -> None:
    assert len(plan().pools) == 7
