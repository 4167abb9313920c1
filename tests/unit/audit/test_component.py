"""What the audit trail registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from audit_trail.cli import _parser
from components.audit.component import AuditTrail, AuditTrailArgs
from components.audit.plan import IMAGE, PUBLISHER, Sender, plan_audit
from components.audit.settings import Audit
from components.common.quantities import parse_bytes, parse_millicores
from tests.unit.audit.test_plan import EXAMPLE, IMAGES, LOGS, planned
from tests.unit.graph import Registration, objects, record
from tests.unit.judgement import breaches

PUBLISH = {
    "uri": "s3://autoglm-audit/trail",
    "region": "eu-central-1",
    "credentialsSecret": "publisher",
    "egressCidrs": ["10.0.0.0/24"],
}
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "three": {"collectors": 3, "publish": PUBLISH, "resources": {"cpu": "20m", "cpuLimit": "200m"}},
    "pods-only": {"apiServerLog": None},
    "identity": {"publish": {key: value for key, value in PUBLISH.items() if key != "credentialsSecret"}},
    "generated": {"signing": {"kind": "generated"}},
}
LOGS_VARIANT: dict[str, Any] = {"source": "logs", "publish": PUBLISH}
EXEMPT = {
    # Logs of the API server and of containers belong to root.
    ("audit", "pod-host-path"),
    ("audit", "container-non-root"),
}


def build(variant: str, *, protect: bool = True, **given: Any) -> list[Registration]:
    if variant == "generated":
        settings = Audit.model_validate(VARIANTS[variant])
        plan, _ = plan_audit(settings, images=IMAGES, logs=LOGS, protect=False)
        assert plan is not None
    else:
        plan = planned({**VARIANTS, "logs": LOGS_VARIANT}[variant], protect=protect, **given)

    def program() -> pulumi.Output[list[str]]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        trail = AuditTrail("audit", AuditTrailArgs("node-agents", "workload", IMAGES[IMAGE], plan), opts)
        return trail.trails

    registrations, trails = record(program)
    assert trails == list(plan.trails)
    return registrations


@pytest.fixture(params=VARIANTS)
def graph(request: pytest.FixtureRequest) -> list[Registration]:
    return build(request.param)


def of_kind(graph: list[Registration], kind: str) -> dict[str, Registration]:
    return {item.inputs["metadata"]["name"]: item for item in objects(graph) if item.kind == kind}


def pod(graph: list[Registration], kind: str, name: str) -> Mapping[str, Any]:
    spec = of_kind(graph, kind)[name].inputs["spec"]
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Mapping[str, Any] = spec["template"]["spec"]
    return found


def container(graph: list[Registration], kind: str, name: str) -> Mapping[str, Any]:
    (found,) = pod(graph, kind, name)["containers"]
    assert isinstance(found, Mapping)
    return found


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in objects(graph):
        kubernetes_validate.validate(item.document, "1.36", strict=True)


def test_of_the_policy_pack_only_what_reading_logs_needs_is_broken(graph: list[Registration]) -> None:
    assert {(breach.name, breach.rule) for breach in breaches(graph)} == EXEMPT


def test_every_container_is_run_with_arguments_that_it_takes(graph: list[Registration]) -> None:
    for kind in ("StatefulSet", "CronJob"):
        for name in of_kind(graph, kind):
            _parser().parse_args(container(graph, kind, name)["args"])


def test_the_collector_reads_as_root_and_can_do_nothing_else() -> None:
    graph = build("defaults")
    found = container(graph, "StatefulSet", "audit-collector")
    context = found["securityContext"]
    assert context["runAsUser"] == 0
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    mounts = {mount["name"]: mount for mount in found["volumeMounts"]}
    spec = pod(graph, "StatefulSet", "audit-collector")
    for volume in spec["volumes"]:
        assert mounts[volume["name"]]["readOnly"] is True
        assert mounts[volume["name"]]["mountPath"] == volume["hostPath"]["path"]
    assert spec["automountServiceAccountToken"] is False


SENDER = Sender(
    "logging", {"logstash.k8s.elastic.co/name": "logs"}, "logstash.logging", "internal-ca", 50_000
)


def test_a_receiver_reads_nothing_of_its_node_and_breaks_no_rule() -> None:
    graph = build("logs", sender=SENDER)
    assert breaches(graph) == []
    spec = pod(graph, "StatefulSet", "audit-collector")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert not any("hostPath" in volume for volume in spec["volumes"])
    assert "nodeSelector" not in spec
    assert "affinity" not in spec
    found = container(graph, "StatefulSet", "audit-collector")
    options = _parser().parse_args(found["args"])
    assert (options.command, options.listen, options.client) == ("receive", 8443, SENDER.name)
    mounts = {mount["mountPath"]: mount for mount in found["volumeMounts"]}
    assert mounts[str(options.tls)]["readOnly"] is True
    for item in objects(graph):
        if item.kind != "Certificate":
            kubernetes_validate.validate(item.document, "1.36", strict=True)
    # Its volume is where its Jobs are.
    (term,) = pod(graph, "CronJob", "audit-seal-0")["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["labelSelector"]["matchLabels"] == {"statefulset.kubernetes.io/pod-name": "audit-collector-0"}


def test_a_receiver_is_reached_by_logstash_and_monitoring_alone() -> None:
    policy = of_kind(build("logs", sender=SENDER), "NetworkPolicy")["audit-collector"].document["spec"]
    assert policy["egress"] == []
    by_port = {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}
    assert set(by_port) == {9464, 8443}
    (peer,) = by_port[8443]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "logging"}
    assert peer["podSelector"]["matchLabels"] == SENDER.pod_labels


def test_who_collects_has_no_key_and_who_verifies_none_that_signs() -> None:
    graph = build("three")

    def secrets(kind: str, name: str) -> list[str]:
        return [v["secret"]["secretName"] for v in pod(graph, kind, name).get("volumes", []) if "secret" in v]

    assert secrets("StatefulSet", "audit-collector") == []
    assert secrets("CronJob", "audit-seal-0") == ["signing"]
    assert secrets("CronJob", "audit-verify-0") == []
    assert secrets("CronJob", "audit-publish-0") == []
    assert "envFrom" not in container(graph, "CronJob", "audit-seal-0")
    assert container(graph, "CronJob", "audit-publish-0")["envFrom"] == [{"secretRef": {"name": "publisher"}}]


def test_publishers_are_known_by_a_service_account_of_their_own_where_no_secret_names_them() -> None:
    endpoints = (("169.254.170.23/32", 80),)
    graph = build("identity", identity_endpoints=endpoints)
    assert list(of_kind(graph, "ServiceAccount")) == [PUBLISHER]
    assert pod(graph, "CronJob", "audit-publish-0")["serviceAccountName"] == PUBLISHER
    assert pod(graph, "CronJob", "audit-verify-0")["serviceAccountName"] == "workload"
    egress = of_kind(graph, "NetworkPolicy")[PUBLISHER].document["spec"]["egress"]
    assert [peer["ipBlock"]["cidr"] for rule in egress for peer in rule["to"] if "ipBlock" in peer] == [
        *("10.0.0.0/24", "169.254.170.23/32")
    ]
    with_secret = build("three", identity_endpoints=endpoints)
    assert of_kind(with_secret, "ServiceAccount") == {}
    assert pod(with_secret, "CronJob", "audit-publish-0")["serviceAccountName"] == "workload"


def test_each_trail_has_its_jobs_beside_its_collector() -> None:
    graph = build("three")
    assert of_kind(graph, "StatefulSet")["audit-collector"].inputs["spec"]["replicas"] == 3
    for index in range(3):
        for job in ("seal", "verify", "publish"):
            spec = pod(graph, "CronJob", f"audit-{job}-{index}")
            trail = f"audit-collector-{index}"
            (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            assert term["labelSelector"]["matchLabels"] == {"statefulset.kubernetes.io/pod-name": trail}
            assert f"--trail={trail}" in spec["containers"][0]["args"]
            claims = [
                v["persistentVolumeClaim"]["claimName"]
                for v in spec["volumes"]
                if "persistentVolumeClaim" in v
            ]
            assert claims == [f"trail-{trail}"]


def test_old_public_keys_go_on_to_verify_in_their_order() -> None:
    (keys,) = of_kind(build("defaults"), "ConfigMap").values()
    assert list(keys.inputs["data"]) == ["0000.pem"]


def test_nobody_reaches_the_trail_but_monitoring_and_nothing_is_reached_but_the_bucket() -> None:
    policies = of_kind(build("three"), "NetworkPolicy")
    assert set(policies) == {"audit-collector", "audit-jobs", "audit-publisher"}
    collector = policies["audit-collector"].document["spec"]
    assert collector["egress"] == []
    assert [port["port"] for rule in collector["ingress"] for port in rule["ports"]] == [9464]
    jobs = policies["audit-jobs"].inputs["spec"]
    assert jobs["ingress"] == jobs["egress"] == []
    publisher = policies["audit-publisher"].document["spec"]
    assert publisher["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    ]


def test_what_holds_records_is_protected() -> None:
    stateful = of_kind(build("defaults"), "StatefulSet")["audit-collector"]
    assert stateful.protect
    assert stateful.inputs["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    assert not of_kind(build("generated"), "StatefulSet")["audit-collector"].protect


def test_every_object_is_a_child_of_its_component(graph: list[Registration]) -> None:
    for item in objects(graph):
        assert item.parent == "audit"
        assert item.inputs["metadata"]["namespace"] == "node-agents"
        assert len(item.inputs["metadata"]["name"]) <= 52


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_demand_is_what_the_pods_ask_for(variant: str) -> None:
    graph = build(variant)
    settings = Audit.model_validate({**EXAMPLE, **VARIANTS[variant]})
    plan, _ = plan_audit(settings, images=IMAGES, logs=LOGS, protect=False)
    assert plan is not None
    containers = [container(graph, "CronJob", name) for name in of_kind(graph, "CronJob")]
    containers += [container(graph, "StatefulSet", "audit-collector")] * settings.collectors
    asked = [one["resources"] for one in containers]
    assert plan.demand.cpu == sum(parse_millicores(one["requests"]["cpu"]) for one in asked)
    assert plan.demand.cpu_limits == sum(parse_millicores(one["limits"]["cpu"]) for one in asked)
    assert plan.demand.memory == sum(parse_bytes(one["limits"]["memory"]) for one in asked)
    assert (plan.demand.pods, plan.demand.claims) == (len(containers), settings.collectors)


def test_where_somebody_scrapes_the_collectors_bring_their_monitor() -> None:
    assert of_kind(build("defaults"), "PodMonitor") == {}
    (monitor,) = of_kind(build("defaults", scrape_interval=15), "PodMonitor").values()
    spec = monitor.inputs["spec"]
    labels = of_kind(build("defaults"), "StatefulSet")["audit-collector"].inputs["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= labels["metadata"]["labels"].items()
    assert [one["port"] for one in spec["podMetricsEndpoints"]] == ["metrics"]
