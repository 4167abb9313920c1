"""The comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from stacks.verdict.evidence import Cost, Evidence, Finding, Stack

MARKER: Final = "<!-- autoglm-platform: verdict of the policy pack -->"
"""First line of the comment: by it, the next run finds the comment that it updates."""

MAX_CHARACTERS: Final = 60_000
"""GitHub takes 65,536 in a comment, GitLab a million."""

_MAX_TEXT: Final = 600
_MAX_ESCAPED: Final = 1_200
_ROWS: Final = (200, 100, 50, 20, 10, 5, 2, 1)
"""Rows of a table: the first number with which the comment is short enough is taken."""

_COUNTED: Final = ("create", "update", "replace", "delete", "unchanged")
_HEADLINES: Final = {
    "passed": "no policy refuses it",
    "refused": "refused by policy",
    "failed": "the preview failed",
}


def comment(evidence: Evidence, commit: str = "") -> str:
    """The comment in Markdown, marker first.

    :param commit: what was judged, if the caller knows it for sure; else what the evidence says.
    """
    for rows in _ROWS:
        text = "\n\n".join(_parts(evidence, commit or evidence.commit, rows)) + "\n"
        if len(text) <= MAX_CHARACTERS:
            return text
    raise AssertionError("a comment with one row a table is short: every text in it is cut")


def _parts(evidence: Evidence, commit: str, rows: int) -> Iterator[str]:
    yield from _head(evidence, commit)
    yield _overview(evidence.stacks[:20])
    for stack in evidence.stacks[:rows]:
        if stack.errors:
            yield f"### Errors of {_code(stack.name)}"
            yield "\n".join(f"- {_code(error)}" for error in stack.errors[:rows])
    yield from _violations(evidence, rows)
    for stack in evidence.stacks[:rows]:
        if stack.disruptive:
            names = ", ".join(map(_code, stack.disruptive[:rows]))
            more = _left_out(stack.disruptive, rows)
            yield f"**Taken away or made anew in {_code(stack.name)}:** {names}{more}"
    yield from _exemptions(evidence.stacks, rows)
    yield from _advisories(evidence.stacks, rows)


def _head(evidence: Evidence, commit: str) -> Iterator[str]:
    yield MARKER
    yield f"## Verdict: {_HEADLINES[evidence.outcome]}"
    names = " ".join(stack.name for stack in evidence.stacks[:20])
    of = f"Commit {_code(commit[:12])}. " if commit else ""
    command = _code(f'make verdict STACKS="{names}"')
    yield f"{of}The same on your machine, without an account: {command}"


def _overview(stacks: Sequence[Stack]) -> str:
    used = [one for one in _COUNTED if any(stack.changes.get(one) for stack in stacks)]
    heading = ["stack", "verdict", *used, "cost a month", "rules", "exemptions"]
    lines = [heading, ["---", "---", *("---:" for _ in used), "---:", "---:", "---:"]]
    for stack in stacks:
        lines.append(
            [
                _code(stack.name),
                _outcome(stack),
                *(str(stack.changes.get(one, 0)) for one in used),
                _cost(stack.cost),
                str(len(stack.judged)),
                str(len(stack.exemptions)),
            ]
        )
    return _table(lines)


def _outcome(stack: Stack) -> str:
    match stack.outcome:
        case "passed":
            return "passed"
        case "refused":
            number = len(stack.violations)
            return f"**refused**: {number} {'violation' if number == 1 else 'violations'}"
        case "failed":
            return "**failed**" if stack.errors else "**failed**: not judged to the end"


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "—"
    more = " and more" if cost.unpriced else ""
    ceiling = "" if cost.ceiling is None else f" of {_amount(cost.ceiling)}"
    return f"{_amount(cost.low)}–{_amount(cost.high)}{more}{ceiling} {_code(cost.currency)}"


def _amount(text: str) -> str:
    try:
        amount = Decimal(text[:30])
        return f"{amount:,.0f}" if amount.is_finite() and abs(amount) < 10**15 else "?"
    except InvalidOperation:
        return "?"


def _violations(evidence: Evidence, rows: int) -> Iterator[str]:
    found = [(stack, one) for stack in evidence.stacks for one in stack.violations]
    if not found:
        return
    yield "### Violations"
    broken = list(dict.fromkeys(one.rule for _, one in found))
    for identifier in broken[:rows]:
        rule = evidence.rule(identifier)
        of_rule = [(stack, one) for stack, one in found if one.rule == identifier]
        title = f": {_code(rule.title)}" if rule else ""
        parts = [f"**{_code(identifier)}** ({_code(of_rule[0][1].severity)}){title}"]
        if rule:
            parts.append(f"Fix: {_code(rule.fix)}")
        lines = [["stack", "resource", "what", "where"], ["---"] * 4]
        lines += [[_code(s.name), *_finding(one)] for s, one in of_rule[:rows]]
        yield "\n\n".join([*parts, _table(lines) + _left_out(of_rule, rows)])
    if len(broken) > rows:
        yield f"… and {len(broken) - rows} more rules, see the evidence."


def _finding(one: Finding) -> list[str]:
    where = f"{one.location.file}:{one.location.line}"
    return [_code(one.resource or "the stack"), _code(one.message), _code(where)]


def _exemptions(stacks: Sequence[Stack], rows: int) -> Iterator[str]:
    found = [(stack.name, one) for stack in stacks for one in stack.exemptions]
    if found:
        lines = [["stack", "rule", "until", "resource", "reason"], ["---"] * 5]
        lines += [
            [*map(_code, (name, one.rule, one.until, one.resource, one.reason))] for name, one in found[:rows]
        ]
        yield _folded(f"Exemptions in use: {len(found)}", _table(lines) + _left_out(found, rows))


def _advisories(stacks: Sequence[Stack], rows: int) -> Iterator[str]:
    found = [(stack.name, one) for stack in stacks for one in stack.advisories]
    if found:
        lines = [["stack", "rule", "resource", "what", "where"], ["---"] * 5]
        lines += [[_code(name), _code(one.rule), *_finding(one)] for name, one in found[:rows]]
        yield _folded(f"Advisories: {len(found)}", _table(lines) + _left_out(found, rows))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _left_out(items: Sequence[object], rows: int) -> str:
    return f"\n\n… and {len(items) - rows} more, see the evidence." if len(items) > rows else ""


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    """Text from a pull request's code: shown as it is, never markup, link, image or notification.

    Both forges leave names and numbers within `<code>` alone, so nobody is notified and nothing is linked.
    """
    plain = " ".join(text.split())
    if len(plain) > _MAX_TEXT:
        plain = f"{plain[:_MAX_TEXT]}…"
    escaped = re.sub(r"""[^A-Za-z0-9 ,;:.=()/+'"-]""", lambda found: f"&#{ord(found[0])};", plain)
    if len(escaped) > _MAX_ESCAPED:
        escaped = f"{escaped[:_MAX_ESCAPED].rpartition('&')[0]}…"
    # What would become a link by itself.
    escaped = escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
    return f"<code>{escaped}</code>"
