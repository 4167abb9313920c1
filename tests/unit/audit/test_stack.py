"""The audit trail of a stack: whose logs are read, and on which nodes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from components.accelerators.shapes import NodePoolShape
from components.audit.plan import METRICS_PORT, NAME, PUBLISHER, AuditPlan
from components.common.names import AGENTS_NAMESPACE
from components.common.quantities import GIB
from components.logging.plan import trail_client
from components.monitoring.stack import Scraped
from components.object_storage.gcs import WRITER_ROLE
from components.object_storage.plan import BucketsPlan
from stacks.plan import PlatformPlan
from stacks.problems import SettingsError
from tests.unit.audit.test_plan import PEM
from tests.unit.stack_graphs import graph_of, raw_stack, stack_graph, stack_plan

CLIENT = trail_client("logging")
PUBLISH = {
    "uri": "s3://autoglm-prod-audit-111122223333/trail",
    "region": "eu-central-1",
    "egressCidrs": ["10.40.0.0/16"],
}


def trail(stack: str, raw: dict[str, Any] | None = None) -> AuditPlan:
    found = stack_plan(stack, raw).observability.audit
    assert found is not None
    return found


def prod(**changes: Any) -> dict[str, Any]:
    """Stack prod with a pool of a fixed size, and a trail of its nodes."""
    raw = copy.deepcopy(raw_stack("prod"))
    (pool,) = [pool for pool in raw["cluster"]["nodePools"] if pool["name"] == "l40s"]
    pool |= {"minNodes": 3, "maxNodes": 3}
    raw["images"]["references"]["audit"] = f"registry.example.com/autoglm/audit@sha256:{'0' * 64}"
    raw["audit"] = {
        "collectors": 3,
        "nodeSelector": {"autoglm-platform/node-pool": "l40s"},
        "tolerations": [{"key": "nvidia.com/gpu", "value": "present"}],
        "apiServerLog": None,
        "signing": {"kind": "secret", "secretName": "audit-signing", "publicKeys": [PEM]},
        **changes,
    }
    return raw


def test_on_machines_of_ones_own_all_three_sources_are_looked_for() -> None:
    plan = trail("onprem")
    assert plan.trails == ("audit-collector-0", "audit-collector-1", "audit-collector-2")
    assert [argument.partition("=")[0] for argument in plan.inputs] == [
        "--kubernetes",
        "--model",
        "--gateway",
    ]
    assert plan.settings.retention_days == 400
    assert plan.print_records, "the log store has a copy"


def test_prometheus_reaches_collectors_and_knows_how_many_there_are() -> None:
    monitoring = stack_plan("onprem").observability.monitoring
    assert monitoring is not None
    assert Scraped(AGENTS_NAMESPACE, NAME, METRICS_PORT) in monitoring.scraped
    assert monitoring.stack.audit_collectors == 3
    assert "audit" in {group.name for group in monitoring.groups}
    monitors = [item.name for item in stack_graph("onprem")[0] if item.kind == "PodMonitor"]
    assert "audit" in monitors


def test_stacks_without_a_trail_have_no_alerts_on_it() -> None:
    raw = {key: value for key, value in raw_stack("prod").items() if key != "audit"}
    monitoring = stack_plan("prod", raw).observability.monitoring
    assert monitoring is not None
    assert "audit" not in {group.name for group in monitoring.groups}


CLOUDS = {
    "prod": ("s3://autoglm-prod-audit-111122223333/trail", 400),
    "staging": ("gs://autoglm-staging-audit-example-project/trail", 200),
}


@pytest.mark.parametrize("stack", CLOUDS)
def test_stacks_of_the_clouds_have_a_trail_of_what_logstash_makes(stack: str) -> None:
    plan = stack_plan(stack)
    audit, logging = plan.observability.audit, plan.observability.logging
    assert audit is not None
    assert logging is not None
    assert audit.settings.publish is not None
    assert (audit.settings.publish.uri, audit.settings.retention_days) == CLOUDS[stack]
    assert raw_stack(stack)["buckets"]["audit"]["retentionDays"] == audit.settings.retention_days
    assert audit.own_identity
    assert audit.sender is not None
    assert audit.inputs == ()
    assert audit.trails == ("audit-collector-0",)
    assert not audit.settings.selector, "its volume is of a zone, not of a node"
    assert audit.settings.records_per_day >= logging.settings.ingest.access_records_per_day
    monitoring = plan.observability.monitoring
    assert monitoring is not None
    rules = {rule.name for group in monitoring.groups for rule in group.alerts}
    assert {"AuditBatchesRefused", "AuditAccessesUnrecorded", "AuditTrailAltered"} <= rules


@pytest.mark.parametrize("stack", CLOUDS)
def test_logstash_sends_where_the_receiver_listens_and_each_lets_the_other(stack: str) -> None:
    graph, _ = stack_graph(stack)
    items = {(item.kind, item.inputs.get("metadata", {}).get("name")): item.inputs for item in graph}
    (logstash,) = [item.inputs for item in graph if item.inputs.get("kind") == "Logstash"]
    pipelines = {one["pipeline.id"]: one for one in logstash["spec"]["pipelines"]}
    assert (
        'url => "https://audit-collector.node-agents.svc:8443/records"' in pipelines["trail"]["config.string"]
    )
    assert 'send_to => ["audit-trail"]' in pipelines["pods"]["config.string"]
    # A queue of its own, on disk as Logstash's default here is.
    assert logstash["spec"]["config"]["queue.type"] == "persisted"
    assert "queue.type" not in pipelines["trail"]
    assert pipelines["trail"]["queue.max_bytes"] == GIB
    service = items["Service", "audit-collector"]["spec"]
    assert {"name": "records", "port": 8443, "targetPort": "records", "protocol": "TCP"} in service["ports"]
    assert service.get("clusterIP") is None
    stateful = items["StatefulSet", "audit-collector"]["spec"]
    assert stateful["replicas"] == 1
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    assert f"--client={CLIENT}" in container["args"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"records": 8443, "metrics": METRICS_PORT}
    # Certificates of one authority, each with the name that the other asks for.
    server = items["Certificate", "audit-collector-tls"]["spec"]
    client = items["Certificate", "logstash-trail-tls"]["spec"]
    assert "audit-collector.node-agents.svc" in server["dnsNames"]
    assert client["dnsNames"] == [CLIENT]
    assert server["issuerRef"] == client["issuerRef"]
    assert ("server auth" in server["usages"], "client auth" in client["usages"]) == (True, True)
    assert ("client auth" in server["usages"], "server auth" in client["usages"]) == (False, False)
    mounted = {one["secret"]["secretName"] for one in pod["volumes"]}
    assert mounted == {server["secretName"]}
    in_logstash = {one["secret"]["secretName"] for one in logstash["spec"]["podTemplate"]["spec"]["volumes"]}
    assert client["secretName"] in in_logstash
    # Nobody else's pods.
    ingress = items["NetworkPolicy", "audit-collector"]["spec"]["ingress"]
    (to_records,) = [rule for rule in ingress if {port["port"] for port in rule["ports"]} == {8443}]
    assert to_records["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "logging"}},
            "podSelector": {"matchLabels": logstash["spec"]["podTemplate"]["metadata"]["labels"]},
        }
    ]
    egress = items["NetworkPolicy", "logstash"]["spec"]["egress"]
    (to_trail,) = [rule for rule in egress if {port["port"] for port in rule["ports"]} == {8443}]
    (peer,) = to_trail["to"]
    assert peer["podSelector"]["matchLabels"].items() <= stateful["template"]["metadata"]["labels"].items()


def test_on_nodes_nothing_is_received() -> None:
    graph, _ = stack_graph("onprem")
    (logstash,) = [item.inputs for item in graph if item.inputs.get("kind") == "Logstash"]
    assert [one["pipeline.id"] for one in logstash["spec"]["pipelines"]] == ["pods", "dead-letters"]
    names = {item.inputs.get("metadata", {}).get("name") for item in graph}
    assert not names & {"audit-collector-tls", "logstash-trail-tls"}


@pytest.mark.parametrize(
    ("changes", "path", "told"),
    [
        ({"logging": None}, "source", "has no section logging"),
        ({"audit.collectors": 1}, "collectors", "nothing is read on nodes; remove it"),
        ({"audit.apiServerLog": None}, "apiServerLog", "nothing is read on nodes; remove it"),
        ({"audit.podLogs": "/var/log/pods"}, "podLogs", "nothing is read on nodes; remove it"),
        ({"logging.ingest": {"accessRecordsPerDay": 200_000}}, "recordsPerDay", "write as many or more"),
        ({"audit.recordsPerDay": 110_000}, "storage.size", "raise it, or lower recordsPerDay"),
        (
            {"audit.recordsPerDay": 1_100_000, "audit.storage.size": "1Ti"},
            "resources.memory",
            "the ids of two days of 1100000 records each are held",
        ),
        (
            {"audit.nodeSelector": {"autoglm-platform/node-pool": "l40s"}},
            "tolerations",
            "no collector would run there",
        ),
        ({"audit.source": "dreams"}, "source", "nodes"),
    ],
)
def test_a_receiver_that_could_not_work_is_refused(changes: dict[str, Any], path: str, told: str) -> None:
    raw = copy.deepcopy(raw_stack("prod"))
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = raw
        for section in sections:
            place = place[section]
        place[last] = value
    with pytest.raises(SettingsError) as refused:
        stack_plan("prod", {key: value for key, value in raw.items() if value is not None})
    (line,) = [
        line for line in str(refused.value).splitlines() if f"Pulumi.prod.yaml: audit.{path}: " in line
    ]
    assert told in line


def test_a_pool_of_a_cloud_that_has_a_fixed_size_can_have_a_trail() -> None:
    plan = trail("prod", prod())
    assert [argument.partition("=")[0] for argument in plan.inputs] == ["--model"]


def test_publishers_add_to_the_stacks_own_bucket_by_a_service_account_of_their_own() -> None:
    plan = stack_plan("prod", prod(publish=PUBLISH))
    graph, _ = graph_of(plan, "prod")
    items = {(item.kind, item.name): item.inputs for item in graph}
    association = items["PodIdentityAssociation", "cluster-audit-publisher-association"]
    assert (association["namespace"], association["serviceAccount"]) == (AGENTS_NAMESPACE, PUBLISHER)
    (policy,) = [
        item.inputs["policy"] for item in graph if item.kind == "RolePolicy" and PUBLISHER in item.name
    ]
    statements = json.loads(policy)["Statement"]
    (write,) = [one for one in statements if one["Sid"] == "WriteAudit"]
    assert write["Resource"] == "arn:aws:s3:::autoglm-prod-audit-111122223333/trail/*"
    assert {action for one in statements for action in as_list(one["Action"])} == {
        *("s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey")
    }
    account = items["ServiceAccount", "audit-publisher"]
    assert account["automountServiceAccountToken"] is False

    def pod(job: str) -> Any:
        return items["CronJob", job]["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert pod("audit-publish-0")["serviceAccountName"] == PUBLISHER
    assert pod("audit-seal-0")["serviceAccountName"] != PUBLISHER
    egress = items["NetworkPolicy", "audit-publisher"]["spec"]["egress"]
    reached = {peer["ipBlock"]["cidr"] for rule in egress for peer in rule["to"] if "ipBlock" in peer}
    assert reached == {"10.40.0.0/16", *(network for network, _ in identity_endpoints(plan))}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def identity_endpoints(plan: PlatformPlan) -> tuple[tuple[str, int], ...]:
    store = plan.cluster.object_storage
    assert store is not None
    return store.identity_endpoints


def test_publishers_on_google_cloud_are_a_principal_that_may_add() -> None:
    raw = copy.deepcopy(raw_stack("staging"))
    pool = raw["cluster"]["nodePools"][0]
    pool |= {"minNodes": 1, "maxNodes": 1}
    raw["images"]["references"]["audit"] = f"registry.example.com/autoglm/audit@sha256:{'0' * 64}"
    raw["audit"] = {
        "nodeSelector": {"autoglm-platform/node-pool": pool["name"]},
        "tolerations": [
            {"key": taint.key, "value": taint.value, "effect": taint.effect}
            for taint in shape("staging", pool["name"]).taints
        ],
        "apiServerLog": None,
        "signing": {"kind": "secret", "secretName": "audit-signing", "publicKeys": [PEM]},
        "publish": {"uri": f"gs://{buckets('staging').audit.name}/trail", "egressCidrs": ["10.40.0.0/16"]},
    }
    graph, _ = graph_of(stack_plan("staging", raw), "staging")
    writers = [
        item.inputs["member"]
        for item in graph
        if item.kind == "BucketIAMMember" and item.inputs["role"] == WRITER_ROLE
    ]
    assert [member for member in writers if member.endswith(f"/ns/{AGENTS_NAMESPACE}/sa/{PUBLISHER}")]


def shape(stack: str, pool: str) -> NodePoolShape:
    found = stack_plan(stack).cluster.pool(pool)
    assert found is not None
    return found


def buckets(stack: str) -> BucketsPlan:
    found = stack_plan(stack).buckets
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"apiServerLog": "/var/log/kubernetes/audit"}, "audit.apiServerLog"),
        ({"collectors": 2}, "audit.collectors"),
        ({"tolerations": []}, "audit.tolerations"),
        ({"publish": {**PUBLISH, "uri": "s3://of-somebody-else/trail"}}, "audit.publish.credentialsSecret"),
        ({"publish": {**PUBLISH, "uri": "s3://autoglm-prod-audit-111122223333"}}, "audit.publish.uri"),
        ({"nodeSelector": {"autoglm-platform/node-pool": "h100"}, "collectors": 1}, "audit.nodeSelector"),
    ],
)
def test_a_trail_that_would_miss_records_is_refused(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError) as refused:
        stack_plan("prod", prod(**changes))
    assert f"Pulumi.prod.yaml: {path}: " in str(refused.value)
