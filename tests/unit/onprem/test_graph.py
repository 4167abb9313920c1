"""What the platform registers on a bare-metal cluster."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes

from components.onprem.component import OnpremPlatform, OnpremPlatformArgs
from tests.harness import sdk_types
from tests.unit.graph import Registration, record
from tests.unit.onprem.examples import document, plan

IMAGE = f"registry.example/virtual-ip@sha256:{'4' * 64}"
UPSTREAM = "phone.autoglm.svc.cluster.local:8000"


def build(changed: dict[str, Any] | None = None, *, protect: bool = True) -> tuple[list[Registration], Any]:
    def program() -> dict[str, Any]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        args = OnpremPlatformArgs(plan(changed, protect=protect), "v1.36", IMAGE, UPSTREAM)
        platform = OnpremPlatform("cluster", args, pulumi.ResourceOptions(providers=[provider]))
        return {"endpoint": platform.endpoint, "storageClass": platform.storage_class}

    # As a preview without a kubeconfig: the cluster knows nothing yet.
    return record(program, preview=True, configured=False)


def of_kind(graph: list[Registration], kind: str) -> list[Registration]:
    return [item for item in graph if item.kind == kind and item.type.startswith("kubernetes:")]


def test_outputs_are_known_without_a_cluster() -> None:
    assert build()[1] == {"endpoint": "https://192.168.1.100:8443", "storageClass": "local"}


def test_everything_is_a_child_under_the_explicit_provider() -> None:
    graph, _ = build()
    components = {item.name for item in graph if item.type.startswith("autoglm:")}
    assert {item.type for item in graph if item.type.startswith("autoglm:")} == {
        "autoglm:onprem:OnpremPlatform",
        "autoglm:virtual_ip:VirtualIp",
    }
    for item in graph:
        if item.type.startswith("kubernetes:"):
            assert item.parent in components
            assert "::cluster::" in item.provider
            assert sdk_types.findings(item) == []


def test_volumes_of_the_nodes_disks() -> None:
    graph, _ = build()
    (storage_class,) = of_kind(graph, "StorageClass")
    assert storage_class.inputs["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage_class.inputs["reclaimPolicy"] == "Retain"
    volumes = of_kind(graph, "PersistentVolume")
    assert len({item.inputs["metadata"]["name"] for item in volumes}) == 2
    for item in volumes:
        kubernetes_validate.validate(dict(item.inputs), "1.36", strict=True)
        assert item.inputs["spec"]["local"] == {"path": "/srv/volumes/one"}
        assert item.protect
        assert item.retain_on_delete


def test_a_class_that_exists_is_left_alone() -> None:
    changed = document()
    changed["storage"] = {"className": "fast"}
    graph, outputs = build(changed)
    assert of_kind(graph, "StorageClass") == []
    assert outputs["storageClass"] == "fast"


def test_unprotected_volumes_can_be_removed() -> None:
    graph, _ = build(protect=False)
    assert not any(item.protect for item in graph)
