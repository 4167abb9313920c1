"""Rules on a stack as a whole: what every namespace of it has to come with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from policies.kubernetes import KubernetesObject, is_positive, pods_of
from policies.rule import Stack, StackJudge, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, entries, integer, label, quantity, safe_key

_QUOTA_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "requests.cpu": ("requests.cpu", "cpu"),
    "limits.cpu": ("limits.cpu",),
    "requests.memory": ("requests.memory", "memory"),
    "limits.memory": ("limits.memory",),
    "pods": ("pods", "count/pods"),
}
"""What a quota has to bound, and the names under which it can."""


class _Contents:
    """The objects in a namespace, and objects that may be in it as far as is known."""

    def __init__(self) -> None:
        self._by_kind: dict[str, list[KubernetesObject]] = {}
        self._everything: list[KubernetesObject] = []

    def add(self, one: KubernetesObject) -> None:
        self._everything.append(one)
        if one.builtin and not one.partial:
            self._by_kind.setdefault(one.kind, []).append(one)

    def of_kind(self, kind: str) -> Sequence[KubernetesObject]:
        """The objects of a built-in kind, as a whole."""
        return self._by_kind.get(kind, ())

    @cached_property
    def accelerators(self) -> frozenset[str]:
        """Names of the accelerators that pods ask for."""
        return frozenset(
            name
            for one in self._everything
            for pod in pods_of(one)
            for container in pod.containers()
            for name in container.extended_resources()
        )


@dataclass(frozen=True)
class _Namespace:
    urn: str
    name: object
    contents: _Contents

    def __str__(self) -> str:
        return f"Namespace {label(self.name) or ''}".rstrip()

    def of_kind(self, kind: str) -> Sequence[KubernetesObject]:
        return self.contents.of_kind(kind)


def _namespaces(stack: Stack) -> Iterator[_Namespace]:
    """Every namespace with what lies in it; by the origin of its inputs where a name is not known yet."""
    found = [
        (resource.urn, one.name)
        for resource, one in stack.objects
        if one.kind == "Namespace" and one.builtin and not one.partial
    ]
    by_name: dict[str, _Contents] = {name: _Contents() for _, name in found if isinstance(name, str)}
    by_urn: dict[str, _Contents] = {urn: _Contents() for urn, _ in found}
    named = {urn: name for urn, name in found if isinstance(name, str)}
    for resource, one in stack.objects:
        stated = one.namespace
        if isinstance(stated, str) and stated in by_name:
            by_name[stated].add(one)
        for urn in resource.dependencies & by_urn.keys():
            if stated is UNKNOWN and urn in named:
                by_name[named[urn]].add(one)
            elif urn not in named and (stated is UNKNOWN or isinstance(stated, str)):
                by_urn[urn].add(one)
    for urn, name in found:
        yield _Namespace(urn, name, by_name[name] if isinstance(name, str) else by_urn[urn])


def _each_namespace(
    check: Callable[[_Namespace], list[str]],
) -> StackJudge:
    def judge(stack: Stack) -> list[StackViolation]:
        return [
            StackViolation(namespace.urn, f"{namespace}: {found}")
            for namespace in _namespaces(stack)
            for found in check(namespace)
        ]

    return judge


def _denies(policy: KubernetesObject, direction: str) -> bool:
    """Whether a policy selects all pods and denies a direction, as far as is known."""
    spec = child(policy.body, "spec")
    selector = child(spec, "podSelector")
    types, rules = child(spec, "policyTypes"), child(spec, direction)
    everything = (
        spec is UNKNOWN
        or selector is UNKNOWN
        or (
            isinstance(selector, Mapping)
            and not selector.get("matchLabels")
            and not selector.get("matchExpressions")
        )
    )
    stated = [item for _, item in elements(types)]
    applies = types is UNKNOWN or UNKNOWN in stated or direction.capitalize() in stated
    return everything and applies and (rules is UNKNOWN or not rules)


def _default_deny(namespace: _Namespace) -> list[str]:
    return [
        f"no NetworkPolicy denies {direction} to all of its pods"
        for direction in ("ingress", "egress")
        if not any(_denies(policy, direction) for policy in namespace.of_kind("NetworkPolicy"))
    ]


def _quota(namespace: _Namespace) -> list[str]:
    bounded: set[str] = set()
    for quota in namespace.of_kind("ResourceQuota"):
        hard = child(quota.body, "spec", "hard")
        if hard is UNKNOWN:
            return []
        # A quota with scopes bounds some of the pods only.
        if not child(quota.body, "spec", "scopes") and not child(quota.body, "spec", "scopeSelector"):
            bounded |= {
                key for key, value in entries(hard) if value is UNKNOWN or quantity(value) is not None
            }
    missing = [wanted for wanted, names in _QUOTA_KEYS.items() if not bounded.intersection(names)]
    missing += [
        f"requests.{safe_key(name)}"
        for name in sorted(namespace.contents.accelerators)
        if f"requests.{name}" not in bounded
    ]
    return [f"no ResourceQuota bounds {', '.join(missing)}"] if missing else []


def _limit_range(namespace: _Namespace) -> list[str]:
    stated: set[tuple[str, str]] = set()
    for limits in namespace.of_kind("LimitRange"):
        items = child(limits.body, "spec", "limits")
        if items is UNKNOWN:
            return []
        for _, item in elements(items):
            if item is UNKNOWN:
                return []
            if child(item, "type") is UNKNOWN:
                return []
            if child(item, "type") != "Container":
                continue
            for section in ("default", "max"):
                stated |= {
                    (section, resource)
                    for resource in ("cpu", "memory")
                    for value in (child(item, section, resource),)
                    if value is UNKNOWN or is_positive(value)
                }
    missing = [
        f"{section}.{resource}"
        for section in ("default", "max")
        for resource in ("cpu", "memory")
        if (section, resource) not in stated
    ]
    return [f"no LimitRange states {', '.join(missing)} of containers"] if missing else []


def _meets(labels: Mapping[str, object], wanted: object) -> bool:
    """Whether labels meet a non-empty matchLabels, as far as is known."""
    return (
        isinstance(wanted, Mapping)
        and bool(wanted)
        and all(value is UNKNOWN or labels.get(key) in (value, UNKNOWN) for key, value in wanted.items())
    )


def _blocking_budgets(namespace: _Namespace) -> list[str]:
    """Budgets that demand as many pods as there are."""
    found: list[str] = []
    for budget in namespace.of_kind("PodDisruptionBudget"):
        least = integer(child(budget.body, "spec", "minAvailable"))
        wanted = child(budget.body, "spec", "selector", "matchLabels")
        if least is None or not isinstance(wanted, Mapping) or not wanted:
            continue
        for kind in ("Deployment", "StatefulSet"):
            for workload in namespace.of_kind(kind):
                labels = child(workload.body, "spec", "template", "metadata", "labels")
                replicas = child(workload.body, "spec", "replicas")
                count = 1 if replicas is None else integer(replicas)
                selected = isinstance(labels, Mapping) and _meets(labels, wanted)
                if selected and count is not None and least >= count > 0:
                    found.append(
                        f"{budget} demands {least} of the {count} pods of {workload}, so none can be moved"
                    )
    return found


def _undisrupted(namespace: _Namespace) -> list[str]:
    """Serving workloads that no budget selects."""
    selectors = [
        child(budget.body, "spec", "selector", "matchLabels")
        for budget in namespace.of_kind("PodDisruptionBudget")
    ]
    if UNKNOWN in selectors:
        return []
    found: list[str] = []
    for kind in ("Deployment", "StatefulSet"):
        for workload in namespace.of_kind(kind):
            labels = child(workload.body, "spec", "template", "metadata", "labels")
            if not any(pod.serving for pod in pods_of(workload)) or not isinstance(labels, Mapping):
                continue
            if any(_meets(labels, wanted) for wanted in selectors):
                continue
            found.append(f"{workload} has no PodDisruptionBudget")
    return found


STACK_RULES: Final = (
    StackRule(
        id="namespace-default-deny",
        severity="critical",
        title="Every namespace denies all traffic that is not allowed",
        rationale=(
            "Without it every pod of the cluster reaches every pod of the tenant, and those reach everything."
        ),
        fix="add a NetworkPolicy default-deny: podSelector: {}, policyTypes: [Ingress, Egress]",
        judge=_each_namespace(_default_deny),
    ),
    StackRule(
        id="namespace-quota",
        severity="high",
        title="Every namespace has a quota on CPU, memory, pods and each accelerator in use",
        rationale="Without it one tenant can take the whole cluster, and with it every accelerator.",
        fix="add a ResourceQuota without scopes that bounds them",
        judge=_each_namespace(_quota),
    ),
    StackRule(
        id="namespace-limit-range",
        severity="high",
        title="Every namespace has default and maximum limits of a container",
        rationale="Pods that no Pulumi program has made are held to limits too.",
        fix="add a LimitRange of type Container with default and max for cpu and memory",
        judge=_each_namespace(_limit_range),
    ),
    StackRule(
        id="serving-disruption-budget",
        severity="high",
        title="Every server has a disruption budget",
        rationale="Without one, draining nodes takes all replicas at once.",
        fix="add a PodDisruptionBudget that selects its pods",
        judge=_each_namespace(_undisrupted),
    ),
    StackRule(
        id="disruption-budget-below-replicas",
        severity="high",
        title="A disruption budget demands fewer pods than there are",
        rationale="Otherwise no node that runs one of them can ever be drained.",
        fix="set maxUnavailable: 1, or minAvailable below the number of replicas",
        judge=_each_namespace(_blocking_budgets),
    ),
)
"""Rules on a stack."""
