"""What the API reference and the concept page of NetworkPolicies say, each by its own example."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.connectivity.cluster import Cluster, Extent, Reason
from stacks.connectivity.matrix import matrix, why
from stacks.connectivity.surroundings import INTERNET, METADATA_SERVICE, Surroundings
from tests.unit.connectivity.clusters import Json, namespace, pod, policy, service

DB = pod("default/db", {"role": "db"}, "10.1.0.1", [{"name": "redis", "containerPort": 6379}])
FRONTEND = pod("default/frontend", {"role": "frontend"}, "10.1.0.2")
BACKEND = pod("default/backend", {"role": "backend"}, "10.1.0.3")
FRIEND = pod("friends/friend", {}, "10.1.1.1")
STRANGER = pod("strangers/stranger", {}, "10.1.2.1")
PODS = [
    namespace("default"),
    namespace("friends", {"project": "myproject"}),
    namespace("strangers"),
    DB,
    FRONTEND,
    BACKEND,
    FRIEND,
    STRANGER,
]
EXAMPLE = {
    "podSelector": {"matchLabels": {"role": "db"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
                {"podSelector": {"matchLabels": {"role": "frontend"}}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ],
    "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
}
"""The example of https://kubernetes.io/docs/concepts/services-networking/network-policies/."""
NETWORKS = {
    "172.17.0.0": ("172.17.0.0/24",),
    "172.17.1.0": ("172.17.1.0/24",),
    "172.17.2.0": ("172.17.2.0/23",),
    "10.0.0.0": ("10.0.0.0/24",),
    "10.0.1.0": ("10.0.1.0/24",),
}


def cluster(*objects: Json, **surroundings: Any) -> Cluster:
    return Cluster([*PODS, *objects], Surroundings(**surroundings))


def reach(cluster: Cluster, source: str, target: str, port: int, protocol: str = "TCP") -> Extent:
    return cluster.decide(cluster.find(source), cluster.find(target), port, protocol).extent


def db_policy(**spec: Any) -> Json:
    return policy("default", {"podSelector": {"matchLabels": {"role": "db"}}, **spec})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("default/frontend", Extent.ALL),
        ("default/backend", Extent.NONE),
        ("friends/friend", Extent.ALL),
        ("strangers/stranger", Extent.NONE),
        ("172.17.0.0", Extent.ALL),
        ("172.17.1.0", Extent.NONE),
        ("172.17.2.0", Extent.ALL),
        ("10.0.0.0", Extent.NONE),
    ],
)
def test_ingress_of_the_published_example(source: str, expected: Extent) -> None:
    example = cluster(policy("default", EXAMPLE), services=NETWORKS)
    assert reach(example, source, "default/db", 6379) is expected
    assert reach(example, source, "default/db", 6380) is Extent.NONE
    assert reach(example, source, "default/db", 6379, "UDP") is Extent.NONE


@pytest.mark.parametrize(
    ("target", "port", "expected"),
    [
        ("10.0.0.0", 5978, Extent.ALL),
        ("10.0.0.0", 5979, Extent.NONE),
        ("10.0.1.0", 5978, Extent.NONE),
        ("default/frontend", 5978, Extent.NONE),
    ],
)
def test_egress_of_the_published_example(target: str, port: int, expected: Extent) -> None:
    example = cluster(policy("default", EXAMPLE), services=NETWORKS)
    assert reach(example, "default/db", target, port) is expected


def test_the_published_example_leaves_other_pods_alone() -> None:
    example = cluster(policy("default", EXAMPLE), services=NETWORKS)
    decision = example.decide(example.find("strangers/stranger"), example.find("default/backend"), 1)
    assert decision.extent is Extent.ALL
    assert decision.ingress.reason is Reason.NOT_ISOLATED


