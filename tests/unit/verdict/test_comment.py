"""What a reviewer reads, and what a hostile pull request cannot make of it."""

from __future__ import annotations

import dataclasses
import html
import re

import pytest
from hypothesis import given, settings

from stacks.verdict.comment import MARKER, MAX_CHARACTERS, comment
from stacks.verdict.evidence import Evidence
from tests.unit.verdict.examples import ANY_EVIDENCE, FINDING, PASSED, REFUSED, evidence


def _seen(text: str) -> str:
    return html.unescape(re.sub(r"</?code>", "", text))


def test_a_refused_change_is_explained_with_the_fix() -> None:
    text = comment(evidence(dataclasses.replace(PASSED, name="staging"), REFUSED))
    assert text.startswith(MARKER + "\n")
    seen = _seen(text)
    assert "## Verdict: refused by policy" in seen
    assert "| stack | verdict | create | cost a month | rules | exemptions |" in seen
    assert "| staging | passed | 180 | 5,789–54,747 of 60,000 USD | 1 | 1 |" in seen
    assert "| prod | **refused**: 1 violation | 180 |" in seen
    assert "**container-memory-limit** (high): Every container has a memory limit" in seen
    assert "Fix: set resources.limits.memory" in seen
    assert "kubernetes:apps/v1:Deployment autoglm-phone-9b" in seen
    assert "Pulumi.prod.yaml:101" in seen
    assert "| prod | pod-host-path | 2027-06-30 | DaemonSet plugin | the kubelet's socket |" in seen
    assert 'make verdict STACKS="staging prod"' in seen
    assert "Commit c0ffeec0ffee." in seen


def test_the_commit_that_the_forge_knows_counts() -> None:
    assert "f00df00df00d" in comment(evidence(PASSED), "f00d" * 10)


def test_a_failed_preview_tells_its_errors() -> None:
    failed = dataclasses.replace(PASSED, complete=False, errors=("Pulumi.prod.yaml: nodePools[1]: too many",))
    seen = _seen(comment(evidence(failed)))
    assert "## Verdict: the preview failed" in seen
    assert "- Pulumi.prod.yaml: nodePools[1]: too many" in seen


def test_what_is_replaced_is_named() -> None:
    disruptive = dataclasses.replace(PASSED, disruptive=("replace aws:eks:Cluster cluster",))
    assert "**Taken away or made anew in prod:** replace aws:eks:Cluster cluster" in _seen(
        comment(evidence(disruptive))
    )


HOSTILE = [
    "@everybody please look",
    "![x](https://example.com/beacon.png)",
    "<img src=https://example.com/x>",
    "</code><script>alert(1)</script>",
    "| a | b |\n| - | - |\n# Verdict: no policy refuses it",
    "fixes #1, see www.example.com and GH-1",
    "`code` **bold** [link](https://example.com) ~~gone~~ $x$",
    MARKER,
    "/close",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_pull_request_stays_text(text: str) -> None:
    finding = dataclasses.replace(FINDING, message=text, resource=text)
    stack = dataclasses.replace(REFUSED, name=text, violations=(finding,), errors=(text,), disruptive=(text,))
    shown = comment(evidence(stack)).removeprefix(MARKER)
    for code in re.findall(r"<code>(.*?)</code>", shown):
        assert not re.search(r"[<>@`*_\[\]|#!~$\\]|://|www\.", re.sub(r"&#\d+;", "", code)), code
    outside = re.sub(r"<code>.*?</code>", "", shown)
    assert "example.com" not in outside
    assert "everybody" not in outside
    assert MARKER not in shown
    assert " ".join(text.split()) in html.unescape(shown)


@settings(max_examples=50, deadline=None)
@given(ANY_EVIDENCE)
def test_any_evidence_can_be_shown(found: Evidence) -> None:
    text = comment(found)
    assert text.startswith(MARKER)
    assert len(text) <= MAX_CHARACTERS


def test_thousands_of_findings_fit_into_a_comment() -> None:
    findings = tuple(
        dataclasses.replace(FINDING, message=f"{number} {'|' * 2000}", rule=f"rule-{number % 60}")
        for number in range(5000)
    )
    text = comment(evidence(dataclasses.replace(REFUSED, violations=findings)))
    assert len(text) <= MAX_CHARACTERS
    assert "**refused**: 5000 violations" in text
    assert "see the evidence" in text.lower()
