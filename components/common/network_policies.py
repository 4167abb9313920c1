"""NetworkPolicies in few words: who may reach some pods, and what those may reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta, networking

Labels = Mapping[str, pulumi.Input[str]]
Peer = networking.v1.NetworkPolicyPeerArgs


@dataclass(frozen=True)
class Flow:
    """Connections that are let through."""

    peers: tuple[Peer, ...]
    """At the other end; without any, nothing is let through, where Kubernetes would let everything."""
    ports: tuple[int | str, ...]
    """TCP ports of the side that is connected to, by number or by the name of a container port."""


def pods(labels: Labels) -> Peer:
    """Pods of the policy's own namespace."""
    return Peer(pod_selector=_selector(labels))


def pods_elsewhere(namespace: Labels, labels: Labels | None = None) -> Peer:
    """Pods of the namespaces with these labels; all of them without labels of their own."""
    return Peer(
        namespace_selector=_selector(namespace), pod_selector=None if labels is None else _selector(labels)
    )


def pods_in(namespace: pulumi.Input[str], labels: Labels | None = None) -> Peer:
    """Pods of the namespace with this name; all of them without labels."""
    return pods_elsewhere({"kubernetes.io/metadata.name": namespace}, labels)


def networks(cidrs: Sequence[str]) -> tuple[Peer, ...]:
    """Addresses outside the cluster's pods."""
    return tuple(Peer(ip_block=networking.v1.IPBlockArgs(cidr=cidr)) for cidr in cidrs)


def isolation(
    selected: Labels, *, ingress: Sequence[Flow] = (), egress: Sequence[Flow] = ()
) -> networking.v1.NetworkPolicySpecArgs:
    """Only these flows to and from the selected pods; names are resolved by a policy of the namespace."""
    return networking.v1.NetworkPolicySpecArgs(
        pod_selector=_selector(selected),
        policy_types=["Ingress", "Egress"],
        ingress=_ingress(ingress),
        egress=egress_rules(egress),
    )


def admission(selected: Labels, *flows: Flow) -> networking.v1.NetworkPolicySpecArgs:
    """A way in to the selected pods, beside what other policies let in and out."""
    return networking.v1.NetworkPolicySpecArgs(
        pod_selector=_selector(selected), policy_types=["Ingress"], ingress=_ingress(flows)
    )


def egress_rules(flows: Sequence[Flow]) -> list[networking.v1.NetworkPolicyEgressRuleArgs]:
    """Ways out, for a policy that selects its pods otherwise."""
    return [
        networking.v1.NetworkPolicyEgressRuleArgs(to=list(flow.peers), ports=_ports(flow))
        for flow in flows
        if flow.peers
    ]


def cluster_dns() -> networking.v1.NetworkPolicyEgressRuleArgs:
    """The way out to the cluster's DNS."""
    return networking.v1.NetworkPolicyEgressRuleArgs(
        to=[pods_in("kube-system", {"k8s-app": "kube-dns"})],
        ports=[
            networking.v1.NetworkPolicyPortArgs(port=53, protocol=protocol) for protocol in ("UDP", "TCP")
        ],
    )


def _ingress(flows: Sequence[Flow]) -> list[networking.v1.NetworkPolicyIngressRuleArgs]:
    return [
        networking.v1.NetworkPolicyIngressRuleArgs(from_=list(flow.peers), ports=_ports(flow))
        for flow in flows
        if flow.peers
    ]


def _ports(flow: Flow) -> list[networking.v1.NetworkPolicyPortArgs]:
    if not flow.ports:
        raise ValueError("a flow without ports: every port would be let through; name them")
    return [networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP") for port in flow.ports]


def _selector(labels: Labels) -> meta.v1.LabelSelectorArgs:
    return meta.v1.LabelSelectorArgs(match_labels=dict(labels))
