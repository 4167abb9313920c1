"""What is around the objects of a stack: the cluster's own services, networks, pods of other namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from stacks.connectivity.endpoints import ContainerPort, Endpoint, Role
from stacks.connectivity.objects import Objects, namespace_labels
from stacks.connectivity.policies import Peer
from stacks.connectivity.ranges import EMPTY, Ranges, addresses
from stacks.connectivity.selectors import LabelSelector, Requirement

DNS: Final = "cluster DNS"
KUBERNETES_API: Final = "Kubernetes API"
METADATA_SERVICE: Final = "metadata service"
INTERNET: Final = "the internet"
PRIVATE_NETWORKS: Final = "other private networks"
OTHER_NAMESPACE: Final = "a pod of another namespace"

_METADATA_SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    METADATA_SERVICE: ("169.254.169.254/32",),
    # Amazon's and Google's.
    f"{METADATA_SERVICE} (IPv6)": ("fd00:ec2::254/128", "fd20:ce::254/128"),
    # Answers pods with workload identity.
    f"{METADATA_SERVICE} (GKE)": ("169.254.169.252/32",),
}

_PRIVATE: Final = addresses("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Private and shared address space (RFC 1918, RFC 6598, RFC 4193)."""

_GLOBAL: Final = (
    addresses("0.0.0.0/0", "2000::/3")
    - _PRIVATE
    # IANA's special-purpose address registries, and multicast with what lies above it.
    - addresses(
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001:db8::/32",
    )
)


