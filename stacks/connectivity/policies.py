"""NetworkPolicies (networking.k8s.io/v1) with their defaults applied.

The semantics are those of the API reference (`NetworkPolicySpec` and the types that it is made of, in
`k8s.io/api/networking/v1/types.go`) and of the defaults in `pkg/apis/networking/v1/defaults.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks.connectivity.endpoints import Endpoint
from stacks.connectivity.ranges import ALL_PORTS, EMPTY, EVERY_IPV4, EVERY_IPV6, Ranges, addresses
from stacks.connectivity.selectors import LabelSelector, parse_selector

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True)
class PortRange:
    """Ports that a rule names."""

    protocol: str
    numbers: Ranges
    """Empty for a named port."""
    name: str = ""

    def of(self, target: Endpoint, protocol: str) -> Ranges:
        """The ports on that target; outside the cluster ports have no names."""
        if protocol != self.protocol:
            return EMPTY
        return target.port_numbers(self.name, protocol) if self.name else self.numbers


@dataclass(frozen=True)
class Peer:
    """Whom a rule names: pods by selectors, or addresses."""

    pods: LabelSelector | None = None
    """None: all of the namespaces."""
    namespaces: LabelSelector | None = None
    """None: the policy's own."""
    block: Ranges | None = None
    """Addresses, instead of selectors."""
    unknown: bool = False
    """The addresses are not known yet, so they may be any."""
    text: str = ""
    """The CIDR as written."""

    def selects(self, namespace: str, endpoint: Endpoint) -> bool:
        """Whether its selectors find the endpoint, in a policy of that namespace."""
        if self.block is not None or self.unknown or not endpoint.isolatable:
            return False
        if self.namespaces is None:
            if endpoint.namespace != namespace:
                return False
        elif not self.namespaces.matches(endpoint.namespace_labels):
            return False
        return self.pods is None or self.pods.matches(endpoint.labels)

    @property
    def whole_family(self) -> bool:
        """Whether it holds all addresses of an IP version, exceptions aside."""
        return self.text in ("0.0.0.0/0", "::/0")

    @property
    def unrestricted(self) -> bool:
        """Whether it holds all addresses of an IP version."""
        return self.block is not None and not (EVERY_IPV4 - self.block and EVERY_IPV6 - self.block)


@dataclass(frozen=True, eq=False)
class Rule:
    """Traffic that is let through: to or from any of the peers, on any of the ports."""

    position: str
    """Where it is in the policy: `ingress[0]`."""
    peers: tuple[Peer, ...]
    """None at all: everybody."""
    ports: tuple[PortRange, ...]
    """None at all: every port of every protocol."""

    def port_numbers(self, target: Endpoint, protocol: str) -> Ranges:
        """Ports on the target that it lets through."""
        if not self.ports:
            return ALL_PORTS
        numbers = EMPTY
        for port in self.ports:
            numbers = numbers | port.of(target, protocol)
        return numbers


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """One policy; it isolates the pods that it selects in the directions that it has rules for, even none."""

    namespace: str
    name: str
    selector: LabelSelector
    ingress: tuple[Rule, ...] | None
    """None: it says nothing about ingress."""
    egress: tuple[Rule, ...] | None
    """None: it says nothing about egress."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_policy(namespace: str, name: str, spec: Mapping[str, Any]) -> NetworkPolicy:
    """The policy; ValueError, naming it, for what the API server would refuse."""
    try:
        ingress, egress = spec.get("ingress") or (), spec.get("egress") or ()
        types = tuple(spec.get("policyTypes") or ("Ingress", *(("Egress",) if egress else ())))
        if unknown := set(types) - {"Ingress", "Egress"}:
            raise ValueError(f"policyTypes: {', '.join(sorted(unknown))}; use Ingress and Egress")
        return NetworkPolicy(
            namespace=namespace,
            name=name,
            selector=parse_selector(spec.get("podSelector")),
            ingress=_rules(ingress, "ingress", "from") if "Ingress" in types else None,
            egress=_rules(egress, "egress", "to") if "Egress" in types else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"NetworkPolicy {namespace}/{name}: {error}") from error


def _rules(rules: Any, direction: str, peers: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            position=f"{direction}[{index}]",
            peers=tuple(_peer(peer) for peer in (rule or {}).get(peers) or ()),
            ports=tuple(_port(port) for port in (rule or {}).get("ports") or ()),
        )
        for index, rule in enumerate(rules)
    )


def _peer(peer: Mapping[str, Any]) -> Peer:
    pods, namespaces, block = (peer.get(key) for key in ("podSelector", "namespaceSelector", "ipBlock"))
    if block is not None:
        if pods is not None or namespaces is not None:
            raise ValueError("a peer has ipBlock and a selector; give each a peer of its own")
        return _block(block)
    if pods is None and namespaces is None:
        raise ValueError("a peer is empty; name pods, namespaces or an ipBlock")
    return Peer(
        pods=None if pods is None else parse_selector(pods),
        namespaces=None if namespaces is None else parse_selector(namespaces),
    )


def _block(block: Mapping[str, Any]) -> Peer:
    cidr = str(block["cidr"])
    try:
        return Peer(block=addresses(cidr) - addresses(*(block.get("except") or ())), text=cidr)
    except ValueError:
        return Peer(unknown=True, text=cidr)


def _port(port: Mapping[str, Any]) -> PortRange:
    protocol = port.get("protocol") or "TCP"
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r}: not one of {', '.join(PROTOCOLS)}")
    number = port.get("port")
    if number is None:
        if port.get("endPort") is not None:
            raise ValueError("endPort without port; name the first port")
        return PortRange(protocol, ALL_PORTS)
    if isinstance(number, str):
        if port.get("endPort") is not None:
            raise ValueError(f"endPort after the named port {number!r}; name the first port by its number")
        return PortRange(protocol, EMPTY, number)
    # Registrations carry numbers as floats.
    first = int(number)
    last = first if port.get("endPort") is None else int(port["endPort"])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"ports {first} to {last}: not a range of ports")
    return PortRange(protocol, Ranges(((first, last),)))
