"""What Grafana registers."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.common.quantities import parse_bytes, parse_millicores
from components.grafana.component import DIGEST, GrafanaServer, GrafanaServerArgs
from components.grafana.configuration import (
    ADMIN_KEYS,
    ADMIN_SECRET,
    DASHBOARDS,
    DATA,
    LOG_STORE_KEYS,
    LOG_STORE_SECRET,
)
from components.grafana.plan import GrafanaPlan
from components.monitoring.objects import API_VERSION
from tests.unit.grafana.examples import IMAGE, plan
from tests.unit.graph import Registration, objects, record
from tests.unit.judgement import breaches


def build(planned: GrafanaPlan, *, configured: bool = True) -> list[Registration]:
    def program() -> pulumi.Output[dict[str, str]]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        return GrafanaServer("grafana", GrafanaServerArgs("monitoring", "workload", planned), opts).dashboards

    registrations, paths = record(program, preview=not configured, configured=configured)
    assert paths == planned.paths
    return registrations


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build(plan())


def of_kind(graph: list[Registration], kind: str) -> list[Registration]:
    return [item for item in objects(graph) if item.inputs["kind"] == kind]


def pod(graph: list[Registration]) -> dict[str, Any]:
    (deployment,) = of_kind(graph, "Deployment")
    template: dict[str, Any] = deployment.inputs["spec"]["template"]
    return template


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in objects(graph):
        if item.inputs["apiVersion"] != API_VERSION:
            kubernetes_validate.validate(item.document, "1.36", strict=True)


@pytest.mark.parametrize("changes", [{}, {"replicas": 3}, {"logStore": None}], ids=str)
def test_no_rule_of_the_policy_pack_is_broken(changes: dict[str, Any]) -> None:
    assert breaches(objects(build(plan(**changes)))) == []


def test_a_preview_without_a_cluster_registers_the_same(graph: list[Registration]) -> None:
    assert [item.inputs for item in build(plan(), configured=False)] == [item.inputs for item in graph]


def test_secrets_are_mounted_by_name_and_no_value_is_registered(graph: list[Registration]) -> None:
    assert of_kind(graph, "Secret") == []
    spec = pod(graph)["spec"]
    secrets = {volume["name"]: volume["secret"] for volume in spec["volumes"] if "secret" in volume}
    assert {name: secret["secretName"] for name, secret in secrets.items()} == {
        "admin": "grafana-admin",
        "log-store": "grafana-logs",
    }
    assert [item["key"] for item in secrets["admin"]["items"]] == list(ADMIN_KEYS)
    assert [item["key"] for item in secrets["log-store"]["items"]] == list(LOG_STORE_KEYS)
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[ADMIN_SECRET]["readOnly"]
    assert mounts[LOG_STORE_SECRET]["readOnly"]
    assert "env" not in container


def test_a_stack_without_a_log_store_mounts_none_and_reaches_none() -> None:
    graph = build(plan(logStore=None))
    assert "log-store" not in json.dumps(pod(graph))
    (policy,) = of_kind(graph, "NetworkPolicy")
    assert [rule["ports"][0]["port"] for rule in policy.inputs["spec"]["egress"]] == [9090]


def test_what_is_read_at_start_is_mounted_under_its_path(graph: list[Registration]) -> None:
    files, *pages = sorted(of_kind(graph, "ConfigMap"), key=lambda item: len(item.inputs["metadata"]["name"]))
    volumes = {volume["name"]: volume for volume in pod(graph)["spec"]["volumes"]}
    placed = {item["key"]: item["path"] for item in volumes["configuration"]["configMap"]["items"]}
    assert {placed[key]: text for key, text in files.inputs["data"].items()} == plan().files
    projected = [source["configMap"]["name"] for source in volumes["dashboards"]["projected"]["sources"]]
    assert sorted(projected) == sorted(page.inputs["metadata"]["name"] for page in pages)
    written = {file: text for page in pages for file, text in page.inputs["data"].items()}
    assert written == {f"{name}.json": text for name, text in plan().dashboards.items()}
    mounts = {
        mount["name"]: mount["mountPath"] for mount in pod(graph)["spec"]["containers"][0]["volumeMounts"]
    }
    assert (mounts["dashboards"], mounts["data"]) == (DASHBOARDS, DATA)


def test_another_dashboard_replaces_the_pods(graph: list[Registration]) -> None:
    others = build(plan(logStore=None))
    assert pod(graph)["metadata"]["annotations"][DIGEST] != pod(others)["metadata"]["annotations"][DIGEST]


def test_only_named_clients_and_prometheus_reach_it(graph: list[Registration]) -> None:
    (policy,) = of_kind(graph, "NetworkPolicy")
    spec = policy.inputs["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = spec["ingress"]
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"purpose": "ingress"}}},
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}},
    ]
    assert [port["port"] for port in rule["ports"]] == ["http"]


def test_it_reaches_prometheus_and_the_log_store_alone(graph: list[Registration]) -> None:
    (policy,) = of_kind(graph, "NetworkPolicy")
    assert [(rule["to"], rule["ports"][0]["port"]) for rule in policy.inputs["spec"]["egress"]] == [
        ([{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}], 9090),
        (
            [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "logging"}},
                    "podSelector": {"matchLabels": {"elasticsearch.k8s.elastic.co/cluster-name": "logs"}},
                }
            ],
            9200,
        ),
    ]


def test_without_clients_only_prometheus_reaches_it() -> None:
    (policy,) = of_kind(build(plan(clients=None)), "NetworkPolicy")
    (rule,) = policy.inputs["spec"]["ingress"]
    assert len(rule["from"]) == 1


def test_a_browser_keeps_to_the_replica_that_has_its_session() -> None:
    (one,), (several,) = (of_kind(build(plan(replicas=count)), "Service") for count in (1, 3))
    assert one.inputs["spec"]["sessionAffinity"] == "None"
    assert several.inputs["spec"]["sessionAffinity"] == "ClientIP"


def test_the_image_is_the_one_of_the_registry_by_digest(graph: list[Registration]) -> None:
    assert pod(graph)["spec"]["containers"][0]["image"] == IMAGE


def test_it_is_scraped_at_the_port_that_it_has(graph: list[Registration]) -> None:
    (monitor,) = of_kind(graph, "PodMonitor")
    (endpoint,) = monitor.inputs["spec"]["podMetricsEndpoints"]
    ports = {port["name"] for port in pod(graph)["spec"]["containers"][0]["ports"]}
    assert endpoint["port"] in ports
    assert (
        monitor.inputs["spec"]["selector"]["matchLabels"].items() <= pod(graph)["metadata"]["labels"].items()
    )


def test_the_demand_is_that_of_all_replicas_and_one_more(graph: list[Registration]) -> None:
    planned = plan(replicas=2)
    (deployment,) = of_kind(build(planned), "Deployment")
    spec = deployment.inputs["spec"]
    assert planned.demand.pods == spec["replicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]
    (container,) = spec["template"]["spec"]["containers"]
    assert parse_bytes(container["resources"]["requests"]["memory"]) * 3 == planned.demand.memory
    assert parse_millicores(container["resources"]["limits"]["cpu"]) * 3 == planned.demand.cpu_limits
