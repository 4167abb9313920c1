"""Rules on who can reach whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from policies import pod_security_standards as pss
from policies.kubernetes import KubernetesObject, pods_of, selects_everything
from policies.resource import Resource
from policies.rule import Option, Rule
from policies.values import (
    MIN_PREFIX,
    UNKNOWN,
    child,
    elements,
    entries,
    is_wide,
    known_text,
    label,
    network,
    safe_key,
    show,
)

Properties = Mapping[str, object]
Direction = Literal["ingress", "egress"]

_PEERS: Final[Mapping[Direction, str]] = {"ingress": "from", "egress": "to"}
_METADATA_ADDRESSES: Final = (ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("fd00:ec2::254"))
"""Where AWS, Google Cloud and others hand the node's credentials to whoever asks."""
_METADATA_RULE: Final = "network-policy-metadata-service"
_SYSTEM_NAMESPACES: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_OTHER_POLICY_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "cilium.io": frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"}),
    "crd.projectcalico.org": frozenset({"NetworkPolicy", "GlobalNetworkPolicy"}),
    "projectcalico.org": frozenset({"NetworkPolicy", "GlobalNetworkPolicy"}),
    "crd.antrea.io": frozenset({"NetworkPolicy", "ClusterNetworkPolicy"}),
    "policy.networking.k8s.io": frozenset(
        {"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}
    ),
}
_EXPOSURE: Final = "autoglm-platform/exposure"
_INTERNAL: Final[Mapping[str, frozenset[str]]] = {
    "networking.gke.io/load-balancer-type": frozenset({"internal"}),
    "cloud.google.com/load-balancer-type": frozenset({"internal"}),
    "service.beta.kubernetes.io/aws-load-balancer-scheme": frozenset({"internal"}),
    "service.beta.kubernetes.io/aws-load-balancer-internal": frozenset({"true", "0.0.0.0/0"}),
    "service.beta.kubernetes.io/azure-load-balancer-internal": frozenset({"true"}),
}
"""Annotations that make a load balancer internal, by what the clouds' controllers read."""
_PUBLIC: Final[Mapping[str, frozenset[str]]] = {
    "networking.gke.io/load-balancer-type": frozenset({"external"}),
    "service.beta.kubernetes.io/aws-load-balancer-scheme": frozenset({"internet-facing"}),
    "service.beta.kubernetes.io/aws-load-balancer-internal": frozenset({"false"}),
    "service.beta.kubernetes.io/azure-load-balancer-internal": frozenset({"false"}),
    _EXPOSURE: frozenset({"public"}),
}
"""Annotations that say that a load balancer is meant to be public."""
_TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
"""What strconv.ParseBool of Go takes for true; ingress-nginx reads its settings so."""
_GATEWAY_GROUP: Final = "gateway.networking.k8s.io"


def _policies(resource: Resource) -> Iterator[KubernetesObject]:
    return resource.of_kind("NetworkPolicy")


def _rules(policy: KubernetesObject) -> Iterator[tuple[Direction, str, object]]:
    """The allow rules of a NetworkPolicy with their direction and path."""
    directions: tuple[Direction, ...] = ("ingress", "egress")
    for direction in directions:
        for index, rule in elements(child(policy.body, "spec", direction)):
            yield direction, f"{policy} {policy.at('spec', direction)}[{index}]", rule


def _peers(policy: KubernetesObject) -> Iterator[tuple[Direction, str, object]]:
    for direction, path, rule in _rules(policy):
        for index, peer in elements(child(rule, _PEERS[direction])):
            yield direction, f"{path}.{_PEERS[direction]}[{index}]", peer


