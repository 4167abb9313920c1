"""Rules on starting, stopping and staying available."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.kubernetes import Container, Pod
from policies.resource import Resource, each_container, each_pod
from policies.rule import Rule
from policies.values import UNKNOWN, child, elements, integer, quantity, show

Properties = Mapping[str, object]

_LONG_RUNNING: Final = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"}
)
_DEFAULT_GRACE_SECONDS: Final = 30
_SLEEP: Final = re.compile(r"(?:^|[\s;&/])sleep\s+([0-9]{1,6})")


def _probes(container: Container) -> list[str]:
    pod = container.pod
    if container.role != "main" or not (pod.serving or _runs_for_long(pod)):
        return []
    wanted = ("readinessProbe", "livenessProbe", *(("startupProbe",) if pod.serving else ()))
    return [
        f".{name}: is missing"
        for name in wanted
        for probe in (container.body.get(name),)
        if probe is not UNKNOWN and not (isinstance(probe, Mapping) and probe)
    ]


def _runs_for_long(pod: Pod) -> bool:
    if not pod.owner.builtin:
        return False
    alone = pod.owner.kind == "Pod" and pod.spec.get("restartPolicy") in (None, "Always")
    return alone or pod.owner.kind in _LONG_RUNNING


def _pre_stop_seconds(container: Container) -> int:
    """How long the container's preStop hook sleeps, as far as that can be read."""
    hook = child(container.body, "lifecycle", "preStop")
    seconds = integer(child(hook, "sleep", "seconds")) or 0
    command = [item for _, item in elements(child(hook, "exec", "command")) if isinstance(item, str)]
    slept = [int(match) for match in _SLEEP.findall(" ".join(command))]
    return max([seconds, *slept])


def _grace(pod: Pod) -> list[str]:
    value = pod.spec.get("terminationGracePeriodSeconds")
    if value is UNKNOWN:
        return []
    grace = _DEFAULT_GRACE_SECONDS if value is None else integer(value)
    longest = max((_pre_stop_seconds(container) for container in pod.containers()), default=0)
    if grace is None or (longest and grace <= longest):
        return [f".terminationGracePeriodSeconds: {show(value)}, preStop takes {longest} s"]
    if pod.serving and value is None and not pod.owner.partial:
        return [".terminationGracePeriodSeconds: is missing"]
    return []


def _percentage(value: object) -> int | None:
    return int(value[:-1]) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}%", value) else None


def _budgets(resource: Resource) -> list[str]:
    found: list[str] = []
    for budget in resource.of_kind("PodDisruptionBudget"):
        spec = child(budget.body, "spec")
        least, most = child(spec, "minAvailable"), child(spec, "maxUnavailable")
        if spec is UNKNOWN or UNKNOWN in (least, most):
            continue
        if least is None and most is None and not budget.partial:
            found.append(f"{budget} {budget.at('spec')}: states neither maxUnavailable nor minAvailable")
        if most is not None and (quantity(most) == 0 or _percentage(most) == 0):
            found.append(f"{budget} {budget.at('spec', 'maxUnavailable')}: is 0")
        if (_percentage(least) or 0) >= 100:
            found.append(f"{budget} {budget.at('spec', 'minAvailable')}: is 100%")
    return found


RULES: Final = (
    Rule(
        id="workload-probes",
        severity="high",
        title="Long-running workloads are probed",
        rationale=(
            "Without readiness, requests go to a server that is still loading; without liveness, a dead "
            "one stays."
        ),
        fix="set readinessProbe and livenessProbe, and startupProbe where a model is loaded",
        judge=each_container(_probes),
    ),
    Rule(
        id="workload-termination-grace",
        severity="high",
        title="The grace period outlasts the preStop hook",
        rationale="Otherwise the server is killed while it still answers: every rollout loses requests.",
        fix="set terminationGracePeriodSeconds above preStop plus the time to drain",
        judge=each_pod(_grace),
    ),
    Rule(
        id="disruption-budget-drains",
        severity="high",
        title="A disruption budget lets nodes be drained",
        rationale="A budget of zero blocks every node upgrade until somebody deletes it in a hurry.",
        fix="set maxUnavailable to at least 1",
        judge=_budgets,
    ),
)
"""Rules on health."""
