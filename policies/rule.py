"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["medium", "high", "critical"]
PublicSet = Literal["pss", "cis", "gatekeeper", "kyverno", "checkov"]

PUBLIC_SETS: Mapping[PublicSet, str] = {
    "pss": "Pod Security Standards",
    "cis": "CIS Kubernetes Benchmark",
    "gatekeeper": "gatekeeper-library",
    "kyverno": "Kyverno policies",
    "checkov": "Checkov",
}
"""The public sets of controls that rules are compared with, and their names."""

Judge = Callable[[str, Mapping[str, object]], list[str]]
"""Type token and properties of a resource to violations: where, and what is there."""


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
    same_as: Mapping[PublicSet, str] = field(default_factory=dict)
    """Ids of the same control in public sets."""

    def violations(self, token: str, properties: Mapping[str, object]) -> list[str]:
        """One line per violation: path, what is there, fix."""
        return [f"{found}; {self.fix}" for found in self.judge(token, properties)]


@dataclass(frozen=True)
class StackResource:
    """A resource of the stack as it will be after the update."""

    token: str
    urn: str
    properties: Mapping[str, object]
    dependencies: frozenset[str] = frozenset()
    """URNs of the resources that it takes inputs from or waits for."""


@dataclass(frozen=True)
class StackViolation:
    """What a stack rule has found, and on which resource."""

    urn: str
    message: str


StackJudge = Callable[[Sequence[StackResource]], list[StackViolation]]
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
    same_as: Mapping[PublicSet, str] = field(default_factory=dict)

    def violations(self, resources: Sequence[StackResource]) -> list[StackViolation]:
        """Violations with their fix."""
        return [StackViolation(v.urn, f"{v.message}; {self.fix}") for v in self.judge(resources)]
