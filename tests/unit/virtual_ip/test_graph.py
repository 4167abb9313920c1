"""What the component registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.virtual_ip.component import VirtualIp, VirtualIpArgs
from policies.catalogue import RULES
from policies.resource import Resource
from tests.harness import sdk_types
from tests.unit.graph import Registration, record
from tests.unit.virtual_ip.examples import SERVER, plan

IMAGE = f"registry.example/virtual-ip@sha256:{'4' * 64}"
EXEMPTED = {
    "namespace-pod-security",
    "container-capabilities",
    "container-non-root",
    "pod-host-network",
}
"""What the policy pack has to be asked for; see docs/decisions."""


def build(**changes: Any) -> list[Registration]:
    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        args = VirtualIpArgs(plan(**changes), "entry", "v1.36", IMAGE, SERVER)
        VirtualIp("entry", args, pulumi.ResourceOptions(providers=[provider]))

    return record(program)[0]


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return [item for item in build() if item.type.startswith("kubernetes:")]


def one(graph: list[Registration], kind: str) -> Mapping[str, Any]:
    (found,) = [item for item in graph if item.kind == kind]
    return found.inputs


def pod(graph: list[Registration]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = one(graph, "DaemonSet")["spec"]["template"]["spec"]
    return spec


def containers(graph: list[Registration]) -> dict[str, Mapping[str, Any]]:
    spec = pod(graph)
    return {
        container["name"]: container for key in ("initContainers", "containers") for container in spec[key]
    }


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in graph:
        document = item.document
        kubernetes_validate.validate(document, "1.36", strict=True)
        assert sdk_types.findings(item) == []


def test_capabilities_are_exactly_those_that_the_chaos_tests_run_with(graph: list[Registration]) -> None:
    added = {
        name: container["securityContext"]["capabilities"].get("add", [])
        for name, container in containers(graph).items()
    }
    assert added == {
        "firewall": ["NET_ADMIN"],
        "guard": ["NET_ADMIN"],
        "keepalived": ["NET_ADMIN", "NET_RAW", "SETGID", "SETUID"],
        "monitor": [],
        "haproxy": [],
    }


def test_who_faces_the_network_is_nobody(graph: list[Registration]) -> None:
    for name in ("haproxy", "monitor"):
        context = containers(graph)[name]["securityContext"]
        assert context["runAsUser"] == 65532
        assert context["runAsNonRoot"] is True


def test_nothing_else_is_waived(graph: list[Registration]) -> None:
    for container in containers(graph).values():
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert not context.get("privileged")
        assert container["resources"]["requests"] == container["resources"]["limits"]
    spec = pod(graph)
    assert not spec.get("hostPID")
    assert not spec.get("hostIPC")
    assert spec["automountServiceAccountToken"] is False
    assert not any("hostPath" in volume for volume in spec["volumes"])


def test_the_policy_pack_objects_to_the_exemption_and_to_nothing_else(graph: list[Registration]) -> None:
    objections = {
        rule.id
        for item in graph
        for rule in RULES
        if rule.judges(item.type) and rule.violations(Resource(item.type, item.inputs))
    }
    assert objections == EXEMPTED


def test_the_pods_are_on_the_entry_nodes_and_nowhere_else(graph: list[Registration]) -> None:
    terms = pod(graph)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    names = [term["matchFields"][0]["values"] for term in terms["nodeSelectorTerms"]]
    assert names == [["node-1"], ["node-2"], ["node-3"]]


def test_one_node_at_a_time_is_updated_and_a_changed_configuration_is_an_update() -> None:
    def daemon_set(**changes: Any) -> Mapping[str, Any]:
        return one(build(**changes), "DaemonSet")

    strategy = daemon_set()["spec"]["updateStrategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert daemon_set()["spec"]["template"] == daemon_set()["spec"]["template"]
    assert daemon_set()["spec"]["template"] != daemon_set(advertIntervalMs=500)["spec"]["template"]


def test_the_certificate_is_mounted_for_the_proxy_alone(graph: list[Registration]) -> None:
    mounted = [
        name
        for name, container in containers(graph).items()
        if any(mount["name"] == "tls" for mount in container["volumeMounts"])
    ]
    assert mounted == ["haproxy"]


def test_every_node_has_its_files(graph: list[Registration]) -> None:
    names = one(graph, "ConfigMap")["data"].keys()
    for node in ("node-1", "node-2", "node-3"):
        assert {f"{node}.keepalived.conf", f"{node}.haproxy.cfg", f"{node}.vrrp.nft"} <= names


def test_the_namespace_is_for_these_pods_alone(graph: list[Registration]) -> None:
    labels = one(graph, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    assert labels["pod-security.kubernetes.io/enforce-version"] == "v1.36"
    assert one(graph, "NetworkPolicy")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    hard = one(graph, "ResourceQuota")["spec"]["hard"]
    assert hard["pods"] == "6"
