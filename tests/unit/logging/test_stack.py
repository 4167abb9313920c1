"""Logging as a section of a stack: what the other sections tell it, and what it asks of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from components.common.names import AGENTS_NAMESPACE
from components.common.quantities import format_bytes
from components.logging import lifecycle
from components.logging.pipelines.access import GATEWAY, MODEL, AccessLog
from components.monitoring.durations import DAY
from stacks.observability.logs import AUDIT_CONTAINER
from stacks.plan import PlatformPlan
from stacks.problems import SettingsError
from tests.unit.changes import changed
from tests.unit.graph import Registration
from tests.unit.stack_graphs import STACKS, graph_of, raw_stack, stack_graph, stack_plan

ALONE: dict[str, Any] = {"monitoring": None, "audit": None}
"""Changes that leave of what observes a stack only its logs."""


def planned(changes: dict[str, Any] | None = None, stack: str = "onprem") -> PlatformPlan:
    return stack_plan(stack, changed(raw_stack(stack), changes))


def problems(changes: dict[str, Any], stack: str = "onprem") -> list[str]:
    with pytest.raises(SettingsError) as error:
        planned(changes, stack)
    return [f"{one.path}: {one.message}" for one in error.value.problems]


def named(graph: list[Registration], kind: str) -> dict[str, Any]:
    return {one.inputs["metadata"]["name"]: one.inputs for one in graph if one.kind == kind}


@cache
def alone() -> list[Registration]:
    return graph_of(planned(ALONE), "onprem")[0]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_for_clusters_of_ones_own_keeps_its_logs(stack: str) -> None:
    graph, _ = stack_graph(stack)
    assert {one.inputs["kind"] for one in graph if "k8s.elastic.co" in one.type} == {
        "Elasticsearch",
        "Kibana",
        "Logstash",
        "Beat",
    }


def test_without_the_section_there_is_nothing() -> None:
    changes = {**ALONE, "logging": None, "operators.eck": None}
    plan = planned(changes)
    graph, _ = graph_of(plan, "onprem")
    assert plan.observability.logging is None
    assert plan.observability.agents_demand.pods == 0
    assert not [one for one in graph if one.type.startswith("autoglm:logging")]


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        (
            {"operators.eck": None},
            "logging: present: needs operators.eck, which is missing; write kind: chart",
        ),
        (
            {"operators.certManager": None, "etcd": None},
            "logging.clusterIssuer: 'internal-ca': needs operators.certManager, which is missing",
        ),
        (
            {"images.references.log-setup": None},
            "logging: needs the images log-setup, which are not listed; add them",
        ),
        ({"logging.namespace": "autoglm"}, "logging.namespace: 'autoglm': is the tenant's; choose"),
        (
            {"logging.namespace": AGENTS_NAMESPACE},
            "logging.namespace: 'node-agents': is that of the nodes' agents; choose",
        ),
        ({"logging.namespace": "monitoring"}, "logging.namespace: 'monitoring': is monitoring's; choose"),
        (
            {"logging.elasticsearch.hot": {"nodes": 5, "volume": {"size": "1Ti"}}},
            "logging.elasticsearch.hot.nodes: 5: with 2 CPU and 8Gi each, 3 find a node of their own",
        ),
        (
            {"logging.elasticsearch.warm": {"nodes": 2, "volume": {"size": "1Ti"}}},
            "logging.elasticsearch.hot.nodes: 3: Elasticsearch wants 5 nodes, each on a machine of its own",
        ),
        (
            {"logging.elasticsearch.hot.memory": "64Gi"},
            "logging.elasticsearch.hot.nodes: 3: with 2 CPU and 64Gi each, 0 find a node of their own",
        ),
        (
            {"logging.elasticsearch.hot.volume.size": "190Gi", "audit": None, "monitoring.grafana": None},
            "",
        ),
        (
            {"logging.elasticsearch.hot.volume.size": "190Gi"},
            "logging.elasticsearch.hot.volume.size: 190Gi: 31 days of 7 nodes",
        ),
        (
            {"logging.retention.accessRecords": "199d"},
            "logging.retention.accessRecords: 199d: six months can be 184 days and need time to be looked "
            "at; write 200d or more",
        ),
        (
            {"logging.shipper.excludedNamespaces": ["autoglm"]},
            "logging.shipper.excludedNamespaces[0]: 'autoglm': records of who used the model are made of",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_does_not_fit_is_told_with_key_and_fix(changes: dict[str, Any], fix: str) -> None:
    if not fix:
        # Without the trail's records the same volume is large enough.
        assert planned(changes).observability.logging is not None
        return
    assert [one for one in problems(changes) if one.startswith(fix)], problems(changes)


def test_quotas_hold_the_store_and_filebeat_on_every_node() -> None:
    plan = planned(ALONE)
    logging = plan.observability.logging
    assert logging is not None
    quotas = {
        one.inputs["metadata"]["namespace"]: one.inputs["spec"]["hard"]
        for one in alone()
        if one.kind == "ResourceQuota"
    }
    store, agents = quotas["logging"], quotas[AGENTS_NAMESPACE]
    # Three of Elasticsearch, two of Kibana and one more while it is replaced, two of Logstash, the Job.
    assert store["pods"] == str(3 + 3 + 2 + 1)
    assert store["persistentvolumeclaims"] == str(3 + 2)
    assert store["requests.storage"] == "920Gi"
    assert agents["pods"] == str(plan.cluster.nodes) == "7"
    shipper = logging.settings.shipper
    assert agents["requests.memory"] == format_bytes(7 * shipper.memory)
    assert agents["requests.cpu"] == f"{7 * shipper.cpu}m"


def test_everything_waits_for_its_operators() -> None:
    # Children are registered after their component, and that after what it depends on.
    waiting = {one.name: one.depends_on for one in alone() if one.type.startswith("autoglm:logging")}
    assert set(waiting) == {"logs", "filebeat"}
    for name, after in waiting.items():
        assert {"eck-operator-chart", "cert-manager-chart"} <= set(after), name


def test_the_operator_looks_after_filebeat_too() -> None:
    plan = planned(ALONE)
    assert plan.operators is not None
    (eck,) = [one for one in plan.operators.installed if one.key == "eck"]
    assert eck.charts[0].values["managedNamespaces"] == ["logging", AGENTS_NAMESPACE]


def test_the_operators_namespace_reaches_elasticsearch() -> None:
    plan = planned({**ALONE, "operators.eck.namespace": "elastic"})
    assert plan.observability.logging is not None
    assert plan.observability.logging.operator_namespace == "elastic"


def test_the_audit_trail_says_what_stays_unmasked_and_for_how_long() -> None:
    with_trail = planned().observability.logging
    without = planned({"audit": None, "monitoring.grafana.logStore": None}).observability.logging
    assert with_trail is not None
    assert without is not None
    assert with_trail.shipper.unmasked == ((AGENTS_NAMESPACE, AUDIT_CONTAINER),)
    assert with_trail.audit_retention == 400 * DAY
    assert without.shipper.unmasked == ()
    # The name is that of the collectors' container.
    collectors = named(stack_graph("onprem")[0], "StatefulSet")
    (trail,) = [body for name, body in collectors.items() if "audit" in name]
    assert AUDIT_CONTAINER in [one["name"] for one in trail["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("stack", STACKS)
def test_who_used_the_model_is_kept_half_a_year_and_more_in_every_stack(stack: str) -> None:
    plan = planned(stack=stack)
    logging = plan.observability.logging
    assert logging is not None
    assert logging.audit_retention == 400 * DAY
    tenant = raw_stack(stack)["tenant"]["namespace"]
    gateway = [AccessLog(GATEWAY, "entry", "haproxy")] if stack == "onprem" else []
    assert list(logging.access) == [AccessLog(MODEL, tenant, "vllm"), *gateway]
    # The names are those of the registered pods.
    graph, _ = stack_graph(stack)
    containers = {
        (one.inputs["metadata"]["namespace"], container["name"])
        for one in graph
        if one.kind in ("Deployment", "DaemonSet")
        for container in one.inputs["spec"]["template"]["spec"]["containers"]
    }
    assert {(log.namespace, log.container) for log in logging.access} <= containers
    (pipelines,) = [one.inputs["spec"]["pipelines"] for one in graph if one.inputs.get("kind") == "Logstash"]
    pods = next(one["config.string"] for one in pipelines if one["pipeline.id"] == "pods")
    assert all(log.condition in pods for log in logging.access)
    # The index of records has a lifecycle of its own, and the logs theirs.
    phases = {
        call.path: call.body["policy"]["phases"] for call in lifecycle.calls(logging) if "policy" in call.body
    }
    assert phases["/_ilm/policy/autoglm-audit"]["delete"]["min_age"] == "400d"
    assert phases["/_ilm/policy/autoglm-logs"]["delete"]["min_age"] in ("7d", "30d")


def test_records_of_accesses_and_of_the_trail_are_kept_for_the_longer_of_the_two() -> None:
    def kept(**changes: Any) -> int:
        logging = planned({f"logging.{key}": value for key, value in changes.items()}).observability.logging
        assert logging is not None
        return logging.audit_retention // DAY

    assert kept() == 400
    assert kept(**{"retention.accessRecords": "200d"}) == 400
    assert kept(**{"retention.accessRecords": "410d"}) == 410


def test_room_is_planned_for_records_of_accesses() -> None:
    few = {"logging.elasticsearch.hot.volume.size": "190Gi", **ALONE}
    assert planned(few).observability.logging is not None
    (told,) = problems({**few, "logging.ingest.accessRecordsPerDay": 1_000_000})
    assert "430 days of audit records at 1.3 GiB a day" in told


def test_grafana_is_let_in_where_it_has_credentials() -> None:
    with_store = planned().observability
    assert with_store.logging is not None
    assert with_store.logging.reader_namespaces == ("monitoring",)
    without = planned({"monitoring.grafana.logStore": None}).observability
    assert without.logging is not None
    assert without.logging.reader_namespaces == ()


def test_claims_of_a_node_find_a_local_volume_of_their_size() -> None:
    """A claim takes the smallest volume that is large enough: without one of its size, somebody else's."""
    cluster = raw_stack("onprem")["cluster"]["storage"]["volumes"]
    sizes = {(one["node"], one["size"]) for one in cluster}
    wanted = {
        claim["spec"]["resources"]["requests"]["storage"]
        for body in (
            *(node for one in named(alone(), "Elasticsearch").values() for node in one["spec"]["nodeSets"]),
            *(one["spec"] for one in named(alone(), "Logstash").values()),
        )
        for claim in body["volumeClaimTemplates"]
    }
    assert wanted == {"300Gi", "10Gi"}
    assert {(node, size) for node in ("node-1", "node-2", "node-3") for size in wanted} <= sizes


def test_filebeat_is_taken_off_what_a_node_has_for_other_pods() -> None:
    bare = planned({**ALONE, "logging": None, "operators.eck": None})
    with_logs = planned(ALONE)
    logging = with_logs.observability.logging
    assert logging is not None
    for before, after in zip(bare.cluster.pools, with_logs.cluster.pools, strict=True):
        assert before.allocatable["cpu"] - after.allocatable["cpu"] == logging.settings.shipper.cpu
        assert before.allocatable["memory"] - after.allocatable["memory"] == logging.settings.shipper.memory
        assert before.allocatable["pods"] - after.allocatable["pods"] == 1
