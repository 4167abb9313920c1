"""The analyser against a second judge that spells out every connection."""

from __future__ import annotations

from hypothesis import given, settings

from stacks.connectivity.cluster import Cluster, Extent, Reason
from stacks.connectivity.matrix import rows
from stacks.connectivity.surroundings import Surroundings
from tests.unit.connectivity.brute_force import Judge
from tests.unit.connectivity.clusters import Json
from tests.unit.connectivity.generated import OUTSIDE, PORTS, clusters


def _analyser(objects: list[Json]) -> Cluster:
    services = {name: (f"{address}/{128 if ':' in address else 32}",) for name, address in OUTSIDE.items()}
    return Cluster(objects, Surroundings(services=services))


@settings(deadline=None, max_examples=50)
@given(clusters())
def test_every_connection_is_judged_alike(objects: list[Json]) -> None:
    cluster, judge = _analyser(objects), Judge(objects, OUTSIDE, PORTS)
    for source in judge.parties:
        for target in judge.parties:
            ends = cluster.find(source.name), cluster.find(target.name)
            for protocol, port in judge.questions:
                decision = cluster.decide(*ends, port, protocol)
                if decision.ingress.reason is Reason.OWN_NODE:
                    # Which node a pod is on is not in the objects, so the rules alone are compared.
                    assert source.host_network
                    assert not judge.allows(source, target, protocol, port)
                else:
                    # With every address known, nothing is allowed by halves.
                    assert decision.extent is not Extent.SOME
                    assert decision.allowed == judge.allows(source, target, protocol, port)


@settings(deadline=None, max_examples=50)
@given(clusters())
def test_flows_tell_the_same_of_all_ports_at_once(objects: list[Json]) -> None:
    cluster = _analyser(objects)
    for source in cluster.endpoints:
        for target in cluster.endpoints:
            flows = list(cluster.flows(source, target))
            for port in PORTS:
                for protocol in ("TCP", "UDP", "SCTP"):
                    (flow,) = [one for one in flows if one.protocol == protocol and port in one.ports]
                    assert flow.decision == cluster.decide(source, target, port, protocol)


@settings(deadline=None, max_examples=50)
@given(clusters())
def test_no_traffic_is_missing_from_the_matrix(objects: list[Json]) -> None:
    cluster = _analyser(objects)
    listed = {(row.source, row.target) for row in rows(cluster)}
    for source in cluster.endpoints:
        for target in cluster.endpoints:
            # Between two that use their node's network, and beyond the objects, policies have no say.
            if not (source.ours or target.ours) or not (source.isolatable or target.isolatable):
                continue
            allowed = any(flow.decision.allowed for flow in cluster.flows(source, target))
            assert ((str(source), str(target)) in listed) == allowed


@settings(deadline=None, max_examples=50)
@given(clusters())
def test_taking_a_policy_away_never_closes_what_no_other_policy_holds(objects: list[Json]) -> None:
    """Policies only add: with one policy more for an isolated pod, whatever was open stays open."""
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    if not policies:
        return
    fewer = _analyser([one for one in objects if one is not policies[-1]])
    more = _analyser(objects)
    for source in fewer.endpoints:
        for target in fewer.endpoints:
            if not fewer.isolated(source, "egress") or not fewer.isolated(target, "ingress"):
                continue
            before = fewer.reachable(source, target)
            ends = [one for one in more.endpoints if one.name in (source.name, target.name)]
            if len(ends) == 2:
                after = more.reachable(more.find(source.name), more.find(target.name))
                assert before <= after
