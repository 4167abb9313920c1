"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from policies.kubernetes import KubernetesObject, objects
from policies.resource import Judge, Options, Resource
from policies.values import child

Severity = Literal["medium", "high", "critical"]
KUBERNETES: Final = "kubernetes:*"
"""Stands for every type of resource of the Kubernetes provider."""


@dataclass(frozen=True)
class Option:
    """Something about a rule that a stack's levels file states."""

    schema: Mapping[str, object]
    """JSON schema of the value."""
    default: object
    """What holds where the file says nothing: the strictest value."""
    meaning: str


@dataclass(frozen=True)
class Bound:
    """What an exemption from a rule has to list: it lets that pass and nothing else."""

    key: str
    """In the levels file, beside `resource`."""
    pattern: str
    """Regular expression of what may be listed."""
    meaning: str
    beyond: Callable[[Resource, frozenset[str]], list[str]]
    """What the rule still finds where the listed is allowed."""


@dataclass(frozen=True)
class Rule:
    """A demand on every single resource, judged before the resource is created or changed."""

    id: str
    severity: Severity
    title: str
    """The demand, as a sentence."""
    rationale: str
    """What goes wrong without it."""
    fix: str
    """What to write instead."""
    judge: Judge
    types: frozenset[str] | None = None
    """Types of resources that it judges, KUBERNETES for all of its; None: those alone."""
    options: Mapping[str, Option] = field(default_factory=dict)
    bound: Bound | None = None
    """None: an exemption lets everything pass that the rule finds."""

    def judges(self, token: str) -> bool:
        """Whether it has anything to say of a type of resource."""
        of_kubernetes = token.startswith("kubernetes:")
        if self.types is None:
            return of_kubernetes
        return token in self.types or (of_kubernetes and KUBERNETES in self.types)

    def violations(self, resource: Resource) -> list[str]:
        """One line per violation: path, what is there, fix."""
        return [f"{found}; {self.fix}" for found in self.judge(resource)]

    def beyond(self, resource: Resource, allowed: frozenset[str]) -> list[str]:
        """Violations that an exemption which lists `allowed` leaves."""
        if self.bound is None:
            return []
        return [f"{found}; {self.fix}" for found in self.bound.beyond(resource, allowed)]


@dataclass(frozen=True)
class StackResource:
    """A resource of the stack as it will be after the update."""

    token: str
    urn: str
    properties: Mapping[str, object]
    dependencies: frozenset[str] = frozenset()
    """URNs of the resources that it takes inputs from or waits for."""
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """URNs of the resources that an input is taken from, by input."""
    protect: bool = False


@dataclass(frozen=True)
class Stack:
    """All resources of a stack."""

    resources: Sequence[StackResource]
    options: Options = field(default_factory=dict)

    @cached_property
    def objects(self) -> tuple[tuple[StackResource, KubernetesObject], ...]:
        """The Kubernetes objects of the stack, each with the resource that it comes from."""
        return tuple(
            (resource, one)
            for resource in self.resources
            for one in objects(resource.token, resource.properties)
        )

    def option(self, rule: str, name: str) -> object:
        """An option of a rule as the levels file states it, else None."""
        return child(self.options.get(rule), name)


@dataclass(frozen=True)
class StackViolation:
    """What a stack rule has found, and on which resource."""

    urn: str
    message: str


StackJudge = Callable[[Stack], list[StackViolation]]
"""All resources of a stack to violations."""


@dataclass(frozen=True)
class StackRule:
    """A demand on resources together, judged at the end of the preview and again at the end of the update."""

    id: str
    severity: Severity
    title: str
    rationale: str
    fix: str
    judge: StackJudge
    options: Mapping[str, Option] = field(default_factory=dict)

    def violations(self, stack: Stack) -> list[StackViolation]:
        """Violations with their fix."""
        return [StackViolation(v.urn, f"{v.message}; {self.fix}") for v in self.judge(stack)]


AnyRule = Rule | StackRule
