"""What a rule is given: a resource, and the settings of the stack that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from policies.kubernetes import Container, KubernetesObject, Pod, objects, pod_specifications, pods_of
from policies.values import UNKNOWN, child, elements

Options = Mapping[str, Mapping[str, object]]
"""Options by rule and name, as a levels file states them."""


@dataclass(frozen=True)
class Resource:
    """A resource as it is about to be created or changed."""

    token: str
    """Its type, e.g. `aws:eks/cluster:Cluster`."""
    properties: Mapping[str, object]
    """Its inputs; UNKNOWN stands for what only an update will tell."""
    urn: str = ""
    protect: bool = False
    """Whether the resource option `protect` is set."""
    options: Options = field(default_factory=dict, compare=False)
    """Options of the rules, as the stack's levels file states them."""

    @cached_property
    def objects(self) -> tuple[KubernetesObject, ...]:
        """The Kubernetes objects in it."""
        return tuple(objects(self.token, self.properties))

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods and pod templates in it."""
        return tuple(pod for one in self.objects for pod in pods_of(one))

    @property
    def pod_specifications(self) -> Iterator[tuple[str, object]]:
        """What stands where specifications of pods belong, with its path; UNKNOWN hides a pod."""
        for one in self.objects:
            yield from pod_specifications(one)

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The containers of its pods: main, init (sidecars among them) and ephemeral."""
        return tuple(container for pod in self.pods for container in pod.containers())

    def of_kind(self, *kinds: str, group: str = "") -> Iterator[KubernetesObject]:
        """The objects of a built-in kind; for kinds of another API, with its `group`."""
        for one in self.objects:
            if one.kind in kinds and (one.group == group if group else one.builtin):
                yield one

    def value(self, *keys: str) -> object:
        """A property: None if it is missing, UNKNOWN if it or anything above it is unknown.

        A block that occurs at most once is an object in some versions of a provider's schema and a list of
        one in others: both are read.
        """
        value: object = self.properties
        for key in keys:
            if isinstance(value, list | tuple) and len(value) == 1:
                value = value[0]
            value = child(value, key)
        return value

    def items(self, *keys: str) -> Iterator[tuple[str, object]]:
        """The elements of a list with their paths; a single object counts as a list of one."""
        value, path = self.value(*keys), ".".join(keys)
        if isinstance(value, Mapping) or value is UNKNOWN:
            yield path, value
        for index, item in elements(value):
            yield f"{path}[{index}]", item

    def option(self, rule: str, name: str) -> object:
        """An option of a rule as the levels file states it, else None."""
        return self.options.get(rule, {}).get(name)


Judge = Callable[[Resource], list[str]]
"""A resource to violations: where, and what is there."""


def each_container(check: Callable[[Container], list[str]]) -> Judge:
    """A judge of every container from a function that says what is wrong in one: `.path: what is there`."""

    def judge(resource: Resource) -> list[str]:
        return [f"{container}{found}" for container in resource.containers for found in check(container)]

    return judge


def each_pod(check: Callable[[Pod], list[str]]) -> Judge:
    """A judge of every pod from a function that names what is wrong below its spec."""

    def judge(resource: Resource) -> list[str]:
        return [f"{pod}{found}" for pod in resource.pods for found in check(pod)]

    return judge


def by_type(checks: Mapping[str, Judge]) -> Judge:
    """A judge that passes a resource on by its type."""

    def judge(resource: Resource) -> list[str]:
        check = checks.get(resource.token)
        return check(resource) if check else []

    return judge