DEFAULTS: dict[str, tuple[Json, bool, bool]] = {
    # Spec, whether ingress and egress of the namespace's pods remain open.
    "deny ingress": ({"podSelector": {}, "policyTypes": ["Ingress"]}, False, True),
    "allow ingress": ({"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]}, True, True),
    "deny egress": ({"podSelector": {}, "policyTypes": ["Egress"]}, True, False),
    "allow egress": ({"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}, True, True),
    "deny both": ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, False, False),
    # Defaulting of policyTypes: egress counts only if it has rules.
    "no types": ({"podSelector": {}}, False, True),
    "empty types": ({"podSelector": {}, "policyTypes": []}, False, True),
    "no types, empty egress": ({"podSelector": {}, "egress": []}, False, True),
    "no types, a rule of egress": ({"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]}, False, False),
    # A rule for a direction that the types leave out says nothing.
    "ingress only, a rule of egress": (
        {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": [{"port": 1}]}]},
        False,
        True,
    ),
    "no podSelector": ({"policyTypes": ["Ingress"]}, False, True),
    "empty lists are like none": (
        {"podSelector": {}, "ingress": [{"from": [], "ports": []}], "policyTypes": ["Ingress"]},
        True,
        True,
    ),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_default_policies(case: str) -> None:
    spec, ingress, egress = DEFAULTS[case]
    example = cluster(policy("default", spec))
    assert (reach(example, "strangers/stranger", "default/db", 6379) is Extent.ALL) is ingress
    assert (reach(example, "default/db", "strangers/stranger", 6379) is Extent.ALL) is egress


def test_a_default_is_for_its_own_namespace() -> None:
    example = cluster(policy("default", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    assert reach(example, "friends/friend", "strangers/stranger", 80) is Extent.ALL


def test_one_peer_with_both_selectors_is_narrower_than_two_peers() -> None:
    both = {
        "namespaceSelector": {"matchLabels": {"project": "myproject"}},
        "podSelector": {"matchLabels": {"role": "client"}},
    }
    one = cluster(db_policy(ingress=[{"from": [both]}]))
    two = cluster(db_policy(ingress=[{"from": [{key: value} for key, value in both.items()]}]))
    assert reach(one, "friends/friend", "default/db", 6379) is Extent.NONE
    assert reach(two, "friends/friend", "default/db", 6379) is Extent.ALL


@pytest.mark.parametrize(
    ("port", "numbers"),
    [
        ({}, "any"),
        ({"port": 6379}, "6379"),
        ({"port": 6379.0}, "6379"),
        ({"port": "redis"}, "6379"),
        ({"port": "unheard-of"}, ""),
        ({"port": 6000, "endPort": 6999}, "6000-6999"),
        ({"port": 6379, "endPort": 6379}, "6379"),
    ],
)
def test_ports_default_to_tcp_and_have_names(port: Json, numbers: str) -> None:
    rows = matrix([*PODS, db_policy(ingress=[{"ports": [port]}])])
    found = {(row.protocol, row.ports) for row in rows if row.target == "Pod default/db"}
    assert found == ({("TCP", numbers)} if numbers else set())


def test_a_named_port_is_looked_up_on_each_target() -> None:
    ports = [("web/one", 8080), ("web/two", 9090)]
    pods = [
        pod(where, {"app": "web"}, ports=[{"name": "http", "containerPort": one}]) for where, one in ports
    ]
    spec = {"podSelector": {}, "egress": [{"ports": [{"port": "http"}]}], "policyTypes": ["Egress"]}
    example = cluster(namespace("web"), *pods, policy("default", spec))
    for where, port in ports:
        source, target = example.find("default/db"), example.find(where)
        assert example.reachable(source, target).spans == ((port, port),)
    # Outside the cluster ports have no names.
    assert not example.reachable(example.find("default/db"), example.find(INTERNET))


def test_ports_of_sidecars_have_names_and_those_of_init_containers_have_none() -> None:
    def container(name: str, port: int, **more: Any) -> Json:
        return {"name": name, "ports": [{"name": name, "containerPort": port}], **more}

    sidecars = [container("proxy", 15001, restartPolicy="Always"), container("setup", 9999)]
    target = pod("web/one", initContainers=sidecars)
    rule = {"ports": [{"port": "proxy"}, {"port": "setup"}]}
    example = cluster(namespace("web"), target, policy("web", {"podSelector": {}, "ingress": [rule]}))
    source = example.find("default/db")
    assert example.reachable(source, example.find("web/one")).spans == ((15001, 15001),)


def test_both_ends_must_allow() -> None:
    out = policy(
        "default",
        {
            "podSelector": {"matchLabels": {"role": "frontend"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"role": "db"}}}], "ports": [{"port": 6379}]}],
        },
    )
    into = db_policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"role": "backend"}}}]}])
    assert reach(cluster(out), "default/frontend", "default/db", 6379) is Extent.ALL
    assert reach(cluster(out, into), "default/frontend", "default/db", 6379) is Extent.NONE
    assert reach(cluster(out, into), "default/backend", "default/db", 6379) is Extent.ALL
    assert reach(cluster(out, into), "default/frontend", "default/backend", 6379) is Extent.NONE