def _default_deny(resource: Resource) -> list[str]:
    found: list[str] = []
    for policy in _policies(resource):
        if policy.name != "default-deny":
            continue
        spec = child(policy.body, "spec")
        selector = child(spec, "podSelector")
        if policy.partial and spec is None:
            continue
        # A pod selector that only excludes leaves the excluded pods open, so it has to be empty.
        constraints = (child(selector, "matchLabels"), child(selector, "matchExpressions"))
        if spec is not UNKNOWN and selector is not UNKNOWN:
            if not isinstance(selector, Mapping):
                found.append(f"{policy} {policy.at('spec', 'podSelector')}: {show(selector)}")
            elif any(constraint for constraint in constraints if constraint is not UNKNOWN):
                found.append(f"{policy} {policy.at('spec', 'podSelector')}: does not select all pods")
        types = child(spec, "policyTypes")
        if types is not UNKNOWN:
            stated = [item for _, item in elements(types)]
            if UNKNOWN not in stated:
                found += [
                    f"{policy} {policy.at('spec', 'policyTypes')}: {wanted} is missing"
                    for wanted in ("Ingress", "Egress")
                    if wanted not in stated
                ]
        for direction in ("ingress", "egress"):
            rules = child(spec, direction)
            if rules and rules is not UNKNOWN:
                found.append(f"{policy} {policy.at('spec', direction)}: allows something")
    return found


def _open_peers(resource: Resource) -> list[str]:
    found: list[str] = []
    for policy in _policies(resource):
        for direction, path, rule in _rules(policy):
            peers = child(rule, _PEERS[direction])
            if (
                rule is not UNKNOWN
                and peers is not UNKNOWN
                and not (isinstance(peers, list | tuple) and peers)
            ):
                found.append(f"{path}.{_PEERS[direction]}: is missing or empty, which allows everybody")
        for _, path, peer in _peers(policy):
            if peer is UNKNOWN:
                continue
            stated = [child(peer, key) for key in ("podSelector", "namespaceSelector", "ipBlock")]
            if all(one is None for one in stated):
                found.append(f"{path}: names nobody in particular")
            elif selects_everything(stated[1]):
                found.append(f"{path}.namespaceSelector: selects every namespace")
    return found


def _blocks(policy: KubernetesObject) -> Iterator[tuple[Direction, str, object, object]]:
    for direction, path, peer in _peers(policy):
        cidr = child(peer, "ipBlock", "cidr")
        if cidr is not UNKNOWN and child(peer, "ipBlock") is not None:
            yield direction, f"{path}.ipBlock", cidr, child(peer, "ipBlock", "except")


def _wide_blocks(resource: Resource) -> list[str]:
    found: list[str] = []
    for policy in _policies(resource):
        for _, path, cidr, _ in _blocks(policy):
            block = network(cidr)
            if block is None:
                found.append(f"{path}.cidr: is not an address range")
            elif block.prefixlen < MIN_PREFIX[block.version]:
                found.append(f"{path}.cidr: {show(cidr)}, as good as every address")
    return found


def _metadata_service(resource: Resource) -> list[str]:
    found: list[str] = []
    for policy in _policies(resource):
        for direction, path, cidr, excepted in _blocks(policy):
            block = network(cidr)
            if direction != "egress" or block is None or excepted is UNKNOWN:
                continue
            holes = [network(item) for _, item in elements(excepted) if item is not UNKNOWN]
            if any(item is UNKNOWN for _, item in elements(excepted)):
                continue
            alone = block.num_addresses == 1 and resource.option(_METADATA_RULE, "workloadIdentity") is True
            found += [
                f"{path}: {show(cidr)}, which includes {address}"
                for address in _METADATA_ADDRESSES
                if address in block
                and not alone
                and not any(hole is not None and address in hole for hole in holes)
            ]
    return found


def _ports(resource: Resource) -> list[str]:
    found: list[str] = []
    for policy in _policies(resource):
        for _, path, rule in _rules(policy):
            ports = child(rule, "ports")
            if rule is UNKNOWN or ports is UNKNOWN:
                continue
            if not (isinstance(ports, list | tuple) and ports):
                found.append(f"{path}.ports: is missing or empty, which allows every port")
            found += [
                f"{path}.ports[{index}].port: is missing, which allows every port"
                for index, port in elements(ports)
                if port is not UNKNOWN and child(port, "port") is None
            ]
    return found


def _other_policy_apis(resource: Resource) -> list[str]:
    return [
        f"{one}: is of API group {one.group}"
        for one in resource.objects
        if one.kind in _OTHER_POLICY_KINDS.get(one.group, ())
    ]


def _node_ports(resource: Resource) -> list[str]:
    found: list[str] = []
    for service in resource.of_kind("Service"):
        if child(service.body, "spec", "type") == "NodePort":
            found.append(f"{service} {service.at('spec', 'type')}: is NodePort")
        elif child(service.body, "spec", "type") not in ("LoadBalancer", UNKNOWN):
            found += [
                f"{service} {service.at('spec', 'ports')}[{index}].nodePort: {show(value)}"
                for index, port in elements(child(service.body, "spec", "ports"))
                for value in (child(port, "nodePort"),)
                if value is not UNKNOWN and value not in (None, 0)
            ]
    return found


