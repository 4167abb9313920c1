"""Simulated nodes carry what the scheduler and the device labels of real ones carry."""

from __future__ import annotations

import pytest

from toolchain.cluster import kwok
from toolchain.errors import ToolchainError


@pytest.mark.parametrize("written", ["h100x8", "8×H100", "8xH100", "h100:8", "H100 x 8"])
def test_gpus_are_understood_as_people_write_them(written: str) -> None:
    (node,) = kwok.parse(written)
    assert node.capacity["nvidia.com/gpu"] == "8"
    assert node.labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"


@pytest.mark.parametrize("written", ["tpu-v5e-2x4", "TPU v5e 2x4", "v5e-2x4", "tpu_v5e_2×4"])
def test_a_tpu_slice_of_one_host_is_one_node(written: str) -> None:
    (node,) = kwok.parse(written)
    assert node.capacity["google.com/tpu"] == "8"
    assert node.labels["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5-lite-podslice"
    assert node.labels["cloud.google.com/gke-tpu-topology"] == "2x4"


def test_a_larger_slice_has_hosts_of_four_chips() -> None:
    nodes = kwok.parse("tpu-v6e-4x4")
    assert [node.capacity["google.com/tpu"] for node in nodes] == ["4", "4", "4", "4"]
    assert len({node.name for node in nodes}) == 4


def test_repeated_specifications_give_nodes_of_different_names() -> None:
    assert [node.name for node in kwok.expand(["h100x8", "8×H100", "l4x1"])] == [
        "kwok-h100x8-0",
        "kwok-h100x8-1",
        "kwok-l4x1-0",
    ]


@pytest.mark.parametrize(
    "written", ["", "h100", "gtx1080x2", "tpu-v9-2x2", "h100x0", "h100x64", "tpu-v5e-3x5"]
)
def test_anything_else_is_refused_with_the_known_forms(written: str) -> None:
    with pytest.raises(ToolchainError, match=r"--kwok-node .*(write h100x8|give)"):
        kwok.parse(written)


def test_pods_must_tolerate_simulated_nodes() -> None:
    (node,) = kwok.parse("h100x8")
    manifest = kwok.node_manifest(node)
    assert manifest["spec"]["taints"] == [
        {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
    ]
    assert manifest["status"]["allocatable"]["nvidia.com/gpu"] == "8"


def test_a_described_node_is_registered_as_it_is() -> None:
    described = kwok.SimulatedNode(
        "l40s-0",
        capacity={"cpu": "7910m", "memory": "62847241420", "nvidia.com/gpu": "1"},
        labels={"topology.kubernetes.io/zone": "us-east-1a"},
        taints=(kwok.Taint("nvidia.com/gpu", "present", "NoSchedule"),),
    )
    (node,) = kwok.expand([described])
    manifest = kwok.node_manifest(node)
    assert manifest["metadata"]["name"] == "l40s-0"
    assert manifest["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-east-1a"
    assert manifest["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    ]
    assert manifest["status"]["allocatable"] == manifest["status"]["capacity"] == described.capacity
