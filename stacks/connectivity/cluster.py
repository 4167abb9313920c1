"""Whether traffic is let through: egress of its source and ingress of its target must both allow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import pairwise

from stacks.connectivity.endpoints import Endpoint
from stacks.connectivity.objects import Object, Objects, Service, read_objects
from stacks.connectivity.policies import PROTOCOLS, NetworkPolicy, Peer, Rule
from stacks.connectivity.ranges import EMPTY, Ranges, addresses
from stacks.connectivity.selectors import LabelSelector
from stacks.connectivity.surroundings import Surroundings, surrounding_endpoints


class Extent(IntEnum):
    """For how many of an endpoint's addresses something holds."""

    NONE = 0
    SOME = 1
    """For a part of its addresses; or for one that is not known."""
    ALL = 2


class Reason(Enum):
    """Why one end lets traffic through, or does not."""

    OUTSIDE = "outside the cluster, where policies do not apply"
    HOST_NETWORK = "uses its node's network, where policies do not apply"
    NOT_ISOLATED = "not isolated: no policy selects it for this direction"
    ALLOWED = "allowed"
    OWN_NODE = "allowed to pods of its own node, which policies never hold back"
    DENIED = "denied"


@dataclass(frozen=True)
class Grant:
    """A rule that lets traffic through."""

    policy: NetworkPolicy
    rule: Rule
    extent: Extent

    def __str__(self) -> str:
        return f"{self.policy} {self.rule.position}"


@dataclass(frozen=True)
class Side:
    """What one end says."""

    extent: Extent
    reason: Reason
    grants: tuple[Grant, ...] = ()
    """Rules that let it through."""
    isolating: tuple[NetworkPolicy, ...] = ()
    """Policies that apply, in this direction."""

    @property
    def deciding(self) -> tuple[str, ...]:
        """Names of the policies that the answer comes from."""
        policies = [grant.policy for grant in self.grants] or self.isolating
        return tuple(dict.fromkeys(map(str, policies)))


@dataclass(frozen=True)
class Decision:
    """The answer for one port."""

    egress: Side
    """What the source's end says."""
    ingress: Side
    """What the target's end says."""

    @property
    def extent(self) -> Extent:
        """How much of it gets through."""
        return min(self.egress.extent, self.ingress.extent)

    @property
    def allowed(self) -> bool:
        """Whether any of it gets through."""
        return self.extent > Extent.NONE


@dataclass(frozen=True)
class Flow:
    """Ports of one protocol that share an answer."""

    protocol: str
    ports: Ranges
    decision: Decision