def _external_ips(resource: Resource) -> list[str]:
    found: list[str] = []
    for service in resource.of_kind("Service"):
        addresses = child(service.body, "spec", "externalIPs")
        if addresses and addresses is not UNKNOWN:
            found.append(f"{service} {service.at('spec', 'externalIPs')}: {show(addresses)}")
    return found


def _public_load_balancer(resource: Resource) -> list[str]:
    found: list[str] = []
    for service in resource.of_kind("Service"):
        kind = child(service.body, "spec", "type")
        ranges = child(service.body, "spec", "loadBalancerSourceRanges")
        path = f"{service} {service.at('spec', 'loadBalancerSourceRanges')}"
        found += [
            f"{path}[{index}]: {show(value)}, as good as every address"
            for index, value in elements(ranges)
            if kind == "LoadBalancer" and is_wide(value)
        ]
        if kind != "LoadBalancer" or (
            service.partial and child(service.body, "metadata", "annotations") is None
        ):
            continue
        annotations = child(service.body, "metadata", "annotations")
        internal, public = _annotated(annotations, _INTERNAL), _annotated(annotations, _PUBLIC)
        if internal is None or public is None or (internal and not public):
            continue
        if not public:
            found.append(
                f"{service} {service.at('spec', 'type')}: is LoadBalancer, and nothing makes it internal"
            )
        elif ranges is not UNKNOWN and not (isinstance(ranges, list | tuple) and ranges):
            found.append(f"{path}: is missing or empty, of a public load balancer")
    return found


def _annotated(annotations: object, meanings: Mapping[str, frozenset[str]]) -> bool | None:
    """Whether an annotation has one of some values; None if that is not known."""
    values = {key: child(annotations, key) for key in meanings}
    if any(isinstance(value, str) and value.lower() in meanings[key] for key, value in values.items()):
        return True
    return None if UNKNOWN in values.values() else False


def _listeners(resource: Resource) -> Iterator[tuple[str, object]]:
    for gateway in resource.of_kind("Gateway", group=_GATEWAY_GROUP):
        for index, listener in elements(child(gateway.body, "spec", "listeners")):
            yield f"{gateway} {gateway.at('spec', 'listeners')}[{index}]", listener


def _tls(resource: Resource) -> list[str]:
    found: list[str] = []
    for ingress in resource.of_kind("Ingress"):
        tls = child(ingress.body, "spec", "tls")
        if tls is UNKNOWN or (tls is None and ingress.partial):
            continue
        hosts = [host for _, one in elements(tls) for _, host in elements(child(one, "hosts"))]
        if not (isinstance(tls, list | tuple) and tls):
            found.append(f"{ingress} {ingress.at('spec', 'tls')}: is missing or empty")
            continue
        # An entry without hosts is the controller's certificate for every host.
        if UNKNOWN in hosts or any(
            one is UNKNOWN or child(one, "hosts") in (None, [], UNKNOWN) for _, one in elements(tls)
        ):
            continue
        found += [
            f"{ingress} {ingress.at('spec', 'rules')}[{index}].host: is in no entry of tls"
            for index, rule in elements(child(ingress.body, "spec", "rules"))
            for host in (child(rule, "host"),)
            if isinstance(host, str) and host not in hosts
        ]
    for path, listener in _listeners(resource):
        protocol = child(listener, "protocol")
        if protocol is not UNKNOWN and listener is not UNKNOWN and protocol not in ("HTTPS", "TLS"):
            found.append(f"{path}.protocol: {known_text(protocol, frozenset({'HTTP', 'TCP', 'UDP'}))}")
    return found


