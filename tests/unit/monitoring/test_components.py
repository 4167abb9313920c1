"""What monitoring registers."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.monitoring.component import (
    OwnMonitoring,
    OwnMonitoringArgs,
    StackMonitoring,
    StackMonitoringArgs,
)
from components.monitoring.objects import API_VERSION
from components.monitoring.relay import ROBOTS
from tests.unit.graph import Registration, objects, record
from tests.unit.judgement import breaches
from tests.unit.monitoring.examples import IMAGES, RUNBOOKS, plan

AGENTS_NEED = {
    ("pod-host-network", "node-exporter"),
    ("pod-host-path", "node-exporter"),
    ("pod-host-path", "dcgm-exporter"),
    ("container-non-root", "dcgm-exporter"),
}
"""Rules that agents of nodes cannot keep; the levels of the stacks exempt just these."""


def build(*, configured: bool = True, **changes: Any) -> list[Registration]:
    planned = plan(**changes)

    def program() -> pulumi.Output[str]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        StackMonitoring("monitoring", StackMonitoringArgs("autoglm", planned), opts)
        args = OwnMonitoringArgs("monitoring", "workload", "node-agents", "workload", IMAGES, planned)
        return OwnMonitoring("own", args, opts).url

    registrations, url = record(program, preview=not configured, configured=configured)
    assert url == "http://prometheus.monitoring.svc:9090"
    return registrations


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()


def of_kind(graph: list[Registration], kind: str) -> list[Registration]:
    return [item for item in objects(graph) if item.inputs["kind"] == kind]


def named(graph: list[Registration], kind: str, name: str) -> Registration:
    (found,) = (item for item in of_kind(graph, kind) if item.inputs["metadata"]["name"] == name)
    return found


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in objects(graph):
        # What a Secret holds is hidden from here, too.
        if item.inputs["apiVersion"] != API_VERSION and item.inputs["kind"] != "Secret":
            kubernetes_validate.validate(item.document, "1.36", strict=True)


def test_no_rule_of_the_policy_pack_is_broken_but_by_agents_of_nodes(graph: list[Registration]) -> None:
    assert {(found.rule, found.name) for found in breaches(objects(graph))} == AGENTS_NEED


def test_a_preview_without_a_cluster_registers_the_same(graph: list[Registration]) -> None:
    assert [item.inputs for item in build(configured=False)] == [item.inputs for item in graph]


def test_there_is_a_rule_object_for_each_group(graph: list[Registration]) -> None:
    rules = of_kind(graph, "PrometheusRule")
    assert {item.inputs["metadata"]["name"] for item in rules} == {group.name for group in plan().groups}
    for item in rules:
        (group,) = item.inputs["spec"]["groups"]
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"].startswith(f"{RUNBOOKS}/")


def test_monitors_name_ports_and_labels_that_the_workloads_have(graph: list[Registration]) -> None:
    found = {item.inputs["metadata"]["name"]: item.inputs["spec"] for item in of_kind(graph, "PodMonitor")}
    server, etcd = found["model-server"], found["etcd"]
    assert server["selector"] == {"matchLabels": {"app.kubernetes.io/name": "model-server"}}
    assert server["podMetricsEndpoints"][0]["port"] == "http"
    assert server["podMetricsEndpoints"][0]["interval"] == "15s"
    assert server["podMetricsEndpoints"][0]["relabelings"] == [
        {
            "action": "replace",
            "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"],
            "targetLabel": "model",
        }
    ]
    assert etcd["selector"] == {"matchLabels": {"app.kubernetes.io/name": "etcd"}}
    assert etcd["podMetricsEndpoints"][0]["port"] == "metrics"
    assert all(spec["jobLabel"] == "app.kubernetes.io/name" for spec in found.values())


def test_the_relay_reaches_dingtalk_alone_and_alertmanager_alone_reaches_it(
    graph: list[Registration],
) -> None:
    spec = named(graph, "NetworkPolicy", "alert-relay").inputs["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [to["ipBlock"]["cidr"] for to in spec["egress"][0]["to"]] == ["203.0.113.0/24"]
    assert [
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in spec["ingress"][0]["from"]
    ] == ["alertmanager", "prometheus"]
    assert all("namespaceSelector" not in peer for peer in spec["ingress"][0]["from"])


def test_robots_secrets_are_mounted_and_nowhere_else(graph: list[Registration]) -> None:
    pod = named(graph, "Deployment", "alert-relay").inputs["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {f"{ROBOTS}/platform-group", "/tmp"}
    assert pod["volumes"][0]["secret"]["secretName"] == "dingtalk-platform"
    assert "env" not in container
    assert pod["volumes"][0]["secret"]["optional"] is True
