"""The engine's event log of a preview, read.

One JSON document a line; the fields are those of `sdk/go/common/apitype/events.go` in Pulumi's repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

OPERATIONS: Final = ("create", "update", "replace", "delete")
"""Changes that a reviewer counts."""

_SAME_AS: Final = {
    "import": "create",
    "create-replacement": None,
    "delete-replaced": None,
    "discard": "delete",
}
"""Steps of the engine under the name of the change that they are; None for the halves of a replacement."""

_COLOR: Final = re.compile(r"<\{%.*?%\}>")


@dataclass(frozen=True)
class Resource:
    """A resource as it will be after the update, or was before its deletion."""

    operation: str
    """One of OPERATIONS, or `same`."""
    type: str
    name: str
    inputs: Mapping[str, Any]
    urn: str


@dataclass(frozen=True)
class Violation:
    """What a policy reported."""

    rule: str
    mandatory: bool
    severity: str
    resource: str
    """Type and name; empty where the stack as a whole is meant."""
    message: str


@dataclass(frozen=True)
class Preview:
    """What the engine has told."""

    config: Mapping[str, str]
    """The stack's configuration as the engine read it, secrets left out."""
    resources: tuple[Resource, ...]
    packs: Mapping[str, str]
    """Policy packs that ran: version by name."""
    passed: Mapping[str, int]
    """By policy: how many resources it passed; 1 for one on the stack as a whole."""
    violations: tuple[Violation, ...]
    errors: tuple[str, ...]
    """First lines of the engine's own errors."""
    complete: bool
    """Whether the engine came to the end: without it, the rest is only as much as it had got to."""


def read(log: Iterable[str]) -> Preview:
    """The preview that the lines of an event log tell of; a log cut short gives what it holds."""
    config: dict[str, str] = {}
    resources: dict[str, Resource] = {}
    packs: dict[str, str] = {}
    passed: dict[str, int] = {}
    violations: dict[Violation, None] = {}
    errors: list[str] = []
    complete = False
    for event in _events(log):
        if prelude := event.get("preludeEvent"):
            config = {key: value for key, value in prelude["config"].items() if value != "[secret]"}
        elif step := event.get("resourcePreEvent"):
            resource = _resource(step["metadata"])
            if resource is not None:
                resources[resource.urn] = resource
        elif judged := event.get("policyAnalyzeSummaryEvent") or event.get("policyAnalyzeStackSummaryEvent"):
            for rule in judged.get("passed") or ():
                passed[rule] = passed.get(rule, 0) + 1
            for rule in judged.get("failed") or ():
                passed.setdefault(rule, 0)
        elif found := event.get("policyEvent"):
            violations[_violation(found)] = None
        elif diagnostic := event.get("diagnosticEvent"):
            if diagnostic["severity"] == "error" and not diagnostic.get("ephemeral"):
                errors.append(_plain(diagnostic["message"]))
        elif summary := event.get("summaryEvent"):
            complete = summary.get("result", "succeeded") == "succeeded"
            # `name|local|path` for a pack from a folder.
            packs = {name.split("|")[0]: tag for name, tag in (summary.get("PolicyPacks") or {}).items()}
    return Preview(
        config, tuple(resources.values()), packs, passed, tuple(violations), tuple(errors), complete
    )


def _events(log: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for line in log:
        try:
            event = json.loads(line)
        except ValueError:
            return  # the engine was killed while it wrote this line
        yield event


def _resource(metadata: Mapping[str, Any]) -> Resource | None:
    operation = _SAME_AS.get(metadata["op"], metadata["op"])
    if operation not in (*OPERATIONS, "same"):
        return None
    state = metadata.get("new") or metadata.get("old") or {}
    return Resource(
        operation, metadata["type"], _name(metadata["urn"]), state.get("inputs") or {}, metadata["urn"]
    )


def _violation(event: Mapping[str, Any]) -> Violation:
    urn = event.get("resourceUrn", "")
    parts = urn.split("::")
    kind = parts[2].rsplit("$", 1)[-1] if len(parts) > 3 else ""
    return Violation(
        rule=event["policyName"],
        mandatory=event["enforcementLevel"] == "mandatory",
        severity=event.get("severity", ""),
        resource="" if kind in ("", "pulumi:pulumi:Stack") else f"{kind_of(kind)} {_name(urn)}",
        message=_plain(_without_title(event["message"])),
    )


def kind_of(token: str) -> str:
    """A type token as the engine shows it: without the module that repeats the type's name."""
    package, module, name = token.split(":", 2)
    head, separator, tail = module.rpartition("/")
    return f"{package}:{head}:{name}" if separator and tail.lower() == name.lower() else token


def _without_title(message: str) -> str:
    """The finding alone: the engine puts the policy's own description on a line before it."""
    _, _, finding = message.strip().partition("\n")
    return finding or message


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _plain(text: str) -> str:
    """Text without the engine's colours, on one line."""
    return " ".join(_COLOR.sub("", text).split())