def _hosts(resource: Resource) -> list[str]:
    found: list[str] = []

    def check(path: str, host: object) -> None:
        if host is not UNKNOWN and not (isinstance(host, str) and host):
            found.append(f"{path}: is missing, which takes every host")
        elif isinstance(host, str) and "*" in host:
            found.append(f"{path}: is a wildcard")

    for ingress in resource.of_kind("Ingress"):
        for index, rule in elements(child(ingress.body, "spec", "rules")):
            if rule is not UNKNOWN:
                check(f"{ingress} {ingress.at('spec', 'rules')}[{index}].host", child(rule, "host"))
        backend = child(ingress.body, "spec", "defaultBackend")
        if backend is not None and backend is not UNKNOWN:
            found.append(f"{ingress} {ingress.at('spec', 'defaultBackend')}: takes every host")
    for path, listener in _listeners(resource):
        if listener is not UNKNOWN:
            check(f"{path}.hostname", child(listener, "hostname"))
    return found


def _snippets(resource: Resource) -> list[str]:
    found = [
        f"{ingress} {ingress.at('metadata', 'annotations')}[{safe_key(key)}]: configures the controller"
        for ingress in resource.of_kind("Ingress")
        for key, value in entries(child(ingress.body, "metadata", "annotations"))
        if key.endswith("-snippet") and value not in (None, "")
    ]
    # ingress-nginx takes its settings from a ConfigMap, of whatever name.
    return found + [
        f"{settings} {settings.at('data')}[allow-snippet-annotations]: is true"
        for settings in resource.of_kind("ConfigMap")
        if child(settings.body, "data", "allow-snippet-annotations") in _TRUE
    ]


def _routes(resource: Resource) -> list[str]:
    found: list[str] = []
    for path, listener in _listeners(resource):
        namespaces = child(listener, "allowedRoutes", "namespaces")
        if child(namespaces, "from") == "All":
            found.append(f"{path}.allowedRoutes.namespaces.from: is All")
        elif child(namespaces, "from") == "Selector" and selects_everything(child(namespaces, "selector")):
            found.append(f"{path}.allowedRoutes.namespaces.selector: selects every namespace")
    return found


def _namespace(resource: Resource) -> list[str]:
    found: list[str] = []
    for one in resource.objects:
        namespace = one.namespace
        if one.partial or namespace is UNKNOWN:
            continue
        if not next(pods_of(one), None) and one.kind not in ("Service", "Ingress", "NetworkPolicy"):
            continue
        if not isinstance(namespace, str) or not namespace:
            found.append(f"{one} {one.at('metadata', 'namespace')}: {show(namespace)}, which means default")
        elif one.kind == "NetworkPolicy" and namespace != "default":
            continue  # narrows what the platform adds to a namespace of the system
        elif namespace in _SYSTEM_NAMESPACES or namespace.startswith("kube-"):
            found.append(
                f"{one} {one.at('metadata', 'namespace')}: is {label(namespace) or 'a system namespace'}"
            )
    return found


def _endpoints(resource: Resource) -> list[str]:
    """A Service without selector whose endpoints are written by hand leads wherever somebody wants."""
    found: list[str] = []
    for one in resource.of_kind("Endpoints", "EndpointSlice"):
        found.append(f"{one}: is written by hand")
    for service in resource.of_kind("Service"):
        if child(service.body, "spec", "type") == "ExternalName":
            found.append(f"{service} {service.at('spec', 'type')}: is ExternalName")
    return found


