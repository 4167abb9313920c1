"""Who gets in is told from the annotations and flags that decide it."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.summary.exposure import Exposure, exposures
from tests.unit.summary.log import preview, step

SERVICE = "kubernetes:core/v1:Service"
EKS = "aws:eks/cluster:Cluster"
GKE = "gcp:container/cluster:Cluster"


def ways(token: str, **inputs: Any) -> tuple[Exposure, ...]:
    return exposures(preview(step(token, "entry", **inputs)).resources)


def service(annotations: dict[str, str], **spec: Any) -> Exposure:
    metadata = {"name": "entry", "namespace": "autoglm", "annotations": annotations}
    (way,) = ways(
        SERVICE, metadata=metadata, spec={"type": "LoadBalancer", "ports": [{"port": 443.0}], **spec}
    )
    return way


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
        ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
        ("networking.gke.io/load-balancer-type", "Internal"),
    ],
)
def test_an_annotated_load_balancer_is_internal(key: str, value: str) -> None:
    assert service({key: value}).reach == "internal"


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"},
        {"service.beta.kubernetes.io/aws-load-balancer-internal": "false"},
        {"networking.gke.io/load-balancer-type": "External"},
    ],
)
def test_every_other_load_balancer_is_public(annotations: dict[str, str]) -> None:
    assert service(annotations).reach == "public"


def test_sources_and_ports_are_told() -> None:
    way = service({}, loadBalancerSourceRanges=["198.51.100.0/24"])
    assert (way.what, way.sources, way.ports) == (
        "load balancer of Service autoglm/entry",
        ("198.51.100.0/24",),
        ("443/TCP",),
    )
    assert service({}).sources == ("everyone",)


def test_services_inside_the_cluster_are_no_way_in() -> None:
    assert ways(SERVICE, metadata={"name": "x"}, spec={"type": "ClusterIP"}) == ()
    assert ways(SERVICE, metadata={"name": "x"}, spec={"type": "NodePort"})[0].reach == "node port"


def test_an_api_without_a_public_endpoint_is_internal() -> None:
    (private,) = ways(EKS, vpcConfig={"endpointPrivateAccess": True, "endpointPublicAccess": False})
    assert (private.reach, private.sources) == ("internal", ("VPC",))
    (default,) = ways(EKS, vpcConfig={})
    assert (default.reach, default.sources) == ("public", ("everyone",))
    (narrow,) = ways(EKS, vpcConfig={"endpointPublicAccess": True, "publicAccessCidrs": ["198.51.100.0/24"]})
    assert (narrow.reach, narrow.sources) == ("public", ("198.51.100.0/24",))


def test_networks_that_reach_a_private_api_are_told() -> None:
    cluster = step(EKS, "prod", vpcConfig={"endpointPublicAccess": False})
    (way,) = exposures(preview(cluster).resources, ["10.8.0.0/16"])
    assert way.sources == ("VPC", "10.8.0.0/16")


def test_gkes_authorised_networks_are_told() -> None:
    networks = {"cidrBlocks": [{"cidrBlock": "10.0.0.0/16", "displayName": "vpn"}]}
    (private,) = ways(
        GKE, privateClusterConfig={"enablePrivateEndpoint": True}, masterAuthorizedNetworksConfig=networks
    )
    assert (private.reach, private.sources) == ("internal", ("10.0.0.0/16",))
    (default,) = ways(GKE)
    assert (default.reach, default.sources) == ("public", ("everyone",))


def test_public_ways_come_first() -> None:
    found = exposures(
        preview(
            step(EKS, "a", vpcConfig={"endpointPublicAccess": False}),
            step(SERVICE, "z", metadata={}, spec={"type": "LoadBalancer"}),
        ).resources
    )
    assert [way.reach for way in found] == ["public", "internal"]


def test_unknown_values_are_not_taken_for_internal() -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    assert ways(EKS, vpcConfig=unknown)[0].reach == "public"
    (way,) = ways(SERVICE, metadata={"annotations": unknown}, spec={"type": "LoadBalancer", "ports": unknown})
    assert way.reach == "public"