class Cluster:
    """Objects with what is around them, ready to be asked."""

    def __init__(self, objects: Iterable[Object], surroundings: Surroundings | None = None) -> None:
        """Raises ValueError, naming the object, for what the API server would refuse."""
        around = surroundings or Surroundings()
        self.objects: Objects = read_objects(
            objects,
            addresses(*around.pods) if around.pods else None,
            addresses(*around.nodes) if around.nodes else None,
        )
        self.endpoints: tuple[Endpoint, ...] = (
            *self.objects.workloads,
            *surrounding_endpoints(self.objects, around),
        )
        self._index = _Index(self.endpoints)
        self._ingress: dict[Endpoint, list[NetworkPolicy]] = {}
        self._egress: dict[Endpoint, list[NetworkPolicy]] = {}
        for policy in self.objects.policies:
            for endpoint in self._index.select(policy.namespace, policy.selector):
                if policy.ingress is not None:
                    self._ingress.setdefault(endpoint, []).append(policy)
                if policy.egress is not None:
                    self._egress.setdefault(endpoint, []).append(policy)
        self._covered: dict[tuple[Rule, Endpoint], tuple[Extent, Ranges]] = {}

    def find(self, name: str) -> Endpoint:
        """The endpoint of that name, or the only one whose name ends so; LookupError otherwise."""
        exact = [one for one in self.endpoints if one.name == name]
        found = exact or [one for one in self.endpoints if one.name.endswith((f" {name}", f"/{name}"))]
        if len(found) != 1:
            known = ", ".join(sorted(one.name for one in found or self.endpoints))
            raise LookupError(
                f"{name!r}: {'ambiguous' if found else 'no such endpoint'}; choose among {known}"
            )
        return found[0]

    def decide(self, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> Decision:
        """Whether the source reaches that port of the target.

        Of a workload and itself it tells about two of its pods: what one sends to itself is not defined.
        """
        return Decision(
            self._side("egress", source, target, target, port, protocol),
            self._side("ingress", target, source, target, port, protocol),
        )

    def flows(self, source: Endpoint, target: Endpoint) -> Iterator[Flow]:
        """The answers for all ports of all protocols, ports with the same answer together."""
        for protocol in PROTOCOLS:
            grouped: dict[Decision, list[tuple[int, int]]] = {}
            for first, last in self._pieces(source, target, protocol):
                decision = self.decide(source, target, first, protocol)
                grouped.setdefault(decision, []).append((first, last))
            for decision, spans in grouped.items():
                yield Flow(protocol, Ranges.of(spans), decision)

    def reachable(
        self, source: Endpoint, target: Endpoint, protocol: str = "TCP", *, least: Extent = Extent.SOME
    ) -> Ranges:
        """Ports that the source reaches, at least from or at some of the addresses, or all of them."""
        return Ranges.of(
            span
            for flow in self.flows(source, target)
            if flow.protocol == protocol and flow.decision.extent >= least
            for span in flow.ports.spans
        )

    def through(
        self, source: Endpoint, service: Service, port: int, protocol: str = "TCP"
    ) -> list[tuple[Endpoint, int, Decision]]:
        """Pods behind a Service's port, their own port, and whether the source reaches it.

        Policies see what the Service's port has been translated to; headless Services translate nothing.
        """
        found = []
        for one in service.ports:
            if one.number != port or one.protocol != protocol:
                continue
            for target in self.objects.workloads:
                if not service.selects(target):
                    continue
                number = port if service.headless else one.target
                numbers = (
                    target.port_numbers(number, protocol)
                    if isinstance(number, str)
                    else Ranges(((number, number),))
                )
                found += [
                    (target, first, self.decide(source, target, first, protocol))
                    for first, _ in numbers.spans
                ]
        return found

    def names(self, policy: NetworkPolicy, rule: Rule, other: Endpoint) -> bool:
        """Whether a rule names the other end, whatever the port."""
        return self._cover(policy, rule, other)[0] > Extent.NONE

    def isolated(self, endpoint: Endpoint, direction: str) -> bool:
        """Whether any policy applies to it in `ingress` or `egress`."""
        return endpoint in (self._ingress if direction == "ingress" else self._egress)

    def pairs(self) -> Iterator[tuple[Endpoint, Endpoint]]:
        """Sources and targets between which something may get through, one of them a workload or a neighbour.

        Pairs that no rule connects are left out without being looked at.
        """
        unrestricted = [one for one in self.endpoints if not self.isolated(one, "egress")]
        sources_of: dict[Endpoint, dict[Endpoint, None]] = {}
        for source in self._egress:
            for target in self._peers(self._egress[source], "egress"):
                sources_of.setdefault(target, {})[source] = None
        for target in self.endpoints:
            by_egress: Mapping[Endpoint, None] = sources_of.get(target, {})
            if self.isolated(target, "ingress"):
                sources: Iterable[Endpoint] = [
                    one
                    for one in self._peers(self._ingress[target], "ingress")
                    if one in by_egress or one not in self._egress
                ]
            else:
                sources = [*by_egress, *unrestricted]
            for source in sources:
                if (source.ours or target.ours) and (source.isolatable or target.isolatable):
                    yield source, target

    def _peers(self, policies: Sequence[NetworkPolicy], direction: str) -> dict[Endpoint, None]:
        """Everybody whom the policies' rules name, in their order."""
        found: dict[Endpoint, None] = {}
        for policy in policies:
            for rule in _rules(policy, direction):
                if not rule.peers:
                    return dict.fromkeys(self.endpoints)
                for peer in rule.peers:
                    found.update(dict.fromkeys(self._index.named(policy.namespace, peer)))
        if direction == "ingress":
            # Its own node reaches a pod whatever the policies say.
            found.update(dict.fromkeys(self._index.on_host_network))
        return found

    def _side(
        self, direction: str, subject: Endpoint, other: Endpoint, target: Endpoint, port: int, protocol: str
    ) -> Side:
        if subject.namespace is None:
            return Side(Extent.ALL, Reason.OUTSIDE)
        if subject.host_network:
            return Side(Extent.ALL, Reason.HOST_NETWORK)
        policies = (self._ingress if direction == "ingress" else self._egress).get(subject)
        if policies is None:
            return Side(Extent.ALL, Reason.NOT_ISOLATED)
        grants, covered, extent = [], EMPTY, Extent.NONE
        for policy in policies:
            for rule in _rules(policy, direction):
                if port not in rule.port_numbers(target, protocol):
                    continue
                most, part = self._cover(policy, rule, other)
                if most:
                    grants.append(Grant(policy, rule, most))
                    covered, extent = covered | part, max(extent, most)
        if extent is Extent.SOME and other.addresses and other.addresses <= covered:
            extent = Extent.ALL
        isolating = tuple(policies)
        if extent is Extent.NONE and direction == "ingress" and other.host_network:
            return Side(Extent.SOME, Reason.OWN_NODE, (), isolating)
        return Side(extent, Reason.ALLOWED if extent else Reason.DENIED, tuple(grants), isolating)

    def _cover(self, policy: NetworkPolicy, rule: Rule, other: Endpoint) -> tuple[Extent, Ranges]:
        """How much of the other end a rule names, and which of its addresses."""
        known = self._covered.get((rule, other))
        if known is None:
            known = self._covered[rule, other] = _cover(policy, rule, other)
        return known

    def _pieces(self, source: Endpoint, target: Endpoint, protocol: str) -> Iterator[tuple[int, int]]:
        """All ports, cut wherever a rule begins or ends."""
        cuts = {1, 65536}
        sides = (("egress", self._egress.get(source)), ("ingress", self._ingress.get(target)))
        for direction, policies in sides:
            for policy in policies or ():
                for rule in _rules(policy, direction):
                    for first, last in rule.port_numbers(target, protocol).spans:
                        cuts |= {first, last + 1}
        ordered = sorted(cuts)
        yield from ((first, after - 1) for first, after in pairwise(ordered))


def _rules(policy: NetworkPolicy, direction: str) -> tuple[Rule, ...]:
    return (policy.ingress if direction == "ingress" else policy.egress) or ()


def _cover(policy: NetworkPolicy, rule: Rule, other: Endpoint) -> tuple[Extent, Ranges]:
    if not rule.peers:
        return Extent.ALL, EMPTY
    extent, covered = Extent.NONE, EMPTY
    for peer in rule.peers:
        if peer.selects(policy.namespace, other):
            return Extent.ALL, EMPTY
        most, part = _within(peer, other.addresses)
        extent, covered = max(extent, most), covered | part
    if other.addresses and other.addresses <= covered:
        extent = Extent.ALL
    return extent, covered


def _within(peer: Peer, addresses: Ranges | None) -> tuple[Extent, Ranges]:
    """How many of the addresses an ipBlock holds, and which."""
    if peer.unknown:
        return Extent.SOME, EMPTY
    if peer.block is None:
        return Extent.NONE, EMPTY
    if addresses is None:
        if not peer.whole_family:
            return Extent.NONE, EMPTY
        return (Extent.ALL if peer.unrestricted else Extent.SOME), EMPTY
    part = peer.block & addresses
    return (Extent.SOME if part else Extent.NONE), part


class _Index:
    """Endpoints by namespace and label, so that selectors need not look at all of them."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._pods = [one for one in endpoints if one.isolatable]
        self._by_namespace: dict[str | None, list[Endpoint]] = {}
        self._by_label: dict[tuple[str, str], list[Endpoint]] = {}
        for endpoint in self._pods:
            self._by_namespace.setdefault(endpoint.namespace, []).append(endpoint)
            for label in endpoint.labels.items():
                self._by_label.setdefault(label, []).append(endpoint)
        self._by_addresses: dict[Ranges | None, list[Endpoint]] = {}
        for endpoint in endpoints:
            self._by_addresses.setdefault(endpoint.addresses, []).append(endpoint)
        self._named: dict[tuple[str | None, Peer], list[Endpoint]] = {}
        self.on_host_network = [one for one in endpoints if one.host_network]

    def named(self, namespace: str, peer: Peer) -> list[Endpoint]:
        """Whom a peer names in a policy of the namespace, be it by a part of their addresses."""
        own = namespace if peer.namespaces is None and peer.pods is not None else None
        found = self._named.get((own, peer))
        if found is None:
            found = self._named[own, peer] = list(self._find(namespace, own, peer))
        return found

    def _find(self, namespace: str, own: str | None, peer: Peer) -> Iterator[Endpoint]:
        if peer.block is None and not peer.unknown:
            for one in self.select(own, peer.pods or LabelSelector()):
                if peer.selects(namespace, one):
                    yield one
            return
        for known, alike in self._by_addresses.items():
            if _within(peer, known)[0]:
                yield from alike

    def select(self, namespace: str | None, selector: LabelSelector) -> list[Endpoint]:
        """Pods that the selector finds, in one namespace or in all."""
        lists = [self._pods if namespace is None else self._by_namespace.get(namespace, [])]
        size = len(lists[0])
        for requirement in selector.requirements:
            if requirement.operator == "In":
                found = [self._by_label.get((requirement.key, value), []) for value in requirement.values]
                if (count := sum(map(len, found))) < size:
                    lists, size = found, count
        return [
            one
            for candidates in lists
            for one in candidates
            if (namespace is None or one.namespace == namespace) and selector.matches(one.labels)
        ]