def test_policies_do_not_apply_to_pods_on_the_host_network() -> None:
    agent = pod("agents/agent", {"role": "agent"}, "192.0.2.10", hostNetwork=True)
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    example = cluster(namespace("agents"), agent, policy("agents", deny), policy("default", deny))
    assert reach(example, "strangers/stranger", "agents/agent", 80) is Extent.ALL
    assert reach(example, "agents/agent", "strangers/stranger", 80) is Extent.ALL
    # A pod cannot shut out its own node.
    decision = example.decide(example.find("agents/agent"), example.find("default/db"), 80)
    assert (decision.extent, decision.ingress.reason) == (Extent.SOME, Reason.OWN_NODE)


def test_selectors_do_not_find_pods_on_the_host_network_but_blocks_do() -> None:
    agent = pod("default/agent", {"role": "agent"}, "192.0.2.10", hostNetwork=True)
    by_label = {"to": [{"podSelector": {"matchLabels": {"role": "agent"}}}]}
    by_address = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
    for rule, expected in ((by_label, Extent.NONE), (by_address, Extent.ALL)):
        example = cluster(agent, db_policy(policyTypes=["Egress"], egress=[rule]))
        assert reach(example, "default/db", "default/agent", 80) is expected


def test_of_a_network_that_is_partly_allowed_it_says_so() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "198.18.0.0/16"}}], "ports": [{"port": 443}]}
    example = cluster(db_policy(policyTypes=["Egress"], egress=[rule]), services={"lab": ("198.18.0.0/15",)})
    assert reach(example, "default/db", "lab", 443) is Extent.SOME
    halves = [{"ipBlock": {"cidr": "198.18.0.0/16"}}, {"ipBlock": {"cidr": "198.19.0.0/16"}}]
    for rules in ([{"to": halves}], [{"to": [half]} for half in halves]):
        whole = cluster(db_policy(policyTypes=["Egress"], egress=rules), services={"lab": ("198.18.0.0/15",)})
        assert reach(whole, "default/db", "lab", 443) is Extent.ALL


def test_a_public_address_is_the_internet_until_somebody_says_what_it_is() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "199.36.153.4/30"}}], "ports": [{"port": 443}]}
    named = {"services": {"Google's APIs": ("199.36.153.4/30",)}}
    egress = db_policy(policyTypes=["Egress"], egress=[rule])
    assert reach(cluster(egress), "default/db", INTERNET, 443) is Extent.SOME
    assert reach(cluster(egress, **named), "default/db", INTERNET, 443) is Extent.NONE
    assert reach(cluster(egress, **named), "default/db", "Google's APIs", 443) is Extent.ALL


def test_everything_but_the_metadata_service() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}
    example = cluster(db_policy(policyTypes=["Egress"], egress=[rule]))
    assert reach(example, "default/db", METADATA_SERVICE, 80) is Extent.NONE
    assert reach(example, "default/db", INTERNET, 80) is Extent.SOME, "IPv4, not IPv6"


def test_an_address_that_only_the_update_knows_may_be_any() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}}], "ports": [{"port": 443}]}
    example = cluster(db_policy(policyTypes=["Egress"], egress=[rule]))
    assert reach(example, "default/db", INTERNET, 443) is Extent.SOME
    assert reach(example, "default/db", INTERNET, 80) is Extent.NONE


def test_blocks_and_pods_whose_addresses_are_unknown() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "web"},
        "spec": {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "web"}]}}},
    }

    def from_db(cidr: str, **surroundings: Any) -> Extent:
        rule = {"to": [{"ipBlock": {"cidr": cidr}}]}
        example = cluster(deployment, db_policy(policyTypes=["Egress"], egress=[rule]), **surroundings)
        return reach(example, "default/db", "Deployment web/web", 80)

    assert from_db("0.0.0.0/0") is Extent.ALL
    assert from_db("10.0.0.0/8") is Extent.NONE, "blocks are for what is outside the cluster"
    assert from_db("10.0.0.0/8", pods=("10.244.0.0/16",)) is Extent.ALL
    assert from_db("10.244.1.0/24", pods=("10.244.0.0/16",)) is Extent.SOME


