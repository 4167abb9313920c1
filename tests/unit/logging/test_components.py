"""What logging registers."""

from __future__ import annotations

import json
import re
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.common.quantities import GIB, parse_bytes
from components.logging.component import LogShipper, LogShipperArgs, LogStore, LogStoreArgs
from tests.unit.graph import Registration, record
from tests.unit.logging.examples import FULL, IMAGES, TRAIL, plan


def build(**changes: Any) -> list[Registration]:
    planned = plan(**changes)

    def program() -> pulumi.Output[str]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        LogShipper("filebeat", LogShipperArgs("node-agents", "workload", planned), opts)
        return LogStore("logs", LogStoreArgs("logging", "workload", planned), opts).kibana

    registrations, url = record(program, preview=False)
    assert url == "https://logs-kb-http.logging.svc:5601"
    return registrations


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build(**FULL)


def specs(graph: list[Registration], kind: str) -> list[dict[str, Any]]:
    return [one.inputs["spec"] for one in graph if one.inputs.get("kind") == kind]


def test_all_parts_are_of_one_version_and_pinned_images(graph: list[Registration]) -> None:
    for kind, image in (("Elasticsearch", "elasticsearch"), ("Kibana", "kibana"), ("Beat", "filebeat")):
        (spec,) = specs(graph, kind)
        assert (spec["version"], spec["image"]) == ("9.4.3", IMAGES[image])
    assert {spec["image"] for spec in specs(graph, "Logstash")} == {IMAGES["logstash"]}


def test_nothing_turns_tls_off(graph: list[Registration]) -> None:
    text = json.dumps([one.inputs for one in graph], default=str)
    assert '"selfSignedCertificate"' not in text
    assert "ssl_enabled => false" not in text
    assert '"verification_mode": "none"' not in text
    (beat,) = specs(graph, "Beat")
    assert beat["config"]["output.logstash"]["ssl"]["verification_mode"] == "full"


def test_the_shipper_is_no_root_and_writes_only_its_own_folder(graph: list[Registration]) -> None:
    (beat,) = specs(graph, "Beat")
    pod = beat["daemonSet"]["podTemplate"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {m["name"] for m in container["volumeMounts"] if not m.get("readOnly")} == {"beat-data"}
    assert {v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v} == {
        "/var/lib/autoglm-platform/filebeat",
        "/var/log/pods",
        "/var/log/haproxy",
    }
    assert pod["automountServiceAccountToken"] is False


def test_the_buffer_is_on_disk_at_every_step(graph: list[Registration]) -> None:
    (beat,) = specs(graph, "Beat")
    assert beat["config"]["queue.disk"]["max_size"] > 0
    pods, files = sorted(specs(graph, "Logstash"), key=lambda spec: spec["count"], reverse=True)
    assert pods["config"]["queue.type"] == files["config"]["queue.type"] == "persisted"
    assert files["count"] == 1
    assert {one["pipeline.id"] for one in pods["pipelines"]} == {"pods", "dead-letters"}


def test_volumes_outlive_the_object_where_data_is_protected(graph: list[Registration]) -> None:
    assert specs(graph, "Elasticsearch")[0]["volumeClaimDeletePolicy"] == "DeleteOnScaledownOnly"
    unprotected = specs(build(protect=False), "Elasticsearch")[0]
    assert unprotected["volumeClaimDeletePolicy"] == "DeleteOnScaledownAndClusterDeletion"


def test_no_secret_is_registered(graph: list[Registration]) -> None:
    assert not [one for one in graph if one.type == "kubernetes:core/v1:Secret"]


def test_records_go_to_the_trail_behind_a_queue_of_their_own() -> None:
    with_trail, without = build(trail=TRAIL, **FULL), build(**FULL)
    (before,) = [spec for spec in specs(without, "Logstash") if len(spec["pipelines"]) == 2]
    (after,) = [spec for spec in specs(with_trail, "Logstash") if len(spec["pipelines"]) == 3]
    trail = after["pipelines"][2]
    assert (trail["pipeline.id"], trail["queue.max_bytes"], trail["pipeline.batch.size"]) == (
        "trail",
        GIB,
        125,
    )
    sizes = [
        parse_bytes(spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"])
        for spec in (before, after)
    ]
    assert sizes[1] - sizes[0] == GIB
    replicas = after["count"]
    assert plan(trail=TRAIL, **FULL).demand.storage - plan(**FULL).demand.storage == replicas * GIB
    container = after["podTemplate"]["spec"]["containers"][0]
    folders = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert folders == {"/etc/logstash/tls", "/etc/logstash/trail-tls"}
    for path in re.findall(r'"(/etc/logstash/[^"]*)/[^/"]*"', trail["config.string"]):
        assert path in folders


def test_other_documents_make_another_job(graph: list[Registration]) -> None:
    def job(registrations: list[Registration]) -> str:
        (found,) = [one for one in registrations if one.type == "kubernetes:batch/v1:Job"]
        return str(found.inputs["metadata"]["name"])

    assert job(graph) == job(build(**FULL))
    assert job(graph) != job(build(**{**FULL, "retention": {"deleteAfter": "20d"}}))


def test_each_part_is_isolated(graph: list[Registration]) -> None:
    found = [one.inputs for one in graph if one.type.endswith(":NetworkPolicy")]
    assert {one["metadata"]["name"] for one in found} == {
        "elasticsearch",
        "kibana",
        "logstash",
        "log-setup",
        "filebeat",
    }
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in found)


def test_network_policies_mean_the_pods_that_the_operator_makes(graph: list[Registration]) -> None:
    """They are labelled by ECK; the templates say so, too, and a plan shows who is reached."""
    templates = [
        *(node["podTemplate"] for spec in specs(graph, "Elasticsearch") for node in spec["nodeSets"]),
        *(spec["podTemplate"] for kind in ("Kibana", "Logstash") for spec in specs(graph, kind)),
        *(spec["daemonSet"]["podTemplate"] for spec in specs(graph, "Beat")),
    ]
    labelled = [template["metadata"]["labels"] for template in templates]
    policies = [one.inputs["spec"] for one in graph if one.type.endswith(":NetworkPolicy")]
    selectors = [policy["podSelector"]["matchLabels"] for policy in policies]
    for labels in labelled:
        assert [one for one in selectors if one.items() <= labels.items()], labels
    assert len(labelled) == 2 + 1 + 2 + 1
