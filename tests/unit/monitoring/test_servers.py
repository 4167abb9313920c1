"""Prometheus, Alertmanager and the exporters as a stack deploys them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.common.quantities import GIB, MIB
from components.monitoring import ports
from components.monitoring.component import StackMonitoring, StackMonitoringArgs
from components.monitoring.objects import API_VERSION
from components.monitoring.plan import plan_monitoring
from components.monitoring.scraping import scrape_configs
from components.monitoring.settings import Monitoring
from tests.unit.graph import Registration, record
from tests.unit.monitoring.examples import EGRESS, IMAGES, ROUTING, RUNBOOKS, STACK, plan, problems
from tests.unit.monitoring.test_components import build, named, of_kind
from toolchain import golang, paths

NAME = "app.kubernetes.io/name"


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()


def spec(graph: list[Registration], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = named(graph, kind, name).inputs["spec"]
    return found


def flows(policy: dict[str, Any], direction: str) -> set[tuple[str, int]]:
    """Whom by name, network or namespace, and which port."""
    peers = {"ingress": "from", "egress": "to"}[direction]

    def text(peer: dict[str, Any]) -> str:
        if "ipBlock" in peer:
            return str(peer["ipBlock"]["cidr"])
        return str(peer["podSelector"]["matchLabels"][NAME])

    return {
        (text(peer), int(port["port"]))
        for rule in policy.get(direction, [])
        for peer in rule[peers]
        for port in rule["ports"]
    }


@pytest.mark.parametrize("kind", ["Prometheus", "Alertmanager"])
def test_servers_are_neither_root_nor_given_a_token_that_lasts(graph: list[Registration], kind: str) -> None:
    server = spec(graph, kind, "platform")
    assert server["securityContext"]["runAsNonRoot"] is True
    assert server["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert server["automountServiceAccountToken"] is False
    assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", server["image"])


def test_prometheus_is_sized_by_the_plan(graph: list[Registration]) -> None:
    server, sizing = spec(graph, "Prometheus", "platform"), plan().sizing
    assert server["retentionSize"] == f"{sizing.samples}B"
    claim = server["storage"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"]["requests"]["storage"] == f"{sizing.volume // GIB}Gi"
    assert server["resources"]["limits"]["memory"] == f"{sizing.memory // MIB}Mi"
    assert server["replicas"] == 2


def test_prometheus_takes_rules_and_monitors_of_the_platform_alone(graph: list[Registration]) -> None:
    server = spec(graph, "Prometheus", "platform")
    for kind in ("podMonitor", "serviceMonitor", "rule"):
        assert server[f"{kind}Selector"]["matchLabels"] == {"app.kubernetes.io/part-of": "autoglm-platform"}
        (expression,) = server[f"{kind}NamespaceSelector"]["matchExpressions"]
        assert expression["values"] == ["autoglm", "monitoring", "node-agents"]
    for kind in ("PodMonitor", "PrometheusRule"):
        for item in of_kind(graph, kind):
            assert item.inputs["metadata"]["labels"]["app.kubernetes.io/part-of"] == "autoglm-platform"


def test_prometheus_may_read_metrics_and_list_targets_and_no_more(graph: list[Registration]) -> None:
    (rules,) = (
        item.inputs["rules"]
        for item in of_kind(graph, "ClusterRole")
        if item.inputs["metadata"]["name"] == "monitoring-prometheus"
    )
    assert {resource for rule in rules for resource in rule.get("resources", [])} == {
        "nodes",
        "nodes/metrics",
    }
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch"}
    namespaces = {item.inputs["metadata"]["namespace"] for item in of_kind(graph, "Role")}
    assert namespaces == {"autoglm", "monitoring", "node-agents", "default"}


def test_kube_state_metrics_sees_no_secrets(graph: list[Registration]) -> None:
    (rules,) = (
        item.inputs["rules"]
        for item in of_kind(graph, "ClusterRole")
        if item.inputs["metadata"]["name"] == "monitoring-kube-state-metrics"
    )
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert not resources & {"secrets", "configmaps"}
    pod = spec(graph, "Deployment", "kube-state-metrics")["template"]["spec"]
    (argument,) = (one for one in pod["containers"][0]["args"] if one.startswith("--resources="))
    assert set(argument.removeprefix("--resources=").split(",")) == resources


def test_who_reaches_whom(graph: list[Registration]) -> None:
    prometheus = spec(graph, "NetworkPolicy", "prometheus")
    assert flows(prometheus, "ingress") == {
        (one, ports.PROMETHEUS) for one in ("grafana", "trend-report", "prometheus")
    }
    assert flows(prometheus, "egress") == {
        ("model-server", 8000),
        ("etcd", ports.ETCD_METRICS),
        ("10.20.0.0/16", 10250),
        ("10.20.0.0/16", 9100),
        ("10.20.0.0/16", 443),
        ("10.20.0.0/16", 6443),
        ("alertmanager", 9093),
        ("prometheus", 9090),
        ("kube-state-metrics", 8080),
        ("kube-state-metrics", 8081),
        ("alert-relay", 8060),
        ("dcgm-exporter", 9400),
    }
    alertmanager = spec(graph, "NetworkPolicy", "alertmanager")
    assert flows(alertmanager, "egress") == {("alert-relay", 8060), ("198.51.100.0/24", 443)}
    assert flows(spec(graph, "NetworkPolicy", "dcgm-exporter"), "ingress") == {("prometheus", 9400)}


def test_prometheus_alone_gets_in_to_scrape(graph: list[Registration]) -> None:
    for target, port in (("model-server", 8000), ("etcd", ports.ETCD_METRICS)):
        policy = spec(graph, "NetworkPolicy", f"{target}-scrape")
        assert policy["podSelector"]["matchLabels"] == {NAME: target}
        ((peer,),) = ([*rule["from"]] for rule in policy["ingress"])
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
        assert peer["podSelector"]["matchLabels"][NAME] == "prometheus"
        assert [int(one["port"]) for rule in policy["ingress"] for one in rule["ports"]] == [port]


def test_a_missing_secret_of_a_receiver_stops_no_server(graph: list[Registration]) -> None:
    (volume,) = spec(graph, "Alertmanager", "platform")["volumes"]
    assert volume["secret"]["optional"] is True
    assert volume["secret"]["secretName"] == "wecom"


def test_node_exporter_reads_and_writes_nothing(graph: list[Registration]) -> None:
    pod = spec(graph, "DaemonSet", "node-exporter")["template"]["spec"]
    (container,) = pod["containers"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    # Not on every address of the node.
    assert "--web.listen-address=$(NODE_ADDRESS):9100" in container["args"]


def test_what_is_dropped_of_kubelets_and_api_server_is_what_nobody_asked_for() -> None:
    jobs = {job["job_name"]: job for job in scrape_configs(15)}
    assert jobs.keys() == {"kubelet", "kubelet-cadvisor", "apiserver"}
    for job in jobs.values():
        (kept,) = job["metric_relabel_configs"]
        assert kept["action"] == "keep"
        assert not re.fullmatch(kept["regex"], "apiserver_request_duration_seconds_bucket")
    assert re.fullmatch(
        jobs["kubelet"]["metric_relabel_configs"][0]["regex"], "kubelet_volume_stats_available_bytes"
    )


def test_a_cluster_with_a_prometheus_is_joined_and_gets_no_second_one() -> None:
    existing = {"namespace": "observability", "objectLabels": {"release": "kube-prometheus-stack"}}
    joined = plan(existing=existing)
    assert not joined.own
    assert joined.demand.pods == joined.agents_demand.pods == 0

    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        StackMonitoring("monitoring", StackMonitoringArgs("autoglm", joined), opts)

    graph, _ = record(program)
    kinds = {item.inputs["kind"] for item in graph if item.type.startswith("kubernetes:")}
    assert kinds == {"PrometheusRule", "PodMonitor", "NetworkPolicy"}
    for item in of_kind(graph, "PrometheusRule"):
        assert item.inputs["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    policy = spec(graph, "NetworkPolicy", "model-server-scrape")
    (peer,) = policy["ingress"][0]["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "observability"}


def test_joining_and_sizing_an_own_one_at_once_is_refused() -> None:
    found = problems(existing={"namespace": "observability"}, prometheus={"replicas": 1})
    assert [one.path for one in found] == ["existing"]


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "nodes that nobody knows": (
        {"nodeCidrs": []},
        {"node_cidrs": ()},
        "nodeCidrs",
        "write the nodes' networks",
    ),
    "nodes everywhere": ({"nodeCidrs": ["0.0.0.0/0"]}, {}, "nodeCidrs[0]", "is everywhere"),
    "an API server in no network": (
        {"apiServerCidrs": ["10.0.0.1/8"]},
        {},
        "apiServerCidrs[0]",
        "10.0.0.1/8",
    ),
    "WeCom out of reach": ({"wecomEgressCidrs": []}, {}, "wecomEgressCidrs", "would reach no WeCom"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_key_and_fix(case: str) -> None:
    changes, stack, path, fix = REFUSED[case]
    raw = {"runbooks": RUNBOOKS, "routing": ROUTING, **EGRESS, **changes}
    planned, found = plan_monitoring(
        Monitoring.model_validate(raw), replace(STACK, **stack), images=IMAGES, protect=True
    )
    assert planned is None
    assert [one.path for one in found] == [path]
    assert fix in found[0].message


def test_a_missing_image_is_named() -> None:
    images = {name: image for name, image in IMAGES.items() if name != "node-exporter"}
    settings = Monitoring.model_validate({"runbooks": RUNBOOKS, "routing": ROUTING, **EGRESS})
    _, found = plan_monitoring(settings, STACK, images=images, protect=True)
    assert [one.path for one in found] == ["prometheus"]
    assert "node-exporter" in found[0].message


def test_the_versions_of_the_settings_are_those_that_the_toolchain_builds() -> None:
    settings = Monitoring.model_validate({"runbooks": RUNBOOKS})
    major, minor, patch = settings.prometheus.version.split(".")
    built = golang.module_version("github.com/prometheus/prometheus", paths.PROMETHEUS_MODULE)
    assert built == f"v0.{major}{int(minor):02}.{patch}"
    built = golang.module_version("github.com/prometheus/alertmanager", paths.MONITORING_MODULE)
    assert built == f"v{settings.alertmanager.version}"


def test_reports_go_to_their_receivers_and_are_never_resolved() -> None:
    routing = {**ROUTING, "reports": ["on-call"]}
    configuration = json.loads(plan(routing=routing).alertmanager)
    (route,) = (one for one in configuration["route"]["routes"] if one["receiver"] == "reports")
    assert route["matchers"] == ['severity="report"']
    (receiver,) = (one for one in configuration["receivers"] if one["name"] == "reports")
    (wecom,) = receiver["wechat_configs"]
    assert wecom["send_resolved"] is False
    assert "webhook_configs" not in receiver


def test_proxies_are_trusted_by_their_authority_alone() -> None:
    authority = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    urls = {
        "wecomUrl": "https://chats.example.com/cgi-bin/",
        "dingtalkUrl": "https://chats.example.com/robot",
    }
    graph = build(routing={**ROUTING, **urls, "proxyCa": authority})
    pod = spec(graph, "Deployment", "alert-relay")["template"]["spec"]
    assert "--endpoint=https://chats.example.com/robot" in pod["containers"][0]["args"]
    assert pod["containers"][0]["env"] == [
        {"name": "SSL_CERT_FILE", "value": "/etc/alert-relay/authority/ca.crt"}
    ]
    assert named(graph, "ConfigMap", "alert-relay").inputs["data"] == {"ca.crt": authority}
    configuration = json.loads(plan(routing={**ROUTING, **urls, "proxyCa": authority}).alertmanager)
    wecom = configuration["receivers"][1]["wechat_configs"][0]
    assert wecom["api_url"] == urls["wecomUrl"]
    assert wecom["http_config"] == {"tls_config": {"ca": authority}}


def test_every_object_of_the_operator_is_of_its_api(graph: list[Registration]) -> None:
    for kind in ("Prometheus", "Alertmanager", "PodMonitor", "PrometheusRule"):
        assert {item.inputs["apiVersion"] for item in of_kind(graph, kind)} == {API_VERSION}
