"""What the previews of several stacks found, as one document.

It travels from the job that runs a pull request's code to the job that may comment on it. The second trusts
nothing in it: the document is checked field by field when it is read, and escaped when it is shown.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

FORMAT_VERSION: Final = 2
"""Of the document; raised when a field is added, changes its meaning or goes away. 2: `cost.ceiling`."""

MAX_BYTES: Final = 4 * 2**20
"""A document of three stacks and all rules has about 0.2 MB."""

Outcome = Literal["passed", "refused", "failed"]


class EvidenceError(ValueError):
    """The document is not what this version writes; the message names the field."""


@dataclass(frozen=True)
class Location:
    """A line of the repository."""

    file: str
    """Relative to its root."""
    line: int
    """From 1."""


@dataclass(frozen=True)
class Rule:
    """A rule of the pack."""

    id: str
    severity: str
    title: str
    rationale: str
    fix: str
    same_controls: tuple[str, ...]
    """The same control in public sets: `cis-eks/4.2.1`."""
    location: Location | None
    """Where it is written."""


@dataclass(frozen=True)
class Finding:
    """What a rule found."""

    rule: str
    severity: str
    resource: str
    """Type and name; empty where the stack as a whole is meant."""
    message: str
    location: Location
    """The settings that it comes from, as near as can be told."""


@dataclass(frozen=True)
class Exemption:
    """A resource that a rule leaves out."""

    rule: str
    resource: str
    reason: str
    until: str


@dataclass(frozen=True)
class Cost:
    """Estimate for a month."""

    currency: str
    low: str
    high: str
    ceiling: str | None
    """What the stack may cost at most, by its settings (`costCeiling`)."""
    unpriced: tuple[str, ...]


@dataclass(frozen=True)
class Stack:
    """What was found in one stack."""

    name: str
    kind: Literal["preview", "state"]
    """A plan, or what is recorded of the last update."""
    complete: bool
    """Whether the engine came to the end without an error."""
    errors: tuple[str, ...]
    packs: tuple[str, ...]
    """Name and version of the policy packs that ran."""
    judged: tuple[str, ...]
    """Ids of the rules that ran."""
    changes: Mapping[str, int]
    """Resources by operation: create, update, replace, delete, unchanged."""
    disruptive: tuple[str, ...]
    """What is replaced or deleted."""
    cost: Cost | None
    violations: tuple[Finding, ...]
    advisories: tuple[Finding, ...]
    exemptions: tuple[Exemption, ...]

    @property
    def outcome(self) -> Outcome:
        """Passed only if the engine came to the end with a pack that judged, and nothing was found."""
        if self.violations:
            return "refused"
        return "passed" if self.complete and self.packs and self.judged else "failed"


@dataclass(frozen=True)
class Evidence:
    """What was found in all stacks."""

    version: int
    commit: str
    """Full hash; empty outside a pipeline."""
    stacks: tuple[Stack, ...]
    rules: tuple[Rule, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the stacks; no stack is no pass."""
        outcomes = {stack.outcome for stack in self.stacks} or {"failed"}
        ordered: tuple[Outcome, ...] = ("refused", "failed", "passed")
        return next(one for one in ordered if one in outcomes)

    def rule(self, identifier: str) -> Rule | None:
        """A rule by id."""
        return next((rule for rule in self.rules if rule.id == identifier), None)


def write(evidence: Evidence) -> str:
    """The document."""
    return json.dumps(dataclasses.asdict(evidence), indent=1, ensure_ascii=False) + "\n"


def read(text: str) -> Evidence:
    """The document, every field checked.

    :raises EvidenceError: it is too large, no JSON, of another version, or a field is missing, unknown or of
        another type.
    """
    if len(text.encode()) > MAX_BYTES:
        raise EvidenceError(f"the document has more than {MAX_BYTES} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"no JSON: {error}") from None
    if isinstance(document, dict) and document.get("version") != FORMAT_VERSION:
        raise EvidenceError(f"version: {document.get('version')!r}; this reads {FORMAT_VERSION}")
    return _record(Evidence, document, "document")


_Record = TypeVar("_Record")


def _record(kind: type[_Record], value: object, path: str) -> _Record:
    if not isinstance(value, dict):
        raise EvidenceError(f"{path}: no object")
    hints = typing.get_type_hints(kind)
    if wrong := sorted(map(str, set(value) ^ set(hints))):
        raise EvidenceError(f"{path}.{wrong[0][:60]}: missing or unknown")
    return kind(**{name: _value(hint, value[name], f"{path}.{name}") for name, hint in hints.items()})


def _value(hint: Any, value: object, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(arguments[0], value, path)
    if origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(_value(arguments[0], one, f"{path}[{index}]") for index, one in enumerate(value))
    elif origin is Mapping:
        if isinstance(value, dict):
            return {key: _value(arguments[1], one, f"{path}.{key[:60]}") for key, one in value.items()}
    elif dataclasses.is_dataclass(hint):
        return _record(typing.cast("type[Any]", hint), value, path)
    elif type(value) is hint:  # bool is no int here
        return value
    raise EvidenceError(f"{path}: {type(value).__name__} is not what belongs there")
