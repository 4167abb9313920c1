"""What the etcd cluster and the service registry register."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.etcd.component import CLIENT_LABEL, CONFIGURATION_ANNOTATION, EtcdCluster, EtcdClusterArgs
from components.service_registry.component import (
    ModelServers,
    RegistryPlan,
    ServiceRegistry,
    ServiceRegistryArgs,
)
from tests.unit.etcd.test_plan import planned
from tests.unit.graph import Registration, objects, record
from tests.unit.judgement import breaches

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "five": {"members": 5, "clients": [{"name": "billing", "namespace": "finance"}, {"name": "audit"}]},
    "restore": {
        "antiAffinity": "preferred",
        "restore": {"snapshot": "a.db", "sha256": "0" * 64},
        "resources": {"cpu": "50m", "cpuLimit": "300m", "memory": "4Gi"},
    },
    "secrets": {"certificates": {"kind": "secrets"}},
}


def build(
    changes: Mapping[str, Any], *, protect: bool = False, configured: bool = True
) -> list[Registration]:
    plan = planned(dict(changes), protect=protect)

    def program() -> pulumi.Output[str]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        cluster = EtcdCluster("etcd", EtcdClusterArgs("autoglm", "workload", plan), opts)
        registry = RegistryPlan(plan, (ModelServers("phone", 8000),))
        ServiceRegistry("registry", ServiceRegistryArgs("autoglm", "workload", registry), opts)
        return cluster.endpoint

    registrations, endpoint = record(program, preview=not configured, configured=configured)
    assert not configured or endpoint == "https://etcd.autoglm.svc:2379"
    return registrations


@pytest.fixture(params=VARIANTS)
def graph(request: pytest.FixtureRequest) -> list[Registration]:
    return build(VARIANTS[request.param])


def of_kind(graph: list[Registration], kind: str) -> dict[str, Registration]:
    return {item.inputs["metadata"]["name"]: item for item in objects(graph) if item.kind == kind}


def members(graph: list[Registration]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = of_kind(graph, "StatefulSet")["etcd"].inputs["spec"]
    return spec


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in objects(graph):
        if item.inputs["apiVersion"].startswith("cert-manager.io"):
            continue
        kubernetes_validate.validate(item.document, "1.36", strict=True)


def test_no_rule_of_the_policy_pack_is_broken(graph: list[Registration]) -> None:
    assert breaches(objects(graph)) == []


def test_every_object_is_a_child_of_its_component_and_named(graph: list[Registration]) -> None:
    for item in objects(graph):
        assert item.parent in ("etcd", "registry")
        assert item.inputs["metadata"]["namespace"] == "autoglm"
        assert len(item.inputs["metadata"]["name"]) <= 63


def test_members_are_never_replaced_behind_somebodys_back(graph: list[Registration]) -> None:
    spec = members(graph)
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert spec["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize(("variant", "least"), [("defaults", 2), ("five", 3)])
def test_the_disruption_budget_keeps_the_quorum(variant: str, least: int) -> None:
    budget = of_kind(build(VARIANTS[variant]), "PodDisruptionBudget")["etcd"].inputs["spec"]
    assert budget["minAvailable"] == least
    assert members(build(VARIANTS[variant]))["replicas"] == 2 * least - 1


def test_two_members_never_share_a_node_unless_that_is_accepted() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = members(build({}))["template"]["spec"]["affinity"]["podAntiAffinity"]
    assert affinity[required][0]["topologyKey"] == "kubernetes.io/hostname"
    assert (
        required not in members(build(VARIANTS["restore"]))["template"]["spec"]["affinity"]["podAntiAffinity"]
    )


def test_the_members_run_etcd_alone(graph: list[Registration]) -> None:
    containers = members(graph)["template"]["spec"]["containers"]
    assert [container["command"] for container in containers] == [["/usr/local/bin/etcd"]]
    assert containers[0]["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert containers[0]["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_members_read_the_planned_configuration(graph: list[Registration]) -> None:
    template = members(graph)["template"]
    configuration = json.loads(template["metadata"]["annotations"][CONFIGURATION_ANNOTATION])
    mounted = {mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
    for side, secret in (("client", "server"), ("peer", "peer")):
        security = configuration[f"{side}-transport-security"]
        assert security["client-cert-auth"] is True
        assert security["cert-file"].rpartition("/")[0] in mounted
        assert security["cert-file"] == f"/etc/etcd/tls/{secret}/tls.crt"
    assert configuration["data-dir"].rpartition("/")[0] in mounted


def test_the_init_container_has_what_it_asks_with_and_nothing_else() -> None:
    spec = members(build({}))["template"]["spec"]
    (bootstrap,) = spec["initContainers"]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in bootstrap["volumeMounts"]}
    assert mounts == {
        "/var/lib/etcd": False,
        "/etc/etcd/tls/client": True,
        # To answer other members, and to be answered by them before there is a leader.
        "/etc/etcd/tls/peer": True,
        "/etc/etcd/configuration": True,
        "/run/etcd": False,
        "/tmp": False,
    }
    secrets = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if v.get("secret")}
    assert secrets["peer-tls"] == "etcd-peer"
    assert secrets["client-tls"] == "etcd-client-maintenance"
    assert spec["automountServiceAccountToken"] is False


def test_members_ask_each_other_on_both_ports() -> None:
    policy = of_kind(build({}), "NetworkPolicy")["etcd"].inputs["spec"]
    own = {"podSelector": {"matchLabels": policy["podSelector"]["matchLabels"]}}
    assert policy["egress"] == [{"to": [own], "ports": [tcp(2380), tcp(2379)]}]
    assert {"from": [own], "ports": [tcp(2380), tcp(2379)]} in policy["ingress"]


def tcp(port: int) -> dict[str, object]:
    return {"port": port, "protocol": "TCP"}


def test_who_reaches_the_members() -> None:
    policies = of_kind(build(VARIANTS["five"]), "NetworkPolicy")
    ingress = policies["etcd"].document["spec"]["ingress"]
    peers = {
        (port["port"], json.dumps(peer, sort_keys=True))
        for r in ingress
        for port in r["ports"]
        for peer in r["from"]
    }
    by_port: dict[int, set[str]] = {}
    for port, peer in peers:
        by_port.setdefault(port, set()).add(peer)
    member = {
        "podSelector": {
            "matchLabels": {"app.kubernetes.io/instance": "etcd", "app.kubernetes.io/name": "etcd"}
        }
    }
    assert by_port[2380] == {json.dumps(member, sort_keys=True)}
    clients = [json.loads(peer) for peer in by_port[2379]]
    assert len(clients) == 5
    assert {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "finance"}},
        "podSelector": {"matchLabels": {CLIENT_LABEL: "billing"}},
    } in clients
    assert {"podSelector": {"matchLabels": {CLIENT_LABEL: "audit"}}} in clients
    assert [json.loads(peer) for peer in by_port[2381]] == [
        {"namespaceSelector": {"matchLabels": {"purpose": "monitoring"}}}
    ]
    inside = policies["etcd-clients"].inputs["spec"]["podSelector"]["matchExpressions"][0]
    assert inside == {"key": CLIENT_LABEL, "operator": "In", "values": ["service-registry", "audit"]}


def test_certificates_come_from_two_authorities_of_this_cluster() -> None:
    graph = build({})
    certificates = of_kind(graph, "Certificate")
    authorities = {name for name, item in certificates.items() if item.inputs["spec"].get("isCA")}
    assert authorities == {"etcd-peer-ca", "etcd-client-ca"}
    for name, item in certificates.items():
        spec = item.document["spec"]
        assert spec["secretName"] == name
        assert spec["privateKey"]["rotationPolicy"] == ("Never" if name in authorities else "Always")
        issuer = spec["issuerRef"]["name"]
        assert issuer == ("etcd-self-signed" if name in authorities else _authority(name))
    assert set(of_kind(graph, "Issuer")) == {"etcd-self-signed", *authorities}


def _authority(name: str) -> str:
    return "etcd-peer-ca" if name == "etcd-peer" else "etcd-client-ca"


def test_members_start_only_after_their_certificates_were_asked_for() -> None:
    graph = build({})
    waits_for = of_kind(graph, "StatefulSet")["etcd"].depends_on
    assert {"etcd-server", "etcd-peer", "etcd-client-maintenance", "etcd-maintenance"} <= set(waits_for)


def test_certificates_of_somebody_else_need_no_objects() -> None:
    graph = build(VARIANTS["secrets"])
    assert of_kind(graph, "Certificate") == of_kind(graph, "Issuer") == {}


def test_jobs_end_by_themselves_and_never_overlap(graph: list[Registration]) -> None:
    jobs = of_kind(graph, "CronJob")
    assert set(jobs) == {"etcd-snapshot", "etcd-defragmentation"}
    for job in jobs.values():
        assert job.inputs["spec"]["concurrencyPolicy"] == "Forbid"
        assert job.inputs["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0


def test_data_outlives_a_protected_cluster() -> None:
    for protect, retained in ((True, "Retain"), (False, "Delete")):
        graph = build({}, protect=protect)
        assert members(graph)["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == retained
        assert of_kind(graph, "StatefulSet")["etcd"].protect is protect
        claim = of_kind(graph, "PersistentVolumeClaim")["etcd-snapshots"]
        assert (claim.protect, claim.retain_on_delete) == (protect, protect)


def test_members_restore_only_what_is_named_with_its_sum() -> None:
    arguments = members(build(VARIANTS["restore"]))["template"]["spec"]["initContainers"][0]["args"]
    # The documented restore waits for the sum at this place.
    assert arguments[4:] == ["--snapshot", "/snapshots/a.db", "--sha256", "0" * 64]
    assert not any("snapshot" in argument for argument in _init_arguments(build({})))


def _init_arguments(graph: list[Registration]) -> list[str]:
    arguments: list[str] = members(graph)["template"]["spec"]["initContainers"][0]["args"]
    return arguments


def test_the_registry_finds_the_servers_and_is_let_in() -> None:
    graph = build({})
    services = of_kind(graph, "Service")
    assert services["phone-endpoints"].inputs["spec"]["clusterIP"] == "None"
    pods = {"app.kubernetes.io/name": "model-server", "app.kubernetes.io/instance": "phone"}
    assert services["phone-endpoints"].inputs["spec"]["selector"] == pods
    deployment = of_kind(graph, "Deployment")["etcd-registry"].inputs["spec"]
    assert deployment["template"]["metadata"]["labels"][CLIENT_LABEL] == "service-registry"
    assert (
        "--server=phone=http://phone-endpoints:8000"
        in deployment["template"]["spec"]["containers"][0]["args"]
    )
    admitted = of_kind(graph, "NetworkPolicy")["phone-from-etcd-registry"].inputs["spec"]
    assert admitted["podSelector"]["matchLabels"] == pods
    assert (
        admitted["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        == deployment["selector"]["matchLabels"]
    )


def test_the_tools_know_the_members_and_have_their_own_certificate(graph: list[Registration]) -> None:
    jobs = [
        job.inputs["spec"]["jobTemplate"]["spec"]["template"] for job in of_kind(graph, "CronJob").values()
    ]
    deployment = of_kind(graph, "Deployment")["etcd-registry"].inputs["spec"]["template"]
    for template, client in [*((job, "maintenance") for job in jobs), (deployment, "service-registry")]:
        (container,) = template["spec"]["containers"]
        (endpoints,) = (item["value"] for item in container["env"] if item["name"] == "ETCD_ENDPOINTS")
        assert len(endpoints.split(",")) == members(graph)["replicas"]
        assert endpoints.startswith("https://etcd-0.etcd-peers.autoglm.svc:2379,")
        (secret,) = (v["secret"]["secretName"] for v in template["spec"]["volumes"] if "secret" in v)
        assert secret == f"etcd-client-{client}"


def test_everything_that_rules_read_is_known_before_there_is_a_cluster() -> None:
    unknown = build({}, configured=False)
    known = build({})
    assert [item.inputs for item in unknown] == [item.inputs for item in known]
