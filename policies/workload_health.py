"""Rules on starting, stopping and staying available."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.kubernetes import Container, Pod, pods_of
from policies.resource import Resource, each_container, each_pod
from policies.rule import Rule, Stack, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, integer, quantity, show

Properties = Mapping[str, object]

_LONG_RUNNING: Final = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"}
)
_LONG_RUNNING_CUSTOM: Final = frozenset(
    {("apps.openshift.io", "DeploymentConfig"), ("argoproj.io", "Rollout"), ("apps.kruise.io", "CloneSet")}
)
"""Custom resources that are Deployments with another controller."""
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
        return (pod.owner.group, pod.owner.kind) in _LONG_RUNNING_CUSTOM
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
        number = quantity(most)
        if (number is not None and number <= 0) or _percentage(most) == 0:
            found.append(f"{budget} {budget.at('spec', 'maxUnavailable')}: is 0 or less")
        if (_percentage(least) or 0) >= 100:
            found.append(f"{budget} {budget.at('spec', 'minAvailable')}: is 100%")
    return found


def _spread(resource: Resource) -> list[str]:
    """Servers of which all replicas can be on one node."""
    found: list[str] = []
    for one in resource.of_kind("Deployment", "StatefulSet"):
        replicas = child(one.body, "spec", "replicas")
        if one.partial or replicas is None or (integer(replicas) or 0) < 2:
            continue
        for pod in pods_of(one):
            stated = (
                pod.spec.get("topologySpreadConstraints"),
                child(pod.spec, "affinity", "podAntiAffinity"),
            )
            if pod.serving and not any(stated):
                found.append(f"{pod}.topologySpreadConstraints: is missing")
    return found


def _scraped(stack: Stack) -> list[StackViolation]:
    """Servers whose metrics nobody collects."""
    selectors: list[Mapping[str, object]] = []
    servers: list[tuple[str, str, object]] = []
    for resource, one in stack.objects:
        if one.group == "monitoring.coreos.com" and one.kind in ("PodMonitor", "ServiceMonitor"):
            labels = child(one.body, "spec", "selector", "matchLabels")
            selectors += [labels] if isinstance(labels, Mapping) else [{}]
        elif not one.partial:
            servers += [(resource.urn, str(one), pod.metadata) for pod in pods_of(one) if pod.serving]
    found: list[StackViolation] = []
    for urn, name, metadata in servers:
        annotation = child(metadata, "annotations", "prometheus.io/scrape")
        labels = child(metadata, "labels")
        monitored = isinstance(labels, Mapping) and any(
            all(labels.get(key) in (value, UNKNOWN) for key, value in selector.items())
            for selector in selectors
        )
        if annotation not in ("true", UNKNOWN) and labels is not UNKNOWN and not monitored:
            found.append(StackViolation(urn, f"{name}: nothing collects its metrics"))
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
        id="workload-spread",
        severity="medium",
        title="Replicas of a server are on different nodes",
        rationale="Otherwise one node takes all of them with it.",
        fix="set topologySpreadConstraints or podAntiAffinity",
        judge=_spread,
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

STACK_RULES: Final = (
    StackRule(
        id="serving-scrape-target",
        severity="medium",
        title="The metrics of every server are collected",
        rationale="Nobody is paged about a server that nobody looks at.",
        fix='annotate its pods with prometheus.io/scrape: "true", or add a PodMonitor',
        judge=_scraped,
    ),
)
"""Rules on a stack as a whole."""
