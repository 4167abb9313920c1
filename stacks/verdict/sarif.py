"""The findings as SARIF 2.1.0, the form that code scanning reads.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/ and GitHub's "SARIF support for code scanning". Exemptions
are not in it: code scanning would open an alert for each. They are in the comment and in the evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from stacks.verdict.evidence import Evidence, Finding, Location, Rule, Stack

TOOL: Final = "autoglm-platform policies"

_SCORES: Final = {"critical": "9.5", "high": "8.0", "medium": "5.5"}
"""`security-severity`: code scanning says critical above 9.0, high from 7.0, medium from 4.0."""


def as_sarif(evidence: Evidence) -> str:
    """One run for each stack, told apart by `automationDetails`."""
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [_run(evidence, stack) for stack in evidence.stacks],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _run(evidence: Evidence, stack: Stack) -> dict[str, Any]:
    reported = [
        *((one, "error") for one in stack.violations),
        *((one, "warning") for one in stack.advisories),
    ]
    rules = [rule for rule in evidence.rules if rule.id in stack.judged]
    index = {rule.id: number for number, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": TOOL,
                **({"version": stack.packs[0].rpartition(" ")[2]} if stack.packs else {}),
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "automationDetails": {
            "id": f"{stack.kind}/{stack.name}/",
            "description": {"text": f"The policy pack on the {stack.kind} of stack {stack.name}"},
        },
        "invocations": [
            {
                "executionSuccessful": stack.outcome != "failed",
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": error}} for error in stack.errors
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(evidence, stack, reported, index)),
    }
    if evidence.commit:
        run["properties"] = {"commit": evidence.commit}
    return run


def _results(
    evidence: Evidence, stack: Stack, reported: list[tuple[Finding, str]], index: dict[str, int]
) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = {}
    for found, level in reported:
        rule = evidence.rule(found.rule)
        of = found.resource or f"stack {stack.name}"
        identity = "\n".join((stack.name, found.rule, found.resource))
        # The message may change with the settings; the finding stays the same one.
        seen[identity] = seen.get(identity, 0) + 1
        digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
        result: dict[str, Any] = {
            "ruleId": found.rule,
            "level": level,
            "message": {"text": f"{of}: {found.message}"},
            "locations": [
                {
                    "physicalLocation": _physical(found.location),
                    "logicalLocations": [{"fullyQualifiedName": of, "kind": "resource"}],
                }
            ],
            "partialFingerprints": {"primaryLocationLineHash": f"{digest}:{seen[identity]}"},
        }
        if found.rule in index:
            result["ruleIndex"] = index[found.rule]
        if rule and rule.location:
            result["relatedLocations"] = [
                {
                    "id": 1,
                    "physicalLocation": _physical(rule.location),
                    "message": {"text": "the rule"},
                }
            ]
        yield result


def _physical(location: Location) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": location.file, "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": location.line},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    same = f"\n\nThe same control: {', '.join(rule.same_controls)}." if rule.same_controls else ""
    text = f"{rule.rationale}\n\nFix: {rule.fix}.{same}"
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.rationale},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "precision": "very-high",
            "problem.severity": "error",
            "security-severity": _SCORES.get(rule.severity, _SCORES["high"]),
            "tags": ["security", *rule.same_controls[:19]],
        },
    }
