"""Kubernetes objects, read: namespaces, pod templates, Services and NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks.connectivity.endpoints import NAMESPACE_NAME, ContainerPort, Endpoint, Role
from stacks.connectivity.policies import NetworkPolicy, parse_policy
from stacks.connectivity.ranges import Ranges, addresses
from stacks.connectivity.selectors import LabelSelector, parse_selector

Object = Mapping[str, Any]

_ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True)
class ServicePort:
    """A port of a Service and where it leads."""

    number: int
    protocol: str
    target: int | str
    """Port of the pods, by number or by name."""


@dataclass(frozen=True)
class Service:
    """A Service with a selector."""

    namespace: str
    name: str
    selector: LabelSelector
    ports: tuple[ServicePort, ...]
    headless: bool
    """Clients get the pods' addresses, so what they ask for is the pods' port."""
    source_ranges: tuple[str, ...]
    """Networks that its load balancer lets in; none: all."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def selects(self, endpoint: Endpoint) -> bool:
        """Whether it leads to the pods."""
        return endpoint.namespace == self.namespace and self.selector.matches(endpoint.labels)


@dataclass(frozen=True)
class Objects:
    """What connectivity depends on."""

    namespaces: Mapping[str, Mapping[str, str]]
    """Labels of the namespaces that are among the objects."""
    workloads: tuple[Endpoint, ...]
    policies: tuple[NetworkPolicy, ...]
    services: tuple[Service, ...]


def read_objects(
    objects: Iterable[Object], pods: Ranges | None = None, nodes: Ranges | None = None
) -> Objects:
    """What is among the objects; Lists are unpacked, pods that their owner stands for are left out.

    `pods` and `nodes`: addresses that pods and nodes get, if known. Raises ValueError, naming the object, for
    what the API server would refuse.
    """
    flat = [item for thing in objects for item in _unpacked(thing) if item.get("kind")]
    namespaces = {
        _metadata(item)["name"]: namespace_labels(_metadata(item)["name"], _metadata(item).get("labels"))
        for item in flat
        if item["kind"] == "Namespace"
    }
    present = {uid for item in flat if (uid := _metadata(item).get("uid"))}
    return Objects(
        namespaces=namespaces,
        workloads=tuple(
            endpoint
            for item in flat
            if not _owned(item, present)
            for endpoint in _endpoints(item, namespaces, pods, nodes)
        ),
        policies=tuple(
            parse_policy(_namespace(item), _metadata(item)["name"], item.get("spec") or {})
            for item in flat
            if item["kind"] == "NetworkPolicy"
            and str(item.get("apiVersion", "")).startswith("networking.k8s.io/")
        ),
        services=tuple(service for item in flat if item["kind"] == "Service" for service in _services(item)),
    )


def namespace_labels(name: str, labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """Labels of a namespace, with the one that the API server adds."""
    return {**(labels or {}), NAMESPACE_NAME: name}


def _unpacked(thing: Object) -> Iterator[Object]:
    if str(thing.get("kind", "")).endswith("List") and isinstance(thing.get("items"), list):
        for item in thing["items"]:
            # Items of a typed list have no kind of their own.
            yield {"kind": thing["kind"].removesuffix("List"), "apiVersion": thing.get("apiVersion"), **item}
    else:
        yield thing


def _metadata(item: Object) -> Mapping[str, Any]:
    return item.get("metadata") or {}


def _namespace(item: Object) -> str:
    return _metadata(item).get("namespace") or "default"


def _owned(item: Object, present: set[str]) -> bool:
    return any(owner.get("uid") in present for owner in _metadata(item).get("ownerReferences") or ())


def _endpoints(
    item: Object,
    namespaces: Mapping[str, Mapping[str, str]],
    pods: Ranges | None,
    nodes: Ranges | None,
) -> Iterator[Endpoint]:
    kind, metadata, namespace = item["kind"], _metadata(item), _namespace(item)
    status = item.get("status") or {}
    if kind == "Pod" and status.get("phase") in _ENDED:
        return
    templates = [("", item)] if kind == "Pod" else list(_templates(item.get("spec"), ""))
    for path, template in templates:
        spec = template["spec"]
        host_network = bool(spec.get("hostNetwork"))
        given = [one["ip"] for one in status.get("podIPs") or () if one.get("ip")] if kind == "Pod" else []
        where = f" {path}" if len(templates) > 1 else ""
        yield Endpoint(
            name=f"{kind} {namespace}/{metadata.get('name', '')}{where}",
            role=Role.WORKLOAD,
            namespace=namespace,
            labels=_labels(kind, metadata, template),
            namespace_labels=namespaces.get(namespace) or namespace_labels(namespace),
            ports=tuple(_container_ports(spec)),
            host_network=host_network,
            addresses=addresses(*given) if given else nodes if host_network else pods,
        )


def _templates(value: Any, path: str) -> Iterator[tuple[str, Object]]:
    """Pod templates wherever they are: custom resources have them in places of their own."""
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if isinstance(spec, Mapping) and isinstance(spec.get("containers"), list):
            yield path, value
            return
        for key, inner in value.items():
            yield from _templates(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _templates(inner, f"{path}[{index}]")


def _labels(kind: str, metadata: Mapping[str, Any], template: Object) -> dict[str, str]:
    labels = dict(_metadata(template).get("labels") or {})
    if kind == "Job" and metadata.get("name"):
        # The Job controller adds them (k8s.io/api/batch/v1, JobNameLabel).
        labels |= {"job-name": metadata["name"], "batch.kubernetes.io/job-name": metadata["name"]}
    return labels


def _container_ports(spec: Mapping[str, Any]) -> Iterator[ContainerPort]:
    beside = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*spec["containers"], *beside):
        for port in container.get("ports") or ():
            yield ContainerPort(
                int(port["containerPort"]), port.get("protocol") or "TCP", port.get("name") or ""
            )


def _services(item: Object) -> Iterator[Service]:
    spec = item.get("spec") or {}
    if not spec.get("selector"):
        return
    yield Service(
        namespace=_namespace(item),
        name=_metadata(item).get("name", ""),
        selector=parse_selector({"matchLabels": spec["selector"]}),
        ports=tuple(_service_port(port) for port in spec.get("ports") or ()),
        headless=spec.get("clusterIP") == "None",
        source_ranges=tuple(
            one for one in spec.get("loadBalancerSourceRanges") or () if isinstance(one, str)
        ),
    )


def _service_port(port: Mapping[str, Any]) -> ServicePort:
    number = int(port["port"])
    target = port.get("targetPort") or number
    if not isinstance(target, str) or target.isdigit():
        target = int(target)
    return ServicePort(number, port.get("protocol") or "TCP", target)
