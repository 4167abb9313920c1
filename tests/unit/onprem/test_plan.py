"""A bare-metal cluster as the scheduler sees it, and what is refused."""

from __future__ import annotations

from components.accelerators.shapes import Taint
from components.common.quantities import GIB
from tests.unit.onprem.examples import document, plan, refused


def test_pools_look_like_those_of_a_cloud() -> None:
    entry, gpu, npu, mlu = plan().pools
    assert gpu.labels == {
        "autoglm-platform/node-pool": "gpu",
        "autoglm-platform/accelerator": "H100-80",
        "topology.kubernetes.io/zone": "rack-2",
    }
    assert gpu.taints == (Taint("nvidia.com/gpu", "present", "NoSchedule"),)
    assert gpu.allocatable["nvidia.com/gpu"] == 8
    assert (gpu.min_nodes, gpu.max_nodes) == (2, 2)
    assert gpu.accelerator_memory is not None
    assert gpu.accelerator_memory > 79 * GIB
    assert entry.taints == ()
    assert entry.accelerator is None
    assert npu.taints == (
        Taint("huawei.com/Ascend910", "present", "NoSchedule"),
        Taint("maintenance", "", "NoExecute"),
    )
    assert mlu.allocatable["cambricon.com/mlu"] == 1


def test_endpoint_and_who_calls_the_servers() -> None:
    assert plan().endpoint == "https://192.168.1.100:8443"
    assert plan().entry_cidrs == ("192.168.1.11/32", "192.168.1.12/32", "192.168.1.13/32")
    changed = document()
    changed["virtualIp"]["frontend"] = {"kind": "model-api", "plainHttp": True, "port": 8080}
    assert plan(changed).endpoint == "http://192.168.1.100:8080"


def test_a_cluster_that_was_made_otherwise_needs_no_hosts() -> None:
    changed = document()
    del changed["hosts"]
    assert plan(changed).hosts is None


def test_f48_both_virtual_ips_by_default_collide() -> None:
    changed = document()
    inner = changed["hosts"]["controlPlane"]["virtualIp"]
    for key in ("address", "routerId", "healthPort", "peerPort"):
        del inner[key]
    assert [problem.partition(": ")[0] for problem in refused(changed)] == [
        "virtualIp.routerId",
        "virtualIp.address",
        "virtualIp.healthPort",
        "virtualIp.peerPort",
    ]


def test_f48_a_node_twice() -> None:
    changed = document()
    changed["nodePools"][1]["nodes"][1] = {"name": "gpu-1", "address": "192.168.1.21"}
    del changed["storage"]
    assert refused(changed) == [
        "nodePools[1].nodes[1].name: gpu-1: nodePools[1].nodes[0].name is the same; correct one",
        "nodePools[1].nodes[1].address: 192.168.1.21: nodePools[1].nodes[0].address is the same; correct one",
    ]


def test_f47_a_node_has_the_virtual_address() -> None:
    changed = document()
    changed["nodePools"][1]["nodes"][0]["address"] = "192.168.1.100"
    assert refused(changed) == [
        "nodePools[1].nodes[0].address: 192.168.1.100: is virtualIp.address; "
        "a node cannot have it as its own: correct one"
    ]


def test_unknown_accelerators_are_told_with_the_nearest_names() -> None:
    changed = document()
    changed["nodePools"][2]["hardware"]["accelerator"] = "Ascend-910"
    (problem,) = refused(changed)
    assert problem.startswith("nodePools[2].hardware.accelerator: 'Ascend-910': ")
    assert "Ascend-910B" in problem


def test_what_only_a_cloud_has_is_refused() -> None:
    changed = document()
    changed["nodePools"][2]["hardware"]["accelerator"] = "TPU-v5e"
    (problem,) = refused(changed)
    assert "only Google's own cloud has it" in problem


def test_volumes_are_on_nodes_that_exist_and_apart() -> None:
    changed = document()
    volumes = changed["storage"]["volumes"]
    volumes.append({"node": "gpu-9", "path": "/srv", "size": "1Gi"})
    volumes.append({"node": "gpu-1", "path": "/srv/volumes/one", "size": "1Gi"})
    assert refused(changed) == [
        "storage.volumes[2].node: gpu-9: in none of nodePools; write the name of a node",
        "storage.volumes[3].path: /srv/volumes/one: storage.volumes[0] is the same on gpu-1; "
        "give each its own",
    ]


def test_entry_nodes_are_nodes_of_the_cluster() -> None:
    changed = document()
    changed["virtualIp"]["nodes"][0] = {"name": "edge-1", "address": "192.168.1.11"}
    (problem,) = refused(changed)
    assert problem.startswith("virtualIp.nodes[0].name: edge-1: in none of nodePools")


def test_the_models_address_leads_to_the_models() -> None:
    changed = document()
    changed["virtualIp"]["frontend"] = {"kind": "kubernetes-api"}
    (problem,) = refused(changed)
    assert problem.startswith("virtualIp.frontend.kind: kubernetes-api: this address is for the models")


def test_everything_is_told_at_once_with_paths_from_the_cluster() -> None:
    changed = document()
    changed["virtualIp"]["routerId"] = 0
    changed["hosts"]["controlPlane"]["virtualIp"]["address"] = "10.0.0.9/24"
    changed["hosts"]["podCidr"] = "10.96.0.0/16"
    paths = {problem.partition(": ")[0] for problem in refused(changed)}
    assert paths == {
        "virtualIp.routerId",
        "hosts.controlPlane.virtualIp.address",
        "hosts.serviceCidr",
    }
