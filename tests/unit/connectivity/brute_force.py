"""A second judge, written another way: it spells out every connection that a policy permits, one by one.

It knows only concrete pods with one address each, addresses outside, and the ports that it is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

from tests.unit.connectivity.clusters import Json


@dataclass(frozen=True)
class Party:
    """A pod, or an address outside."""

    name: str
    address: str
    namespace: str = ""
    """Empty outside."""
    host_network: bool = False


Connection = tuple[str, str, str, int]
"""Names of source and target, protocol, port."""


class Judge:
    """Answers for the objects, which are pods with addresses, namespaces and policies."""

    def __init__(self, objects: Iterable[Json], outside: dict[str, str], ports: Iterable[int]) -> None:
        self._objects = list(objects)
        self._labels = {
            one["metadata"]["name"]: {
                **one["metadata"]["labels"],
                "kubernetes.io/metadata.name": one["metadata"]["name"],
            }
            for one in self._objects
            if one["kind"] == "Namespace"
        }
        self._pods = {
            f"{one['metadata']['namespace']}/{one['metadata']['name']}": one
            for one in self._objects
            if one["kind"] == "Pod"
        }
        self.parties = [
            *(
                Party(
                    name,
                    one["status"]["podIPs"][0]["ip"],
                    one["metadata"]["namespace"],
                    one["spec"].get("hostNetwork", False),
                )
                for name, one in self._pods.items()
            ),
            *(Party(name, address) for name, address in outside.items()),
        ]
        self.questions = list(product(("TCP", "UDP", "SCTP"), ports))
        self._held: dict[str, set[str]] = {"Ingress": set(), "Egress": set()}
        self._permitted: dict[str, set[Connection]] = {"Ingress": set(), "Egress": set()}
        for one in self._objects:
            if one["kind"] == "NetworkPolicy":
                self._spell_out(one["metadata"]["namespace"], one["spec"])

    def allows(self, source: Party, target: Party, protocol: str, port: int) -> bool:
        """Whether both ends let the connection through; a pod's own node cannot be shut out."""
        connection = (source.name, target.name, protocol, port)
        out = source.name not in self._held["Egress"] or connection in self._permitted["Egress"]
        into = target.name not in self._held["Ingress"] or connection in self._permitted["Ingress"]
        return out and into

    def _spell_out(self, namespace: str, spec: Json) -> None:
        subjects = [
            party
            for party in self.parties
            if party.namespace == namespace
            and not party.host_network
            and _has(self._pods[party.name]["metadata"]["labels"], spec.get("podSelector", {}))
        ]
        types = spec.get("policyTypes")
        if not types:
            types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        for kind, side in (("Ingress", "from"), ("Egress", "to")):
            if kind not in types:
                continue
            self._held[kind] |= {subject.name for subject in subjects}
            for rule in spec.get(kind.lower()) or []:
                for subject, peer in product(subjects, self._peers(namespace, rule.get(side))):
                    source, target = (peer, subject) if kind == "Ingress" else (subject, peer)
                    for protocol, port in self.questions:
                        if self._port_matches(rule.get("ports"), target, protocol, port):
                            self._permitted[kind].add((source.name, target.name, protocol, port))

    def _peers(self, namespace: str, peers: list[Json] | None) -> Iterator[Party]:
        for party in self.parties:
            if not peers or any(self._is(party, peer, namespace) for peer in peers):
                yield party

    def _is(self, party: Party, peer: Json, namespace: str) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            address = ip_address(party.address)
            return address in ip_network(block["cidr"]) and not any(
                address in ip_network(hole) for hole in block.get("except", [])
            )
        if not party.namespace or party.host_network:
            return False
        if "namespaceSelector" in peer:
            if not _has(self._labels[party.namespace], peer["namespaceSelector"]):
                return False
        elif party.namespace != namespace:
            return False
        return _has(self._pods[party.name]["metadata"]["labels"], peer.get("podSelector", {}))

    def _port_matches(self, ports: list[Json] | None, target: Party, protocol: str, port: int) -> bool:
        if not ports:
            return True
        for one in ports:
            if one.get("protocol", "TCP") != protocol:
                continue
            wanted: Any = one.get("port")
            if wanted is None:
                return True
            if isinstance(wanted, str):
                if target.namespace and (wanted, protocol, port) in self._named(target):
                    return True
            elif wanted <= port <= one.get("endPort", wanted):
                return True
        return False

    def _named(self, target: Party) -> set[tuple[str, str, int]]:
        containers = self._pods[target.name]["spec"]["containers"]
        return {
            (port["name"], port.get("protocol", "TCP"), port["containerPort"])
            for container in containers
            for port in container["ports"]
        }


def _has(labels: dict[str, str], selector: dict[str, Any]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    verdicts = []
    for expression in selector.get("matchExpressions", []):
        there = expression["key"] in labels
        listed = there and labels[expression["key"]] in expression.get("values", [])
        verdicts.append(
            {"In": listed, "NotIn": not listed, "Exists": there, "DoesNotExist": not there}[
                expression["operator"]
            ]
        )
    return all(verdicts)
