"""What LoadBalancer registers."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.common.labels import selector_labels
from components.load_balancer.component import LoadBalancer, LoadBalancerArgs
from tests.harness import sdk_types
from tests.unit.graph import Registration, record
from tests.unit.load_balancer.test_plan import AWS, PROJECT, SECRET, plan

SELECTOR = selector_labels("model-server", "phone")
MINOR = "1.34"


def build(
    settings: dict[str, Any] | None = None, *, preview: bool = True, output: str = "endpoint", **changes: Any
) -> tuple[list[Registration], Any]:
    entry = plan(settings or {}, **changes)

    def program() -> pulumi.Output[str]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        balancer = LoadBalancer(
            "phone-entry",
            LoadBalancerArgs("autoglm", "phone", SELECTOR, 8000, entry),
            pulumi.ResourceOptions(providers=[provider]),
        )
        return balancer.address if output == "address" else balancer.endpoint

    return record(program, preview=preview, configured=not preview)


def one(graph: list[Registration], kind: str) -> Registration:
    (found,) = [item for item in graph if item.kind == kind]
    return found


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()[0]


def test_inputs_are_what_the_provider_takes(graph: list[Registration]) -> None:
    assert [str(finding) for item in graph for finding in sdk_types.findings(item)] == []


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy"])
def test_objects_are_valid_kubernetes(graph: list[Registration], kind: str) -> None:
    document = one(graph, kind).document
    kubernetes_validate.validate(document, MINOR, strict=True)


def test_the_service_selects_ready_servers_and_keeps_the_clients_address(graph: list[Registration]) -> None:
    spec = one(graph, "Service").inputs["spec"]
    assert spec["type"] == "LoadBalancer"
    assert spec["selector"] == SELECTOR
    assert spec["externalTrafficPolicy"] == "Local"
    assert spec["ports"] == [{"name": "https", "port": 443, "targetPort": 8000, "protocol": "TCP"}]


def test_the_load_balancer_lets_in_named_networks_only(graph: list[Registration]) -> None:
    assert one(graph, "Service").inputs["spec"]["loadBalancerSourceRanges"] == ["10.8.0.0/16", "10.40.0.0/16"]


def test_the_network_policy_lets_the_same_in_without_pods(graph: list[Registration]) -> None:
    assert one(graph, "NetworkPolicy").inputs["spec"] == {
        "podSelector": {"matchLabels": SELECTOR},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"ipBlock": {"cidr": "10.8.0.0/16"}},
                    {"ipBlock": {"cidr": "10.40.0.0/16", "except": ["10.40.0.0/19", "10.40.32.0/19"]}},
                ],
                "ports": [{"port": 8000, "protocol": "TCP"}],
            }
        ],
    }
    assert one(graph, "NetworkPolicy").name in one(graph, "Service").depends_on


def test_node_ports_are_there_only_where_the_load_balancer_needs_them(graph: list[Registration]) -> None:
    assert one(graph, "Service").inputs["spec"]["allocateLoadBalancerNodePorts"] is True
    google, _ = build({"tls": SECRET}, account=PROJECT)
    assert one(google, "Service").inputs["spec"]["allocateLoadBalancerNodePorts"] is False


def test_a_change_of_exposure_makes_the_new_load_balancer_first(graph: list[Registration]) -> None:
    """Controllers do not turn an internal load balancer into a public one; other names make other objects."""
    public, _ = build({"exposure": "public", "sourceRanges": ["203.0.113.0/24"]})
    for kind in ("Service", "NetworkPolicy"):
        before, after = one(graph, kind), one(public, kind)
        assert (before.inputs["metadata"]["name"], after.inputs["metadata"]["name"]) == (
            "phone-internal",
            "phone-public",
        )
        assert before.name != after.name
    assert one(public, "Service").inputs["metadata"]["annotations"][f"{AWS}internal"] == "false"


def test_the_cloud_has_time_to_answer_but_not_for_ever(graph: list[Registration]) -> None:
    assert one(graph, "Service").timeouts == {"create": "10m", "update": "10m", "delete": "10m"}


def test_the_endpoint_is_known_before_the_address_is() -> None:
    assert build(output="endpoint")[1] == "https://autoglm.example.com"
    assert build(output="address")[1] is None


@pytest.mark.parametrize(
    ("ingress", "address"),
    [
        ([{"hostname": "x.elb.eu-central-1.amazonaws.com"}], "x.elb.eu-central-1.amazonaws.com"),
        ([{"ip": "10.40.0.9"}], "10.40.0.9"),
        ([], ""),
    ],
)
def test_the_address_is_what_the_cloud_assigned(
    monkeypatch: pytest.MonkeyPatch, ingress: list[dict[str, str]], address: str
) -> None:
    from tests.unit import graph as harness

    made = harness._Mocks.new_resource

    def with_status(self: Any, args: Any) -> Any:
        identifier, outputs = made(self, args)
        if args.typ == "kubernetes:core/v1:Service":
            outputs["status"] = {"loadBalancer": {"ingress": ingress}}
        return identifier, outputs

    monkeypatch.setattr(harness._Mocks, "new_resource", with_status)
    assert build(preview=False, output="address")[1] == address
