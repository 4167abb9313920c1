"""The document between the job that runs a pull request's code and the one that may comment."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks.verdict import evidence as evidences
from stacks.verdict.evidence import Evidence, EvidenceError, Stack
from tests.unit.verdict.examples import ANY_EVIDENCE, PASSED, REFUSED, evidence
from toolchain import paths

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(ANY_EVIDENCE)
def test_what_is_written_is_read_again(found: Evidence) -> None:
    assert evidences.read(evidences.write(found)) == found


@pytest.mark.parametrize(
    ("stack", "outcome"),
    [
        (PASSED, "passed"),
        (REFUSED, "refused"),
        (dataclasses.replace(PASSED, complete=False), "failed"),
        (dataclasses.replace(PASSED, packs=()), "failed"),
        (dataclasses.replace(PASSED, judged=()), "failed"),
    ],
    ids=["passed", "refused", "engine failed", "no pack", "no rule"],
)
def test_only_a_complete_judgement_without_violation_passes(stack: Stack, outcome: str) -> None:
    assert stack.outcome == outcome
    assert evidence(PASSED, stack).outcome == outcome


def test_nothing_judged_is_no_pass() -> None:
    assert evidence().outcome == "failed"


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in _paths(inner, (*path, key)))]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_document_that_was_tampered_with_is_read_or_refused_but_never_breaks(data: st.DataObject) -> None:
    document = json.loads(evidences.write(evidence(REFUSED)))
    *parents, last = data.draw(st.sampled_from(_paths(document)[1:]))
    holder = document
    for key in parents:
        holder = holder[key]
    holder[last] = data.draw(_JSON)
    try:
        read = evidences.read(json.dumps(document))
    except EvidenceError:
        return
    assert evidences.read(evidences.write(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version": 1}',
        "[" * 100_000,
        f'{{"version": {evidences.FORMAT_VERSION}}}',
        "x" * (evidences.MAX_BYTES + 1),
    ],
    ids=["empty", "null", "list", "object", "other version", "deep", "fields missing", "large"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        evidences.read(text)


def test_a_refused_field_is_named() -> None:
    document = json.loads(evidences.write(evidence(PASSED)))
    document["stacks"][0]["complete"] = 1
    with pytest.raises(EvidenceError, match=r"document\.stacks\[0\]\.complete: int"):
        evidences.read(json.dumps(document))


def test_the_job_that_may_comment_needs_nothing_installed() -> None:
    # -S: no site-packages.
    command = [sys.executable, "-S", "-m", "stacks.verdict", "github", "--help"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
