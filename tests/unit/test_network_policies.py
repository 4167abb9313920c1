"""What the helpers for NetworkPolicies let through."""

from __future__ import annotations

import pytest

from components.common.network_policies import Flow, isolation, networks, pods, pods_in


def test_nothing_is_let_through_by_default() -> None:
    spec = isolation({"app": "a"})
    assert (spec.policy_types, spec.ingress, spec.egress) == (["Ingress", "Egress"], [], [])


def test_a_flow_without_peers_is_left_out() -> None:
    """An empty `from` would admit everybody."""
    assert isolation({"app": "a"}, ingress=[Flow(networks([]), (80,))]).ingress == []


def test_a_flow_without_ports_is_refused() -> None:
    with pytest.raises(ValueError, match="every port would be let through"):
        isolation({"app": "a"}, egress=[Flow((pods({"app": "b"}),), ())])


def test_pods_of_another_namespace_are_selected_together_with_it() -> None:
    peer = pods_in("monitoring", {"app": "prometheus"})
    assert peer.namespace_selector.match_labels == {"kubernetes.io/metadata.name": "monitoring"}
    assert peer.pod_selector.match_labels == {"app": "prometheus"}