def test_a_service_leads_to_the_port_of_the_pods() -> None:
    allowed = db_policy(ingress=[{"ports": [{"port": 6379}]}])
    by_name = service("default/db", {"role": "db"}, {"port": 80, "targetPort": "redis"})
    by_number = service("default/db-number", {"role": "db"}, {"port": 6379, "targetPort": 1234})
    headless = service(
        "default/db-pods", {"role": "db"}, {"port": 6379, "targetPort": 1234}, clusterIP="None"
    )
    example = cluster(allowed, by_name, by_number, headless)
    source = example.find("strangers/stranger")

    def through(name: str, port: int) -> list[tuple[str, int, bool]]:
        (one,) = [one for one in example.objects.services if one.name == name]
        return [
            (str(end), number, answer.allowed) for end, number, answer in example.through(source, one, port)
        ]

    assert through("db", 80) == [("Pod default/db", 6379, True)]
    assert through("db", 6379) == []
    assert through("db-number", 6379) == [("Pod default/db", 1234, False)]
    assert through("db-pods", 6379) == [("Pod default/db", 6379, True)]


def test_pod_templates_are_found_wherever_a_kind_has_them() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main"}]}}
    specs: dict[str, Json] = {
        "CronJob": {"jobTemplate": {"spec": {"template": template}}},
        "Rollout": {"template": template},
        "LeaderWorkerSet": {"leaderWorkerTemplate": {"leaderTemplate": template, "workerTemplate": template}},
        "RayCluster": {"workerGroupSpecs": [{"template": template}]},
    }
    found = Cluster(
        {"kind": kind, "metadata": {"name": "one", "namespace": "web"}, "spec": spec}
        for kind, spec in specs.items()
    )
    assert [one.name for one in found.objects.workloads] == [
        "CronJob web/one",
        "Rollout web/one",
        "LeaderWorkerSet web/one leaderWorkerTemplate.leaderTemplate",
        "LeaderWorkerSet web/one leaderWorkerTemplate.workerTemplate",
        "RayCluster web/one",
    ]
    assert all(one.labels == {"a": "b"} for one in found.objects.workloads)


def test_lists_are_unpacked_and_owned_pods_stand_behind_their_owner() -> None:
    deployment: Json = {
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "web", "uid": "1"},
        "spec": {"template": {"metadata": {}, "spec": {"containers": [{"name": "web"}]}}},
    }
    owned = pod("web/web-abc")
    owned["metadata"]["ownerReferences"] = [{"uid": "1"}]
    ended = pod("web/ended")
    ended["status"]["phase"] = "Succeeded"
    listed = {"kind": "PodList", "apiVersion": "v1", "items": [{**DB, "kind": "Pod"}]}
    found = Cluster([{"kind": "List", "items": [deployment, owned, ended]}, listed])
    assert [one.name for one in found.objects.workloads] == ["ReplicaSet web/web", "Pod default/db"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingress": [{"from": [{}]}]}, "a peer is empty"),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
            "ipBlock and a selector",
        ),
        ({"ingress": [{"ports": [{"endPort": 80}]}]}, "endPort without port"),
        ({"ingress": [{"ports": [{"port": "web", "endPort": 80}]}]}, "after the named port"),
        ({"ingress": [{"ports": [{"port": 80, "endPort": 79}]}]}, "ports 80 to 79"),
        ({"ingress": [{"ports": [{"port": 0}]}]}, "ports 0 to 0"),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, "'ICMP'"),
        ({"policyTypes": ["Both"]}, "policyTypes: Both"),
        ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}, "'Like'"),
        ({"ingress": "all"}, "NetworkPolicy default/policy"),
    ],
)
def test_what_the_api_server_refuses_is_refused_by_name(spec: Json, message: str) -> None:
    with pytest.raises(ValueError, match="NetworkPolicy default/policy: ") as refused:
        cluster(policy("default", spec))
    assert message in str(refused.value)


def test_why() -> None:
    example = cluster(policy("default", EXAMPLE, "guard"), services=NETWORKS)

    def told(source: str, port: int) -> str:
        return why(example, example.find(source), example.find("default/db"), port)

    assert told("default/frontend", 6379) == (
        "Pod default/frontend to Pod default/db, 6379/TCP: allowed\n"
        "  out of the source: not isolated: no policy selects it for this direction\n"
        "  into the target: allowed by default/guard ingress[0]"
    )
    assert told("default/frontend", 80).splitlines()[2] == (
        "  into the target: denied: isolated by default/guard, no rule of which lets it through; "
        "default/guard ingress[0] names the peer, but on 6379/TCP"
    )
    assert "ingress[0] names the port, but other peers" in told("strangers/stranger", 6379)
    assert "outside the cluster" in told("172.17.1.0", 6379)
    with pytest.raises(LookupError, match=r"'nobody': no such endpoint; choose among .*Pod default/db"):
        example.find("nobody")
