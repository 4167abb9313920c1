"""Who can reach whom in the committed stacks: from what their previews register."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from stacks import model_plan as planning
from stacks.connectivity.cluster import Cluster
from stacks.connectivity.endpoints import Endpoint, Role
from stacks.connectivity.matrix import Row, rows
from stacks.connectivity.report import objects_of, surroundings_of
from stacks.connectivity.surroundings import (
    DNS,
    INTERNET,
    METADATA_SERVICE,
    OTHER_NAMESPACE,
    PRIVATE_NETWORKS,
)
from tests.unit.examples import CATALOGUE
from tests.unit.graph import Registration
from tests.unit.stack_graphs import STACKS as OWN_CLUSTERS
from tests.unit.stack_graphs import stack_graph, stack_plan
from tests.unit.test_graph import build

STACKS = ("dev", *OWN_CLUSTERS)
MODEL = "autoglm-phone-9b"
TRUSTED = "a pod of a namespace with purpose=trusted"
MONITORING = "a pod of a namespace with purpose=monitoring"
PROMETHEUS = (
    "a pod with app.kubernetes.io/instance=platform, app.kubernetes.io/name=prometheus "
    "of a namespace with kubernetes.io/metadata.name=monitoring"
)
"""Its pods are made by the operator, from an object without a template: what admits them tells of them."""
LOGSTASH = "Logstash logging/logs"
STORAGE, IDENTITY = "object storage and cloud APIs", "pod identity agent"


def _cluster(graph: list[Registration], stack: str | None) -> Cluster:
    resources = [(one.name, one.inputs) for one in graph if one.type.startswith("kubernetes:")]
    return Cluster(objects_of(resources), surroundings_of(stack_plan(stack)) if stack else None)


@cache
def cluster_of(stack: str) -> Cluster:
    if stack != "dev":
        return _cluster(stack_graph(stack)[0], stack)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "load_catalogue", lambda _: CATALOGUE)
        return _cluster(build({})[0], None)


@pytest.fixture(params=STACKS)
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return cluster_of(request.param)


def named(cluster: Cluster, name: str) -> list[Endpoint]:
    """Workloads with the name in their labels."""
    return [one for one in cluster.objects.workloads if one.labels.get("app.kubernetes.io/name") == name]


def reaching(cluster: Cluster, target: Endpoint) -> dict[str, set[str]]:
    """Ports that each source reaches by a rule; its own node reaches every pod."""
    found: dict[str, set[str]] = {}
    for row in rows(cluster):
        if row.target == str(target) and not row.exempt:
            found.setdefault(row.source, set()).add(f"{row.ports}/{row.protocol}")
    return found


def reached(cluster: Cluster, source: Endpoint) -> dict[str, set[str]]:
    """Ports that the source reaches, by target."""
    found: dict[str, set[str]] = {}
    for row in rows(cluster):
        if row.source == str(source) and not row.exempt:
            found.setdefault(row.target, set()).add(f"{row.ports}/{row.protocol}")
    return found


def by_rule(cluster: Cluster) -> Iterator[Row]:
    return (row for row in rows(cluster) if not row.exempt)


def test_every_workload_is_isolated_in_both_directions(cluster: Cluster) -> None:
    assert [
        (str(one), direction)
        for one in cluster.objects.workloads
        for direction in ("ingress", "egress")
        if one.isolatable and not cluster.isolated(one, direction)
    ] == []


def test_only_the_virtual_ip_and_node_exporter_use_the_network_of_their_node(cluster: Cluster) -> None:
    exempt = [one for one in cluster.objects.workloads if one.host_network]
    assert exempt == [*named(cluster, "virtual-ip"), *named(cluster, "node-exporter")]


CLIENTS: dict[str, set[str]] = {
    "dev": set(),
    # The VPC, where the load balancer is, and what is connected to it; neither nodes nor pods.
    "prod": {PROMETHEUS, "network 10.8.0.0/16", "network 10.40.0.0/16", "Kubernetes API", STORAGE},
    "staging": {
        PROMETHEUS,
        *("network 10.8.0.0/16", "network 10.40.0.0/16", "network 10.40.0.0/17", "network 10.40.144.0/28"),
    },
    # The proxies of the entry nodes, and what else has these nodes' addresses.
    "onprem": {
        PROMETHEUS,
        "DaemonSet entry/virtual-ip",
        "DaemonSet node-agents/node-exporter",
        "Deployment autoglm/etcd-registry",
        *(f"network 192.168.1.{last}/32" for last in (11, 12, 13)),
    },
}
"""Who reaches the model servers besides trusted namespaces."""


@pytest.mark.parametrize("stack", STACKS)
def test_clients_reach_port_8000_of_the_model_servers_and_nobody_reaches_more(stack: str) -> None:
    cluster = cluster_of(stack)
    servers = named(cluster, "model-server")
    assert servers
    for server in servers:
        expected = {source: {"8000/TCP"} for source in (TRUSTED, *CLIENTS[stack])}
        assert reaching(cluster, server) == expected


def test_model_servers_reach_dns_and_nothing_else(cluster: Cluster) -> None:
    for server in named(cluster, "model-server"):
        assert reached(cluster, server) == {DNS: {"53/TCP", "53/UDP"}}


FETCHING: dict[str, dict[str, set[str]]] = {
    "prod": {STORAGE: {"443/TCP"}, IDENTITY: {"80/TCP"}},
    "staging": {STORAGE: {"443/TCP"}, METADATA_SERVICE: {"80/TCP"}, f"{METADATA_SERVICE} (GKE)": {"988/TCP"}},
    "onprem": {"network 192.168.2.10/32": {"443/TCP"}},
}


@pytest.mark.parametrize("stack", FETCHING)
def test_fetch_jobs_reach_object_storage_and_their_credentials(stack: str) -> None:
    cluster = cluster_of(stack)
    (job,) = named(cluster, "model-fetch")
    assert reached(cluster, job) == {DNS: {"53/TCP", "53/UDP"}, **FETCHING[stack]}
    assert reaching(cluster, job) == {}


def test_a_fetch_job_that_reads_a_volume_reaches_dns_alone() -> None:
    cluster = cluster_of("dev")
    (job,) = named(cluster, "model-fetch")
    assert set(reached(cluster, job)) == {DNS}


def test_nobody_reaches_the_internet_or_a_private_network_without_a_name(cluster: Cluster) -> None:
    assert [row for row in by_rule(cluster) if row.target in (INTERNET, PRIVATE_NETWORKS)] == []


def test_nobody_is_reached_from_the_internet_or_from_other_namespaces(cluster: Cluster) -> None:
    strangers = (INTERNET, PRIVATE_NETWORKS, OTHER_NAMESPACE, METADATA_SERVICE)
    assert [row for row in by_rule(cluster) if row.source in strangers] == []


@pytest.mark.parametrize("stack", STACKS)
def test_only_who_has_an_identity_of_google_reaches_the_metadata_service(stack: str) -> None:
    found = {row.source for row in by_rule(cluster_of(stack)) if row.target.startswith(METADATA_SERVICE)}
    known = {f"Job autoglm/{MODEL}-fetch", "CronJob node-agents/audit-publish-0"}
    assert found == (known if stack == "staging" else set())


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_logstash_alone_reaches_the_audit_trail(stack: str) -> None:
    cluster = cluster_of(stack)
    (receiver,) = named(cluster, "audit-collector")
    found = reaching(cluster, receiver)
    assert {source for source, ports in found.items() if "8443/TCP" in ports} == {LOGSTASH}


def test_an_intruder_in_a_namespace_reaches_dns_at_most_and_is_reached_by_nobody(cluster: Cluster) -> None:
    intruders = [one for one in cluster.endpoints if one.role is Role.NEIGHBOUR]
    assert intruders
    for intruder in intruders:
        assert set(reached(cluster, intruder)) <= {DNS}
        assert reaching(cluster, intruder) == {}


def test_udp_is_for_dns_alone(cluster: Cluster) -> None:
    assert {(row.target, row.ports) for row in by_rule(cluster) if row.protocol != "TCP"} == {(DNS, "53")}


def test_etcd_is_reached_by_its_peers_and_its_named_clients() -> None:
    cluster = cluster_of("onprem")
    (etcd,) = named(cluster, "etcd")
    maintenance = {str(one): {"2379/TCP"} for one in named(cluster, "etcd-maintenance")}
    assert reaching(cluster, etcd) == {
        str(etcd): {"2379-2380/TCP"},
        "Deployment autoglm/etcd-registry": {"2379/TCP"},
        PROMETHEUS: {"2381/TCP"},
        **maintenance,
    }


def test_the_audit_trail_is_reached_by_monitoring_alone_and_reaches_dns_at_most() -> None:
    cluster = cluster_of("onprem")
    (collector,) = named(cluster, "audit-collector")
    assert set(reaching(cluster, collector)) <= {MONITORING, PROMETHEUS}
    assert {port for ports in reaching(cluster, collector).values() for port in ports} == {"9464/TCP"}
    assert set(reached(cluster, collector)) <= {DNS}
    jobs = named(cluster, "audit-jobs")
    assert len(jobs) == 6
    for job in jobs:
        assert set(reached(cluster, job)) <= {DNS}
        assert reaching(cluster, job) == {}


def test_the_autoscaler_reaches_the_apis_of_cluster_and_cloud() -> None:
    cluster = cluster_of("prod")
    (autoscaler,) = named(cluster, "cluster-autoscaler")
    assert reached(cluster, autoscaler) == {
        DNS: {"53/TCP", "53/UDP"},
        "Kubernetes API": {"443/TCP"},
        STORAGE: {"443/TCP"},
        IDENTITY: {"80/TCP"},
    }
    assert reaching(cluster, autoscaler) == {}


def test_every_service_leads_to_a_port_that_somebody_may_reach(cluster: Cluster) -> None:
    """A Service in front of a port that no policy opens is a mistake in one of the two."""
    assert cluster.objects.services
    for service in cluster.objects.services:
        if str(service) == "monitoring/prometheus":
            continue  # its pods are the operator's
        for port in service.ports:
            answers = [
                answer
                for source in cluster.endpoints
                for _, _, answer in cluster.through(source, service, port.number, port.protocol)
            ]
            assert any(answer.allowed for answer in answers), f"{service}:{port.number}"
