"""The policy pack's verdict on a preview."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stacks.summary.events import Preview, Violation

_EXEMPTION_FORM: Final = re.compile(r"(?P<rule>[^:]+): (?P<reason>.*?)(?:; until (?P<until>\S+))?")

EXEMPTION: Final = "exemption"
"""Policy of the pack that reports exemptions: `<rule>: <reason>; until <date>`, or what is wrong with one."""


@dataclass(frozen=True)
class RuleVerdict:
    """What one rule found."""

    rule: str
    passed: int
    """Resources that it found nothing wrong with; 1 or 0 for a rule on the stack as a whole."""
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class Exemption:
    """A resource that a rule leaves out."""

    rule: str
    resource: str
    reason: str
    until: str


@dataclass(frozen=True)
class Verdict:
    """What the packs found."""

    packs: Mapping[str, str]
    """Version by name; empty if no pack ran."""
    rules: tuple[RuleVerdict, ...]
    """Those with violations first."""
    exemptions: tuple[Exemption, ...]
    advisories: tuple[Violation, ...]
    """Findings that do not block, among them rules that could not run."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Everything that blocks the update."""
        return tuple(found for rule in self.rules for found in rule.violations)


def verdict(preview: Preview) -> Verdict:
    """The verdict by rule."""
    blocking = [found for found in preview.violations if found.mandatory]
    others = [found for found in preview.violations if not found.mandatory]
    names = sorted({*preview.passed, *(found.rule for found in blocking)} - {EXEMPTION})
    rules = [RuleVerdict(name, preview.passed.get(name, 0), _of(blocking, name)) for name in names]
    return Verdict(
        packs=preview.packs,
        rules=tuple(sorted(rules, key=lambda one: (not one.violations, one.rule))),
        exemptions=tuple(_exemption(found) for found in _of(others, EXEMPTION)),
        advisories=tuple(found for found in others if found.rule != EXEMPTION),
    )


def _of(violations: Sequence[Violation], rule: str) -> tuple[Violation, ...]:
    return tuple(found for found in violations if found.rule == rule)


def _exemption(found: Violation) -> Exemption:
    stated = _EXEMPTION_FORM.fullmatch(found.message)
    if stated is None:
        return Exemption("", found.resource, found.message, "")
    return Exemption(stated["rule"], found.resource, stated["reason"], stated["until"] or "")