@dataclass(frozen=True)
class Surroundings:
    """What is known of a cluster besides its objects. What is unknown is left empty."""

    pods: tuple[str, ...] = ()
    """Networks that pods get their addresses from. While they are unknown, an ipBlock matches pods only if it
    holds all addresses: blocks are meant for what is outside the cluster."""
    nodes: tuple[str, ...] = ()
    """Networks of the nodes."""
    kubernetes_api: tuple[str, ...] = ()
    """Addresses of the API server: Service and endpoints."""
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Networks of services by what people call them, e.g. the endpoints of object storage; they count neither
    as the internet nor as other private networks."""


def surrounding_endpoints(objects: Objects, surroundings: Surroundings) -> tuple[Endpoint, ...]:
    """Everything around the workloads that some policy may tell apart from the rest."""
    pods = addresses(*surroundings.pods) if surroundings.pods else None
    inside = [*_neighbours(objects, pods), *_elsewhere(objects, pods)]
    return (*inside, *_outside(objects, surroundings, pods or EMPTY))


def _neighbours(objects: Objects, pods: Ranges | None) -> Iterator[Endpoint]:
    for namespace, labels in objects.namespaces.items():
        yield Endpoint(f"another pod of {namespace}", Role.NEIGHBOUR, namespace, {}, labels, addresses=pods)


def _elsewhere(objects: Objects, pods: Ranges | None) -> Iterator[Endpoint]:
    found: list[Endpoint] = []
    system = namespace_labels("kube-system", objects.namespaces.get("kube-system"))
    dns = Endpoint(
        DNS,
        Role.ELSEWHERE,
        "kube-system",
        {"k8s-app": "kube-dns"},
        system,
        (ContainerPort(53, "UDP", "dns"), ContainerPort(53, "TCP", "dns-tcp")),
        addresses=pods,
    )
    named = LabelSelector((Requirement("k8s-app", "In", ("kube-dns",)),))
    if not any(one.namespace == "kube-system" and named.matches(one.labels) for one in objects.workloads):
        found.append(dns)
    found.append(
        Endpoint(
            OTHER_NAMESPACE, Role.ELSEWHERE, "(another)", {}, namespace_labels("(another)"), addresses=pods
        )
    )
    # Whom a rule names is shown by an example, unless a workload is one.
    seen: set[tuple[str | None, LabelSelector | None, LabelSelector | None]] = set()
    workloads = _by_exact_label(objects.workloads)
    for namespace, peer in _selecting_peers(objects):
        key = (None if peer.namespaces else namespace, peer.namespaces, peer.pods)
        if key in seen:
            continue
        seen.add(key)
        exact = peer.pods.exact() if peer.pods else None
        candidates: Iterable[Endpoint] = workloads.get(exact, ()) if exact else objects.workloads
        if any(peer.selects(namespace, one) for one in (*candidates, *found)):
            continue
        example = _example(namespace, peer, objects.namespaces, pods)
        if peer.selects(namespace, example):
            found.append(example)
    yield from found


def _by_exact_label(endpoints: Iterable[Endpoint]) -> dict[tuple[str, str], list[Endpoint]]:
    found: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        for label in endpoint.labels.items():
            found.setdefault(label, []).append(endpoint)
    return found


def _selecting_peers(objects: Objects) -> Iterator[tuple[str, Peer]]:
    for policy, peer in _peers(objects):
        if peer.block is None and not peer.unknown:
            yield policy, peer


def _peers(objects: Objects) -> Iterator[tuple[str, Peer]]:
    for policy in objects.policies:
        for rule in (*(policy.ingress or ()), *(policy.egress or ())):
            for peer in rule.peers:
                yield policy.namespace, peer


def _example(
    policy_namespace: str, peer: Peer, namespaces: Mapping[str, Mapping[str, str]], pods: Ranges | None
) -> Endpoint:
    """A pod that a peer selects, if any can be."""
    labels = peer.pods.example() if peer.pods else {}
    if peer.namespaces is None:
        namespace = policy_namespace
        around = namespaces.get(namespace) or namespace_labels(namespace)
        where = f"of {namespace}"
    else:
        wanted = peer.namespaces.example()
        namespace = wanted.get("kubernetes.io/metadata.name", f"({peer.namespaces})")
        around = namespaces.get(namespace) or namespace_labels(namespace, wanted)
        where = f"of a namespace with {peer.namespaces}"
    what = f"a pod with {peer.pods}" if labels else "a pod"
    return Endpoint(f"{what} {where}", Role.ELSEWHERE, namespace, labels, around, addresses=pods)


def _outside(objects: Objects, surroundings: Surroundings, pods: Ranges) -> Iterator[Endpoint]:
    taken = pods
    named = {
        **({KUBERNETES_API: surroundings.kubernetes_api} if surroundings.kubernetes_api else {}),
        **_METADATA_SERVICES,
        **surroundings.services,
    }
    for name, cidrs in named.items():
        # A name given twice over the same addresses keeps both.
        own = addresses(*cidrs)
        taken = taken | own
        yield Endpoint(name, Role.OUTSIDE, addresses=own)
    services = taken - pods
    for name, block in _blocks(objects):
        # What wider networks have beyond those that are named apart.
        rest = block - taken
        if rest:
            taken = taken | rest
            yield Endpoint(name, Role.OUTSIDE, addresses=rest)
    yield Endpoint(PRIVATE_NETWORKS, Role.OUTSIDE, addresses=_PRIVATE - taken)
    # Whatever public address a policy names is still the internet, unless somebody has said what it is.
    yield Endpoint(INTERNET, Role.OUTSIDE, addresses=_GLOBAL - services)


def _blocks(objects: Objects) -> Iterator[tuple[str, Ranges]]:
    """Networks that policies and load balancers name, the narrow ones first."""
    blocks: dict[str, Ranges] = {}
    for _, peer in _peers(objects):
        if peer.block is not None and not peer.whole_family:
            blocks[peer.text] = blocks.get(peer.text, EMPTY) | peer.block
    for service in objects.services:
        for cidr in service.source_ranges:
            try:
                blocks.setdefault(cidr, addresses(cidr))
            except ValueError:
                continue  # a value that only the update knows
    for text, block in sorted(blocks.items(), key=lambda one: (_size(one[1]), one[0])):
        yield f"network {text}", block


def _size(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges.spans)