RULES: Final = (
    Rule(
        id="network-default-deny",
        severity="critical",
        title="The NetworkPolicy default-deny selects all pods, both directions, and allows nothing",
        rationale=(
            "A policy of that name which selects some pods or allows something looks like isolation and "
            "is none."
        ),
        fix="write podSelector: {}, policyTypes: [Ingress, Egress] and no ingress or egress rules",
        judge=_default_deny,
    ),
    Rule(
        id="network-policy-peers",
        severity="critical",
        title="A NetworkPolicy names whom it allows",
        rationale="A rule without peers, or with a selector that every namespace meets, lets any tenant in.",
        fix="select namespaces by a label, such as purpose: trusted or kubernetes.io/metadata.name",
        judge=_open_peers,
    ),
    Rule(
        id="network-policy-cidr",
        severity="critical",
        title="A NetworkPolicy does not allow every address",
        rationale="Egress to everywhere carries data out; ingress from everywhere bypasses the gateway.",
        fix="name the range of the service that is meant, at least /8 (IPv4) or /16 (IPv6)",
        judge=_wide_blocks,
    ),
    Rule(
        id=_METADATA_RULE,
        severity="critical",
        title="No egress to the cloud's metadata service",
        rationale="It hands the node's credentials to every pod that reaches it.",
        fix="leave 169.254.169.254/32 and fd00:ec2::254/128 out, with `except` if the range is wider",
        judge=_metadata_service,
        options={
            "workloadIdentity": Option(
                {"type": "boolean"},
                False,
                "true: the metadata server gives pods identities of their own (GKE with GKE_METADATA), so "
                "egress to its address alone is allowed.",
            )
        },
    ),
    Rule(
        id="network-policy-ports",
        severity="high",
        title="A NetworkPolicy names the ports it allows",
        rationale="Without ports a rule opens the debug and administration ports along with the API.",
        fix="list port and protocol of every rule",
        judge=_ports,
    ),
    Rule(
        id="network-policy-api",
        severity="high",
        title="Isolation is written in networking.k8s.io/v1 only",
        rationale="Policies of other APIs can allow what default-deny denies, and no rule here reads them.",
        fix="write a networking.k8s.io/v1 NetworkPolicy",
        judge=_other_policy_apis,
    ),
    Rule(
        id="pod-host-network",
        severity="critical",
        title="No pod uses the node's network",
        rationale=(
            "NetworkPolicies do not apply to it, and it reaches the kubelet and everything on loopback."
        ),
        fix="remove hostNetwork",
        judge=pss.judged(pss.host_network),
    ),
    Rule(
        id="container-host-port",
        severity="high",
        title="No container takes a port of the node",
        rationale=(
            "It is reachable at the node's address, past Services and gateway, and binds the pod to free "
            "nodes."
        ),
        fix="remove hostPort and use a Service",
        judge=pss.judged(pss.host_ports),
    ),
    Rule(
        id="service-node-port",
        severity="high",
        title="No Service of type NodePort",
        rationale="It opens a port on every node, past the gateway's authentication and limits.",
        fix="use type ClusterIP behind the gateway",
        judge=_node_ports,
    ),
    Rule(
        id="service-external-ips",
        severity="critical",
        title="No Service with externalIPs",
        rationale="It captures the traffic of the whole cluster to those addresses (CVE-2020-8554).",
        fix="remove externalIPs",
        judge=_external_ips,
    ),
    Rule(
        id="service-load-balancer-internal",
        severity="critical",
        title="A load balancer is internal, or says that it is public and admits named ranges",
        rationale="By default it puts the Service on the internet, open to everybody.",
        fix=(
            "annotate it as internal for its cloud (networking.gke.io/load-balancer-type: Internal), or as "
            "public with loadBalancerSourceRanges of at least /8 (IPv4) or /16 (IPv6)"
        ),
        judge=_public_load_balancer,
    ),
    Rule(
        id="service-endpoints",
        severity="high",
        title="A Service leads to the pods that it selects",
        rationale=(
            "Endpoints written by hand and external names lead elsewhere, past every NetworkPolicy on pods."
        ),
        fix="give the Service a selector",
        judge=_endpoints,
    ),
    Rule(
        id="ingress-tls",
        severity="high",
        title="What comes in from outside is encrypted",
        rationale="Screenshots and API keys would travel in the clear.",
        fix="give every host a tls entry; Gateway listeners: protocol HTTPS",
        judge=_tls,
    ),
    Rule(
        id="ingress-hosts",
        severity="high",
        title="An Ingress or Gateway names its hosts",
        rationale="A wildcard or missing host takes the traffic of names that belong to others.",
        fix="name each host in full and have no default backend",
        judge=_hosts,
    ),
    Rule(
        id="ingress-snippets",
        severity="critical",
        title="An Ingress brings no configuration of its controller along, and is not let",
        rationale="It runs inside the controller, which holds every tenant's certificates (CVE-2021-25742).",
        fix="remove it",
        judge=_snippets,
    ),
    Rule(
        id="gateway-routes",
        severity="high",
        title="A Gateway takes routes from named namespaces only",
        rationale="Any tenant could attach a route and take over a path.",
        fix="use from: Same, or from: Selector with a label",
        judge=_routes,
    ),
    Rule(
        id="workload-namespace",
        severity="high",
        title="Workloads live in a namespace of their own",
        rationale="default and kube-* have no default-deny, no quota and no pod security.",
        fix="set metadata.namespace to a tenant's namespace",
        judge=_namespace,
    ),
)
"""Rules on network isolation."""
