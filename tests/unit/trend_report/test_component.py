"""What the weekly report registers."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.trend_report.component import CONFIGURATION, TrendReport, TrendReportArgs
from components.trend_report.plan import NAME
from tests.unit.graph import Registration, record
from tests.unit.judgement import breaches
from tests.unit.trend_report.test_plan import IMAGES, plan

IMAGE = IMAGES[NAME]


def build(
    raw: dict[str, Any] | None = None, *, protect: bool = True, configured: bool = True
) -> list[Registration]:
    def program() -> pulumi.Output[str]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        args = TrendReportArgs("monitoring", "workload", plan(raw), IMAGE, protect)
        return TrendReport("trend-report", args, pulumi.ResourceOptions(providers=[provider])).claim

    registrations, claim = record(program, preview=not configured, configured=configured)
    assert claim == NAME
    return [item for item in registrations if item.type.startswith("kubernetes:")]


def of_kind(graph: list[Registration], kind: str) -> Registration:
    (found,) = (item for item in graph if item.inputs["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    assert {item.inputs["kind"] for item in graph} == {
        "NetworkPolicy",
        "ConfigMap",
        "PersistentVolumeClaim",
        "CronJob",
    }
    for item in graph:
        kubernetes_validate.validate(item.document, "1.36", strict=True)


def test_no_rule_of_the_policy_pack_is_broken(graph: list[Registration]) -> None:
    assert breaches(graph) == []


def test_a_preview_without_a_cluster_registers_the_same(graph: list[Registration]) -> None:
    assert [item.inputs for item in build(configured=False)] == [item.inputs for item in graph]


def test_it_reaches_prometheus_and_alertmanager_and_nothing_reaches_it(graph: list[Registration]) -> None:
    spec = of_kind(graph, "NetworkPolicy").document["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec.get("ingress", []) == []
    assert [
        (
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"],
            [port["port"] for port in rule["ports"]],
        )
        for rule in spec["egress"]
        for peer in rule["to"]
    ] == [("monitoring", "prometheus", [9090]), ("monitoring", "alertmanager", [9093])]


def test_a_report_that_tells_nobody_does_not_reach_alertmanager() -> None:
    spec = of_kind(build({"announce": False}), "NetworkPolicy").document["spec"]
    assert [port["port"] for rule in spec["egress"] for port in rule["ports"]] == [9090]


def test_the_schedule_is_in_the_zone_of_the_report() -> None:
    spec = of_kind(build({"schedule": "0 9 * * 1", "timeZone": "Asia/Shanghai"}), "CronJob").inputs["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "0 9 * * 1",
        "Asia/Shanghai",
        "Forbid",
    )


def test_reports_are_kept_where_data_is_protected() -> None:
    for protect in (True, False):
        claim = of_kind(build(protect=protect), "PersistentVolumeClaim")
        assert (claim.protect, claim.retain_on_delete) == (protect, protect)


def test_the_program_reads_the_file_that_is_mounted(graph: list[Registration]) -> None:
    pod = of_kind(graph, "CronJob").inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    (file,) = of_kind(graph, "ConfigMap").inputs["data"]
    assert f"--config={CONFIGURATION}/{file}" in container["args"]
    assert f"--out={mounts['reports']['mountPath']}" in container["args"]
    assert mounts["configuration"]["mountPath"] == CONFIGURATION


def test_the_quota_holds_what_is_asked_for(graph: list[Registration]) -> None:
    spec = of_kind(graph, "CronJob").inputs["spec"]
    demand = plan().demand
    limits = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "100m", "memory": "192Mi", "ephemeral-storage": "64Mi"}
    assert (demand.cpu, demand.memory // 2**20, demand.ephemeral_storage // 2**20) == (100, 192, 64)
    kept = spec["successfulJobsHistoryLimit"] + spec["failedJobsHistoryLimit"]
    assert demand.jobs == kept + 1
