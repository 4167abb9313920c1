"""The audit trail of a stack: whose logs are read, and on which nodes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.audit.plan import METRICS_PORT, NAME, AuditPlan
from components.common.names import AGENTS_NAMESPACE
from components.monitoring.stack import Scraped
from stacks.problems import SettingsError
from tests.unit.audit.test_plan import PEM
from tests.unit.stack_graphs import raw_stack, stack_graph, stack_plan


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
    monitoring = stack_plan("prod").observability.monitoring
    assert monitoring is not None
    assert "audit" not in {group.name for group in monitoring.groups}


def test_a_pool_of_a_cloud_that_has_a_fixed_size_can_have_a_trail() -> None:
    plan = trail("prod", prod())
    assert [argument.partition("=")[0] for argument in plan.inputs] == ["--model"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"apiServerLog": "/var/log/kubernetes/audit"}, "audit.apiServerLog"),
        ({"collectors": 2}, "audit.collectors"),
        ({"tolerations": []}, "audit.tolerations"),
        ({"nodeSelector": {"autoglm-platform/node-pool": "h100"}, "collectors": 1}, "audit.nodeSelector"),
    ],
)
def test_a_trail_that_would_miss_records_is_refused(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError) as refused:
        stack_plan("prod", prod(**changes))
    assert f"Pulumi.prod.yaml: {path}: " in str(refused.value)
