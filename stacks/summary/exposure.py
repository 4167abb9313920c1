"""Who can reach what a preview sets up: load balancers and the clusters' API endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from stacks.summary.events import Resource

_INTERNAL: Final = {
    # Amazon's cloud controller manager, then its load balancer controller.
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
    # GKE, now and before 1.17.
    "networking.gke.io/load-balancer-type": "internal",
    "cloud.google.com/load-balancer-type": "internal",
}
"""Annotations that keep a Service's load balancer inside the network; without one, clouds make it public."""

EVERYONE: Final = "everyone"


@dataclass(frozen=True)
class Exposure:
    """One way in."""

    what: str
    reach: Literal["internal", "public", "node port"]
    sources: tuple[str, ...]
    """Networks that are let in; `everyone` where nothing narrows it."""
    ports: tuple[str, ...]


def exposures(resources: Iterable[Resource], private_api: Sequence[str] = ()) -> tuple[Exposure, ...]:
    """All ways in, those that are public first.

    `private_api`: networks that reach the private endpoint of an EKS cluster; security groups decide that.
    """
    found = [way for resource in resources if resource.operation != "delete" for way in _ways(resource)]
    found = [
        replace(way, sources=("VPC", *private_api)) if way.reach == "internal" and not way.sources else way
        for way in found
    ]
    return tuple(sorted(found, key=lambda way: (way.reach != "public", way.what)))


def _ways(resource: Resource) -> Iterator[Exposure]:
    match resource.type:
        case "kubernetes:core/v1:Service":
            yield from _service(resource)
        case "aws:lb/loadBalancer:LoadBalancer" | "aws:alb/loadBalancer:LoadBalancer":
            internal = resource.inputs.get("internal") is True
            yield Exposure(f"load balancer {resource.name}", _reach(internal), (), ())
        case "aws:eks/cluster:Cluster":
            yield _eks(resource)
        case "gcp:container/cluster:Cluster":
            yield _gke(resource)
        case _:
            return


def _reach(internal: bool) -> Literal["internal", "public"]:
    return "internal" if internal else "public"


def _service(resource: Resource) -> Iterator[Exposure]:
    spec, metadata = _mapping(resource.inputs.get("spec")), _mapping(resource.inputs.get("metadata"))
    ports = tuple(
        f"{_text(_mapping(port).get('port'))}/{_mapping(port).get('protocol', 'TCP')}"
        for port in _list(spec.get("ports"))
    )
    name = f"{metadata.get('namespace', 'default')}/{metadata.get('name', resource.name)}"
    if spec.get("type") == "NodePort":
        yield Exposure(f"Service {name}", "node port", (), ports)
    if spec.get("type") == "LoadBalancer":
        annotations = _mapping(metadata.get("annotations"))
        internal = any(str(annotations.get(key, "")).lower() == value for key, value in _INTERNAL.items())
        sources = tuple(_texts(spec.get("loadBalancerSourceRanges"))) or (EVERYONE,)
        yield Exposure(f"load balancer of Service {name}", _reach(internal), sources, ports)


def _eks(resource: Resource) -> Exposure:
    network = _mapping(resource.inputs.get("vpcConfig"))
    # Public is the API's own default.
    public = network.get("endpointPublicAccess") is not False
    sources = tuple(_texts(network.get("publicAccessCidrs"))) or (EVERYONE,)
    return Exposure(
        f"API of EKS cluster {resource.name}", _reach(not public), sources if public else (), ("443/TCP",)
    )


def _gke(resource: Resource) -> Exposure:
    private = _mapping(resource.inputs.get("privateClusterConfig")).get("enablePrivateEndpoint") is True
    authorized = _mapping(resource.inputs.get("masterAuthorizedNetworksConfig"))
    blocks = [_mapping(block).get("cidrBlock") for block in _list(authorized.get("cidrBlocks"))]
    sources = tuple(_texts(blocks)) or (() if private else (EVERYONE,))
    return Exposure(f"API of GKE cluster {resource.name}", _reach(private), sources, ("443/TCP",))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _texts(value: Any) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]


def _text(value: Any) -> str:
    """A port number as people write it: numbers of the log may have a fraction."""
    return str(int(value)) if isinstance(value, int | float) else str(value)
