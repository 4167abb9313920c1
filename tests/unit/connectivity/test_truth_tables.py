"""The truth tables by which Kubernetes tests network plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.connectivity.cluster import Cluster, Extent
from tests.unit.connectivity.clusters import namespace, pod, policy

CASES = yaml.safe_load((Path(__file__).parent / "truth_tables.yaml").read_text(encoding="utf-8"))
NAMESPACES, NAMES = "xyz", "abc"
PORTS = [
    {"containerPort": port, "protocol": protocol, "name": f"serve-{port}-{protocol.lower()}"}
    for port in (80, 81)
    for protocol in ("TCP", "UDP", "SCTP")
]


def _cluster(case: Mapping[str, Any]) -> Cluster:
    used = sorted({where.partition("/")[0] for where in case["pods"]})
    pods = [
        pod(
            where,
            {"pod": name, **case.get("podLabels", {}).get(where, {})},
            f"10.0.{NAMESPACES.index(of) + 1}.{NAMES.index(name) + 1}",
            PORTS,
        )
        for where in case["pods"]
        for of, _, name in (where.partition("/"),)
    ]
    return Cluster(
        [
            *(namespace(name, case.get("namespaceLabels", {}).get(name)) for name in used),
            *pods,
            *(
                policy(one["namespace"], one["spec"], f"policy-{number}")
                for number, one in enumerate(case["policies"])
            ),
        ]
    )


def _matches(pattern: str, where: str) -> bool:
    return pattern == "*" or pattern == where or (pattern.endswith("/*") and where.startswith(pattern[:-1]))


def _expected(case: Mapping[str, Any], check: Mapping[str, Any]) -> dict[tuple[str, str], bool]:
    table = {(source, target): True for source in case["pods"] for target in case["pods"] if source != target}
    for sources, targets, allowed in check["expect"]:
        for source, target in table:
            if _matches(sources, source) and _matches(targets, target):
                table[source, target] = allowed
    return table


def test_every_title_is_used_once() -> None:
    titles = [case["title"] for case in CASES]
    assert len(titles) == len(set(titles)) > 40


@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_truth_table(case: Mapping[str, Any]) -> None:
    cluster = _cluster(case)
    for check in case["checks"]:
        protocol = check.get("protocol", "TCP")
        table = {
            (source, target): cluster.decide(
                cluster.find(source), cluster.find(target), check["port"], protocol
            ).extent
            for source in case["pods"]
            for target in case["pods"]
            if source != target
        }
        # Every address is known, so nothing is half allowed.
        assert Extent.SOME not in table.values()
        allowed = {pair: extent is Extent.ALL for pair, extent in table.items()}
        assert allowed == _expected(case, check), f"port {check['port']}/{protocol}"
