"""The plan: addresses, pools and their names, what the scheduler finds on a node."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, ip_network
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.accelerators.machine_types import MACHINE_TYPES
from components.accelerators.shapes import Taint
from components.accelerators.tpu import GENERATIONS, TopologyError, slice_on, topologies
from components.common.quantities import GIB
from components.gke.addresses import plan_addresses, pod_block
from components.gke.plan import plan_gke
from components.gke.pools import PoolPlan
from components.gke.settings import GkeCluster, GkeNetwork
from tests.unit.gke.examples import plan, problems, raw


def pools(changes: dict[str, Any] | None = None) -> dict[str, PoolPlan]:
    return {pool.key: pool for pool in plan(changes).node_pools}


def test_addresses() -> None:
    addresses = plan().addresses
    assert {name: str(network) for name, network in vars(addresses).items()} == {
        "nodes": "10.40.0.0/17",
        "file_stores": "10.40.128.0/20",
        "control_plane": "10.40.144.0/28",
        "pods": "10.44.0.0/14",
        "services": "10.48.0.0/20",
    }


networks = st.builds(
    lambda address, prefix: str(ip_network((address, prefix), strict=False)),
    st.one_of(
        st.integers(10 << 24, (11 << 24) - 1), st.integers((172 << 24) + (16 << 16), (172 << 24) + (31 << 16))
    ),
    st.integers(10, 27),
)


@given(networks, networks, networks, st.lists(networks, max_size=3))
def test_planned_ranges_never_overlap(block: str, pods: str, services: str, peers: list[str]) -> None:
    network = GkeNetwork.model_validate(
        {
            "zones": ["europe-west4-a"],
            "cidr": block,
            "podCidr": pods,
            "serviceCidr": services,
            "peerCidrs": peers,
        }
    )
    addresses, found = plan_addresses(network)
    assert (addresses is None) == bool(found)
    if addresses is None:
        return
    ranges = [*vars(addresses).values(), *(ip_network(peer) for peer in dict.fromkeys(peers))]
    planned = len(vars(addresses))
    for (i, one), (j, other) in combinations(enumerate(ranges), 2):
        assert (i >= planned and j >= planned) or not one.overlaps(other)
    for inner in (addresses.nodes, addresses.file_stores, addresses.control_plane):
        assert inner.subnet_of(IPv4Network(block))


@given(st.integers(8, 256))
def test_each_node_has_twice_its_pods_addresses(max_pods: int) -> None:
    block = pod_block(max_pods)
    assert 2 * max_pods <= block
    assert block == 16 or block < 4 * max_pods
    assert block & (block - 1) == 0


@pytest.mark.parametrize(
    ("max_pods", "prefix"), [(8, 28), (16, 27), (32, 26), (64, 25), (110, 24), (128, 24), (256, 23)]
)
def test_blocks_of_pods_are_those_that_google_documents(max_pods: int, prefix: int) -> None:
    assert pod_block(max_pods) == 2 ** (32 - prefix)


def test_the_system_pool_comes_first_and_takes_everything() -> None:
    first = plan().pools[0]
    assert first.labels["autoglm-platform/node-pool"] == "system"
    assert first.taints == ()


def test_nodes_carry_the_labels_that_gke_and_the_platform_set() -> None:
    shapes = {pool.key: pool.shape for pool in plan().node_pools}
    l4, h100, t4, v6e = (shapes[name].labels for name in ("l4", "h100", "t4", "v6e-slice"))
    assert shapes["l4"].name == "l4"
    assert l4["cloud.google.com/gke-nodepool"] == pools()["l4"].name
    assert l4["cloud.google.com/gke-accelerator"] == "nvidia-l4"
    assert l4["autoglm-platform/accelerator"] == "L4"
    assert l4["autoglm-platform/node-pool"] == "l4"
    assert l4["team"] == "models"
    assert h100["cloud.google.com/gke-gpu-partition-size"] == "3g.40gb"
    assert h100["cloud.google.com/gke-ephemeral-storage-local-ssd"] == "true"
    assert t4["cloud.google.com/gke-accelerator"] == "nvidia-tesla-t4"
    assert t4["cloud.google.com/gke-gpu-sharing-strategy"] == "time-sharing"
    assert t4["cloud.google.com/gke-max-shared-clients-per-gpu"] == "4"
    assert t4["cloud.google.com/gke-spot"] == "true"
    assert v6e["cloud.google.com/gke-tpu-accelerator"] == "tpu-v6e-slice"
    assert v6e["cloud.google.com/gke-tpu-topology"] == "4x4"


def test_nodes_carry_the_taints_that_gke_sets() -> None:
    shapes = {pool.key: pool.shape for pool in plan().node_pools}
    assert shapes["l4"].taints == (
        Taint("dedicated", "models", "NoSchedule"),
        Taint("nvidia.com/gpu", "present", "NoSchedule"),
    )
    assert shapes["v6e"].taints == (Taint("google.com/tpu", "present", "NoSchedule"),)
    assert shapes["general"].taints == ()


def test_what_pods_can_ask_for() -> None:
    allocatable = {pool.key: pool.shape.allocatable for pool in plan().node_pools}
    assert allocatable["l4"]["nvidia.com/gpu"] == 2
    # GKE names a partition like a whole GPU: 8 cards, 2 of 3g.40gb on each.
    assert allocatable["h100"]["nvidia.com/gpu"] == 16
    assert allocatable["t4"]["nvidia.com/gpu"] == 4
    assert allocatable["v6e"]["google.com/tpu"] == 8
    assert allocatable["v6e-slice"]["google.com/tpu"] == 4
    assert all(amounts["pods"] == 64 for amounts in allocatable.values())


def test_bounds_of_a_shape_are_over_all_zones() -> None:
    assert (pools()["t4"].max_nodes, pools()["t4"].shape.max_nodes) == (2, 6)
    assert (pools()["general"].max_nodes, pools()["general"].shape.max_nodes) == (3, 3)


def test_surge_only_where_machines_are_plenty() -> None:
    upgrades = {key: (pool.max_surge, pool.max_unavailable) for key, pool in pools().items()}
    assert upgrades == {
        "system": (1, 0),
        "general": (1, 0),
        "l4": (0, 1),
        "h100": (0, 1),
        "t4": (0, 1),
        "v6e": (0, 1),
        "v6e-slice": (0, 1),
    }


def test_fast_socket_where_gpus_share_the_ordinary_network() -> None:
    assert {key for key, pool in pools().items() if pool.fast_socket} == {"l4"}


def test_boot_disks_that_the_machine_takes() -> None:
    assert {key: pool.disk_type for key, pool in pools().items() if pool.disk_type != "pd-balanced"} == {
        "v6e": "hyperdisk-balanced",
        "v6e-slice": "hyperdisk-balanced",
    }


def test_only_a_slice_that_is_always_wanted_has_a_fixed_number_of_nodes() -> None:
    assert {key for key, pool in pools().items() if pool.fixed} == {"v6e-slice"}
    scaled = pools({"nodePools[5].minNodes": 0})["v6e-slice"]
    assert not scaled.fixed
    assert (scaled.min_nodes, scaled.max_nodes, scaled.initial_nodes) == (0, 4, 0)


REPLACING: dict[str, dict[str, Any]] = {
    "machine type": {"nodePools[1].machineType": "g2-standard-48"},
    "taint": {"nodePools[1].taints": [{"key": "dedicated", "value": "others"}]},
    "no taint": {"nodePools[1].taints": []},
    "disk": {"nodePools[1].disk": "300Gi"},
    "kind of disk": {"nodePools[1].diskType": "pd-ssd"},
    "local SSDs": {"nodePools[1].localSsds": 2},
    "sharing": {"nodePools[1].sharing": {"kind": "time-slicing", "replicas": 2}},
    "driver": {"nodePools[1].driver": "LATEST"},
    "capacity": {"nodePools[1].capacity": {"kind": "spot"}},
    "NCCL": {"nodePools[1].fastSocket": False},
}
IN_PLACE: dict[str, dict[str, Any]] = {
    "bounds": {"nodePools[1].maxNodes": 7, "nodePools[1].minNodes": 2},
    "labels": {"nodePools[1].labels": {"team": "others"}},
    "zones": {"nodePools[1].zones": ["europe-west4-a"]},
    "surge": {"nodePools[1].upgrade": {"maxSurge": 1, "maxUnavailable": 0}},
    "another pool": {"nodePools[0].machineType": "n2-standard-16"},
    "order of taints": {
        "nodePools[1].taints": [{"key": "dedicated", "value": "models", "effect": "NoSchedule"}],
    },
}


@pytest.mark.parametrize("change", REPLACING)
def test_another_shape_is_another_pool(change: str) -> None:
    before, after = pools(), pools(REPLACING[change])
    assert before["l4"].name != after["l4"].name
    assert {key: pool.name for key, pool in before.items() if key != "l4"} == {
        key: pool.name for key, pool in after.items() if key != "l4"
    }


@pytest.mark.parametrize("change", IN_PLACE)
def test_what_changes_in_place_keeps_the_pool(change: str) -> None:
    assert pools()["l4"].name == pools(IN_PLACE[change])["l4"].name


def test_another_topology_is_another_pool() -> None:
    changes = {"nodePools[5].topology": "2x4", "nodePools[5].minNodes": 2, "nodePools[5].maxNodes": 2}
    assert pools()["v6e-slice"].name != pools(changes)["v6e-slice"].name


def test_names_stay_what_they_are() -> None:
    """A digest that changed by itself would replace every node of every stack."""
    assert {key: pool.name for key, pool in pools().items()} == {
        "system": "system-85c94e",
        "general": "general-1b3cb5",
        "l4": "l4-70b26a",
        "h100": "h100-0457e4",
        "t4": "t4-4a2dfd",
        "v6e": "v6e-4a3c00",
        "v6e-slice": "v6e-slice-f33368",
    }


def machine_cases() -> list[tuple[str, str | None]]:
    cases: list[tuple[str, str | None]] = []
    for name, machine in MACHINE_TYPES["gcp"].items():
        if not (machine.accelerator or "").startswith("TPU-"):
            cases.append((name, None))
            continue
        for generation in GENERATIONS:
            for topology in topologies(generation):
                try:
                    slice_on(name, topology)
                except TopologyError:
                    continue
                cases.append((name, topology))
    return list(dict.fromkeys(cases))


@pytest.mark.parametrize(("machine", "topology"), machine_cases())
def test_every_machine_type_of_the_catalogue_can_be_had(machine: str, topology: str | None) -> None:
    hosts = slice_on(machine, topology).hosts if topology else 1
    document = raw({"network.podCidr": "100.64.0.0/10", "network.cidr": "10.32.0.0/16"})
    document["nodePools"] = [
        {
            "name": "pool",
            "machineType": machine,
            "topology": topology,
            "maxNodes": hosts,
            "zones": ["europe-west4-a"],
        }
    ]
    result, found = plan_gke(GkeCluster.model_validate(document), protect=False)
    assert not found
    assert result is not None
    (pool,) = [pool for pool in result.node_pools if pool.key == "pool"]
    assert pool.multi_host == (hosts > 1)
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])", pool.name)
    if pool.machine.accelerator:
        resource = "google.com/tpu" if topology else "nvidia.com/gpu"
        assert pool.shape.allocatable[resource] == pool.machine.accelerator_count


@settings(max_examples=60)
@given(
    st.integers(0, 30),
    st.integers(1, 30),
    st.integers(1, 3),
    st.sampled_from(["total", "zone"]),
)
def test_a_new_pool_starts_within_its_bounds(low: int, high: int, zones: int, bounds: str) -> None:
    changes = {
        "nodePools[0].minNodes": low,
        "nodePools[0].maxNodes": high,
        "nodePools[0].bounds": bounds,
        "nodePools[0].zones": raw()["network"]["zones"][:zones],
    }
    if low > high:
        assert [problem.path for problem in problems(changes)] == ["nodePools[0].minNodes"]
        return
    pool = pools(changes)["general"]
    begun = pool.initial_nodes * zones
    assert begun <= pool.shape.max_nodes
    # Where the maximum is no multiple of the zones, some zones begin with one node too few.
    assert begun > pool.shape.min_nodes - zones


def test_what_pods_may_reach_is_plain() -> None:
    result = plan()
    assert result.object_storage_cidrs == ("199.36.153.4/30",)
    assert result.identity_endpoints == (("169.254.169.254/32", 80), ("169.254.169.252/32", 988))
    assert result.egress_cidrs == ("199.36.153.4/30", "169.254.169.254/32", "169.254.169.252/32")


def test_principals_of_workloads() -> None:
    assert plan().workload_principal("autoglm", "phone-fetch") == (
        "principal://iam.googleapis.com/projects/111122223333/locations/global/workloadIdentityPools/"
        "example-project.svc.id.goog/subject/ns/autoglm/sa/phone-fetch"
    )


def test_the_smallest_shared_volume_depends_on_the_tier() -> None:
    assert plan().shared_storage_minimum == 1024 * GIB
    assert plan({"sharedStorage": {"tier": "premium"}}).shared_storage_minimum == 2560 * GIB


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "machineType", "maxNodes", "minNodes", "topology", "sharing", "kind", "taints"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
@settings(max_examples=60)
def test_whatever_a_pool_says_is_planned_or_refused(pool: Any) -> None:
    document = raw()
    document["nodePools"] = [pool]
    try:
        cluster = GkeCluster.model_validate(document)
    except ValueError:
        return
    result, found = plan_gke(cluster, protect=False)
    assert (result is None) == bool(found)
