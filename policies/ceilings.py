"""Rules on how much a stack may ask for at once; the levels file of the stack states how much that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from policies.kubernetes import KubernetesObject, Pod, is_extended, pods_of
from policies.resource import Resource
from policies.rule import Option, Rule, Stack, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, integer, quantity, safe_key, show

_MAX_REPLICAS: Final = 100
_MAX_ACCELERATORS: Final = 512
_REPLICATED: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})


def _replica_fields(one: KubernetesObject) -> list[tuple[str, object]]:
    """Fields that say how many pods there can be."""
    spec = child(one.body, "spec")
    if one.builtin:
        if one.kind in _REPLICATED:
            return [(one.at("spec", "replicas"), child(spec, "replicas"))]
        if one.kind == "HorizontalPodAutoscaler":
            return [(one.at("spec", "maxReplicas"), child(spec, "maxReplicas"))]
        if one.kind in ("Job", "CronJob"):
            keys = (
                ("spec", "parallelism")
                if one.kind == "Job"
                else ("spec", "jobTemplate", "spec", "parallelism")
            )
            return [(one.at(*keys), child(one.body, *keys))]
        return []
    name = _CUSTOM_REPLICAS.get(one.kind)
    found = [(one.at("spec", name), child(spec, name))] if name else []
    if one.kind == "Elasticsearch":
        found += [
            (one.at("spec", f"nodeSets[{index}]", "count"), child(nodes, "count"))
            for index, nodes in elements(child(spec, "nodeSets"))
        ]
    if one.kind in ("Beat", "Agent"):
        found.append((one.at("spec", "deployment", "replicas"), child(spec, "deployment", "replicas")))
    return found


_CUSTOM_REPLICAS: Final[Mapping[str, str]] = {
    "ScaledObject": "maxReplicaCount",
    **dict.fromkeys(("Rollout", "LeaderWorkerSet", "DeploymentConfig", "CloneSet"), "replicas"),
    **dict.fromkeys(("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"), "replicas"),
    **dict.fromkeys(("Kibana", "Logstash", "ApmServer", "EnterpriseSearch", "ElasticMapsServer"), "count"),
}
"""Field of the specification that says how many pods there can be, by kind of custom resource."""


def _replicas(resource: Resource) -> list[str]:
    stated = integer(resource.option("workload-replicas", "maximum"))
    ceiling = stated if stated is not None else _MAX_REPLICAS
    return [
        f"{one} {path}: {show(value)}, more than {ceiling}"
        for one in resource.objects
        for path, value in _replica_fields(one)
        if (integer(value) or 0) > ceiling
    ]


def _count(one: KubernetesObject, pod: Pod) -> int | None:
    """How many such pods there are at once; None if that is not known."""
    value: object
    if one.builtin and one.kind in _REPLICATED:
        value = child(one.body, "spec", "replicas")
    elif one.builtin and one.kind in ("Job", "CronJob"):
        keys = ("spec",) if one.kind == "Job" else ("spec", "jobTemplate", "spec")
        value = child(one.body, *keys, "parallelism")
    elif not one.builtin:
        value = child(one.body, "spec", "replicas")
        if one.kind == "LeaderWorkerSet" and value is not UNKNOWN:
            groups = 1 if value is None else max(integer(value) or 0, 0)
            return groups * _group_size(one, pod)
    else:
        value = 1
    if value is UNKNOWN:
        return None
    return 1 if value is None else max(integer(value) or 0, 0)


def _group_size(one: KubernetesObject, pod: Pod) -> int:
    """Pods of a template in a group of a LeaderWorkerSet; the leader has its own, or the workers'."""
    template = child(one.body, "spec", "leaderWorkerTemplate")
    size = integer(child(template, "size")) or 1
    if "leaderTemplate" in pod.path:
        return 1
    return size if child(template, "leaderTemplate") is None else size - 1


def _pod_accelerators(pod: Pod) -> Counter[str]:
    """Accelerators of a pod: those of its main containers and sidecars together, or of its greediest init."""
    running: Counter[str] = Counter()
    initial: Counter[str] = Counter()
    for container in pod.containers():
        for name in container.extended_resources():
            amount = quantity(container.amount("limits", name)) or quantity(
                container.amount("requests", name)
            )
            number = int(amount or Decimal(0))
            if container.role == "init":
                initial[name] = max(initial[name], number)
            else:
                running[name] += number
    return running | initial


def _stack_accelerators(stack: Stack) -> list[StackViolation]:
    stated = stack.option("stack-accelerators", "maximum")
    default = _MAX_ACCELERATORS if stated is None else 0
    total: Counter[str] = Counter()
    last: dict[str, str] = {}
    for resource, one in stack.objects:
        if one.partial:
            continue
        for pod in pods_of(one):
            count = _count(one, pod)
            for name, number in _pod_accelerators(pod).items():
                total[name] += number * (count if count is not None else 1)
                last[name] = resource.urn
    found: list[StackViolation] = []
    for name, number in sorted(total.items()):
        ceiling = integer(child(stated, name))
        ceiling = default if ceiling is None else ceiling
        if number > ceiling:
            message = f"workloads of the stack take {number} {safe_key(name)}, more than {ceiling}"
            found.append(StackViolation(last[name], message))
    return found


def _quotas(resource: Resource) -> list[str]:
    """A quota on accelerators above the stack's ceiling."""
    stated = resource.option("stack-accelerators", "maximum")
    if stated is None:
        return []
    found: list[str] = []
    for quota in resource.of_kind("ResourceQuota"):
        hard = child(quota.body, "spec", "hard")
        for key in sorted(key for key in hard if isinstance(key, str)) if isinstance(hard, Mapping) else ():
            name = key.removeprefix("requests.").removeprefix("limits.")
            amount = quantity(child(hard, key))
            if name == key or not is_extended(name) or amount is None:
                continue
            ceiling = integer(child(stated, name)) or 0
            if amount > ceiling:
                found.append(
                    f"{quota} {quota.at('spec', 'hard')}[{safe_key(key)}]: is {amount}, more than {ceiling}"
                )
    return found


RULES: Final = (
    Rule(
        id="workload-replicas",
        severity="high",
        title="A workload has no more replicas than the stack's ceiling",
        rationale="A slip of the hand in one number takes every node, and pays for them.",
        fix="lower it, or raise `maximum` of this rule in the stack's levels file",
        judge=_replicas,
        options={
            "maximum": Option(
                {"type": "integer", "minimum": 1}, _MAX_REPLICAS, "Most replicas of a workload."
            )
        },
    ),
    Rule(
        id="quota-accelerators",
        severity="high",
        title="A quota on accelerators is within the stack's ceiling",
        rationale="A quota above what the stack may have is none.",
        fix="lower it, or raise `maximum` of stack-accelerators in the stack's levels file",
        judge=_quotas,
    ),
)
"""Rules on single resources."""

STACK_RULES: Final = (
    StackRule(
        id="stack-accelerators",
        severity="high",
        title="A stack takes no more accelerators than its ceiling",
        rationale="They are the dearest thing that a stack can ask for, and the scarcest.",
        fix="lower replicas or devices, or raise `maximum` in the stack's levels file",
        judge=_stack_accelerators,
        options={
            "maximum": Option(
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                {},
                "Most devices by resource name; what is not named is forbidden. Without it: "
                f"{_MAX_ACCELERATORS} of each.",
            )
        },
    ),
)
"""Rules on a stack as a whole."""
