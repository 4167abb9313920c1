"""Evidence from the summaries of previews and from the engine's analysis of recorded state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.catalogue import ALL
from policies.public_sets import SAME_AS
from stacks.summary.events import Preview, Violation
from stacks.summary.policies import verdict
from stacks.verdict.evidence import FORMAT_VERSION, Cost, Evidence, Exemption, Finding, Rule, Stack
from stacks.verdict.locations import rule_locations, settings_location


def evidence(stacks: Sequence[Stack], root: Path, commit: str) -> Evidence:
    """The document on these stacks, with the rules that judged them."""
    judged = {rule for stack in stacks for rule in stack.judged}
    places = rule_locations((root / "policies").glob("*.py"), root)
    rules = tuple(
        Rule(
            rule.id,
            rule.severity,
            rule.title,
            rule.rationale,
            rule.fix,
            tuple(f"{name}/{one}" for name, ids in SAME_AS.get(rule.id, {}).items() for one in ids),
            places.get(rule.id),
        )
        for rule in ALL
        if rule.id in judged
    )
    return Evidence(FORMAT_VERSION, commit, tuple(stacks), rules)


def from_summary(summary: Mapping[str, Any], root: Path) -> Stack:
    """A stack from the JSON form of its preview's summary (`stacks.summary`, version 1)."""
    if summary["version"] != 1:
        raise ValueError(f"summary of version {summary['version']}; this reads version 1")
    name = summary["stack"]
    policies = summary["verdict"]
    counts = dict.fromkeys(("create", "update", "replace", "delete"), 0)
    for kind in summary["changes"]["kinds"]:
        for operation, number in kind["counts"].items():
            counts[operation] += number
    cost = summary["cost"]
    violations = [one for rule in policies["rules"] for one in rule["violations"]]
    return Stack(
        name=name,
        kind="preview",
        complete=summary["complete"],
        errors=_telling(summary["errors"]),
        packs=_packs(policies["packs"]),
        judged=tuple(rule["rule"] for rule in policies["rules"]),
        changes=counts | {"unchanged": summary["changes"]["unchanged"]},
        disruptive=tuple(summary["changes"]["disruptive"]),
        cost=cost and _cost(cost),
        violations=_findings(name, violations, root),
        advisories=_findings(name, policies["advisories"], root),
        exemptions=tuple(
            Exemption(one["rule"], one["resource"], one["reason"], one["until"])
            for one in policies["exemptions"]
        ),
    )


def from_analysis(name: str, analysis: Preview, errors: Sequence[str], root: Path) -> Stack:
    """A stack from the engine's analysis of its recorded state.

    The analysis tells neither the version of the pack nor which rules passed: without an error all have run.
    """
    found = verdict(analysis)
    judged = () if errors else (*(rule.id for rule in ALL),)
    return Stack(
        name=name,
        kind="state",
        complete=not errors,
        errors=tuple(errors),
        packs=() if errors else ("policies",),
        judged=judged or tuple({one.rule for one in found.violations}),
        changes={},
        disruptive=(),
        cost=None,
        violations=_findings(name, map(_plain, found.violations), root),
        advisories=_findings(name, map(_plain, found.advisories), root),
        exemptions=tuple(Exemption(e.rule, e.resource, e.reason, e.until) for e in found.exemptions),
    )


def without_summary(name: str, error: str) -> Stack:
    """A stack whose preview ended before there was anything to summarize."""
    return Stack(name, "preview", False, (error,), (), (), {}, (), None, (), (), ())


def _cost(cost: Mapping[str, Any]) -> Cost:
    ceiling = None if cost["ceiling"] is None else str(cost["ceiling"])
    return Cost(cost["currency"], str(cost["low"]), str(cost["high"]), ceiling, tuple(cost["unpriced"]))


def _plain(found: Violation) -> dict[str, str]:
    return {name: getattr(found, name) for name in ("rule", "severity", "resource", "message")}


def _findings(stack: str, found: Iterable[Mapping[str, Any]], root: Path) -> tuple[Finding, ...]:
    file = root / f"Pulumi.{stack}.yaml"
    settings = file.read_text(encoding="utf-8") if file.is_file() else ""
    return tuple(
        Finding(
            one["rule"],
            one["severity"],
            one["resource"],
            one["message"],
            settings_location(stack, settings, one["resource"]),
        )
        for one in found
    )


def _packs(versions: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {version}".strip() for name, version in sorted(versions.items()))


def _telling(errors: Sequence[str]) -> tuple[str, ...]:
    """Without what the engine adds to every preview that did not end well."""
    return tuple(error for error in errors if error != "preview failed")
