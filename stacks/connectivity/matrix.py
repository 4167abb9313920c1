"""The matrix: everything that gets through, row by row, with the policies that let it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stacks.connectivity.cluster import Cluster, Decision, Extent, Reason, Side
from stacks.connectivity.endpoints import Endpoint
from stacks.connectivity.objects import Object
from stacks.connectivity.policies import PROTOCOLS
from stacks.connectivity.ranges import ALL_PORTS, Ranges, port_text
from stacks.connectivity.surroundings import Surroundings


@dataclass(frozen=True)
class Row:
    """Traffic that gets through. What no row tells of is denied."""

    source: str
    target: str
    protocol: str
    ports: str
    """Port numbers, or `any`."""
    partly: bool
    """Only for some of the addresses that one of the ends may have."""
    egress: tuple[str, ...]
    """Policies that let it out; none where the source is not isolated."""
    ingress: tuple[str, ...]
    """Policies that let it in; none where the target is not isolated."""
    exempt: bool
    """No rule lets it through, but an end on its node's network, where policies do not apply."""


def matrix(objects: Iterable[Object], surroundings: Surroundings | None = None) -> tuple[Row, ...]:
    """All rows, by source and target; ValueError, naming the object, for what Kubernetes would refuse."""
    return rows(Cluster(objects, surroundings))


def rows(cluster: Cluster) -> tuple[Row, ...]:
    """All rows of a cluster."""
    found = [
        Row(
            source=str(source),
            target=str(target),
            protocol=flow.protocol,
            ports=port_text(flow.ports),
            partly=flow.decision.extent is Extent.SOME,
            egress=_granting(flow.decision.egress),
            ingress=_granting(flow.decision.ingress),
            exempt=_exempt(flow.decision),
        )
        for source, target in cluster.pairs()
        for flow in cluster.flows(source, target)
        if flow.decision.allowed
    ]
    order = {str(endpoint): position for position, endpoint in enumerate(cluster.endpoints)}

    def position(row: Row) -> tuple[int, int, int, str]:
        return order[row.source], order[row.target], PROTOCOLS.index(row.protocol), row.ports

    return tuple(sorted(found, key=position))


def _exempt(decision: Decision) -> bool:
    sides = (decision.egress, decision.ingress)
    return not any(side.grants for side in sides) and any(
        side.reason in (Reason.HOST_NETWORK, Reason.OWN_NODE) for side in sides
    )


def _granting(side: Side) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(grant.policy) for grant in side.grants))


def why(cluster: Cluster, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> str:
    """The answer for one port in words: which policies apply at either end, which of their rules decide."""
    decision = cluster.decide(source, target, port, protocol)
    verdict = {Extent.NONE: "denied", Extent.SOME: "partly allowed", Extent.ALL: "allowed"}[decision.extent]
    return "\n".join(
        (
            f"{source} to {target}, {port}/{protocol}: {verdict}",
            f"  out of the source: {_explained(cluster, decision, 'egress', source, target, port, protocol)}",
            f"  into the target: {_explained(cluster, decision, 'ingress', source, target, port, protocol)}",
        )
    )


def _explained(
    cluster: Cluster,
    decision: Decision,
    direction: str,
    source: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str,
) -> str:
    side = decision.egress if direction == "egress" else decision.ingress
    if side.grants:
        granted = ", ".join(
            f"{grant}{' (some addresses)' if grant.extent is Extent.SOME else ''}" for grant in side.grants
        )
        return f"allowed by {granted}"
    if not side.isolating:
        return side.reason.value
    names = ", ".join(map(str, side.isolating))
    if side.extent:
        return f"{side.reason.value}; {names} would deny it"
    near = _near_misses(cluster, side, direction, source, target, port, protocol)
    return f"denied: isolated by {names}, no rule of which lets it through{near}"


def _near_misses(
    cluster: Cluster, side: Side, direction: str, source: Endpoint, target: Endpoint, port: int, protocol: str
) -> str:
    other = target if direction == "egress" else source
    misses = []
    for policy in side.isolating:
        for rule in (policy.egress if direction == "egress" else policy.ingress) or ():
            ports = rule.port_numbers(target, protocol)
            if port in ports:
                misses.append(f"{policy} {rule.position} names the port, but other peers")
            elif cluster.names(policy, rule, other):
                others = ", ".join(filter(None, (_ports(rule.port_numbers(target, p), p) for p in PROTOCOLS)))
                misses.append(f"{policy} {rule.position} names the peer, but on {others or 'no port of it'}")
    return "".join(f"; {miss}" for miss in misses)


def _ports(ports: Ranges, protocol: str) -> str:
    return f"{port_text(ports) if ports != ALL_PORTS else 'any port'}/{protocol}" if ports else ""
