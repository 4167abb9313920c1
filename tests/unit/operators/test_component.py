"""What the component registers."""

from __future__ import annotations

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi_kubernetes import core

from components.operators.component import Operators, OperatorsArgs
from components.operators.plan import OperatorKey, OperatorsPlan
from policies.catalogue import RULES
from policies.resource import Resource
from tests.harness import sdk_types
from tests.unit.graph import Registration, record
from tests.unit.operators.examples import plan

CHART = "kubernetes:helm.sh/v4:Chart"


def build(planned: OperatorsPlan, needs: tuple[OperatorKey, ...] = ()) -> list[Registration]:
    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        operators = Operators(
            "operators", OperatorsArgs(planned, "v1.36"), pulumi.ResourceOptions(providers=[provider])
        )
        core.v1.ConfigMap(
            "user", opts=pulumi.ResourceOptions(provider=provider, depends_on=operators.of(*needs))
        )

    return record(program, preview=True, configured=False)[0]


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build(plan(), ("certManager", "prometheusOperator", "eck"))


def charts(graph: list[Registration]) -> dict[str, Registration]:
    return {item.name: item for item in graph if item.type == CHART}


def objects(graph: list[Registration]) -> list[Registration]:
    return [item for item in graph if item.type.startswith("kubernetes:") and item.type != CHART]


def test_charts_are_asked_for_by_digest(graph: list[Registration]) -> None:
    assert set(charts(graph)) == {
        "cert-manager-chart",
        "prometheus-operator-crds-chart",
        "prometheus-operator-chart",
        "eck-operator-chart",
    }
    for name, item in charts(graph).items():
        assert "@sha256:" in item.inputs["chart"]
        assert item.inputs["name"] == name.removesuffix("-chart")
        assert "skipCrds" not in item.inputs
        assert "verify" not in item.inputs


def test_charts_wait_for_namespace_policies_and_definitions(graph: list[Registration]) -> None:
    for item in charts(graph).values():
        kinds = {name.partition("::")[0] for name in item.depends_on}
        assert any(name.endswith("-namespace") for name in item.depends_on)
        assert any(name.endswith("-access") for name in item.depends_on), kinds
    assert "prometheus-operator-crds-chart" in charts(graph)["prometheus-operator-chart"].depends_on


def test_users_of_an_operator_wait_for_its_charts(graph: list[Registration]) -> None:
    (user,) = [item for item in graph if item.name == "user"]
    assert set(charts(graph)) <= set(user.depends_on)
    (alone,) = [item for item in build(plan(), ("eck",)) if item.name == "user"]
    assert set(charts(graph)) & set(alone.depends_on) == {"eck-operator-chart"}


def test_an_existing_operator_is_not_waited_for_and_leaves_no_trace() -> None:
    existing = plan(**{key: {"kind": "existing"} for key in ("certManager", "prometheusOperator", "eck")})
    graph = build(existing, ("certManager",))
    assert objects(graph) == [item for item in graph if item.name == "user"]
    assert next(item for item in graph if item.name == "user").depends_on == ()


def test_null_takes_the_hooks_away(graph: list[Registration]) -> None:
    check = charts(graph)["cert-manager-chart"].inputs["values"]["startupapicheck"]
    assert check["jobAnnotations"] == dict.fromkeys(
        ("helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy")
    )


def test_every_object_is_valid_and_passes_the_policy_pack(graph: list[Registration]) -> None:
    for item in objects(graph):
        if item.name == "user":
            continue
        kubernetes_validate.validate(item.document, "1.36", strict=True)
        assert sdk_types.findings(item) == []
    objections = [
        (rule.id, item.name)
        for item in graph
        for rule in RULES
        if rule.judges(item.type) and rule.violations(Resource(item.type, item.inputs))
    ]
    assert objections == []


def test_operators_reach_the_api_server_and_who_they_look_after(graph: list[Registration]) -> None:
    policies = {item.inputs["metadata"]["name"]: item.inputs["spec"] for item in graph if _is_policy(item)}
    server = [
        {"to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]},
        {"to": [{"ipBlock": {"cidr": "192.168.1.11/32"}}], "ports": [{"port": 6443, "protocol": "TCP"}]},
    ]
    elasticsearch = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "logging"}},
                "podSelector": {"matchLabels": {"common.k8s.elastic.co/type": "elasticsearch"}},
            }
        ],
        "ports": [{"port": 9200, "protocol": "TCP"}],
    }
    for name, spec in policies.items():
        expected = [*server, elasticsearch] if name == "eck-operator" else server
        assert spec["egress"] == expected, name


def test_webhooks_admit_the_api_server_only(graph: list[Registration]) -> None:
    admitted = {
        (item.inputs["metadata"]["name"], int(rule["ports"][0]["port"])): rule["from"]
        for item in graph
        if _is_policy(item)
        for rule in item.inputs["spec"].get("ingress", [])
    }
    caller = [
        {"ipBlock": {"cidr": "192.168.1.11/32"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
    ]
    metrics = [{"namespaceSelector": {"matchLabels": {"purpose": "monitoring"}}}]
    assert admitted == {
        ("cert-manager-webhook", 10250): caller,
        ("eck-operator", 9443): caller,
        **{(f"cert-manager-{part}", 9402): metrics for part in ("controller", "webhook", "cainjector")},
        ("prometheus-operator", 8080): metrics,
        ("eck-operator", 9090): metrics,
    }


def _is_policy(item: Registration) -> bool:
    return item.kind == "NetworkPolicy" and item.name.endswith("-access")
