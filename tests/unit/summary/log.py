"""Event logs as the engine writes them, built from what a test is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stacks.summary import events
from stacks.summary.events import Preview


def urn(token: str, name: str) -> str:
    """A resource's URN, below a component."""
    return f"urn:pulumi:prod::autoglm-platform::autoglm:eks:EksPlatform${token}::{name}"


def step(token: str, name: str, operation: str = "create", **inputs: Any) -> dict[str, Any]:
    """A resource that the engine comes to."""
    state = {"type": token, "urn": urn(token, name), "inputs": inputs}
    old, new = (state, None) if operation == "delete" else (None, state)
    metadata = {"op": operation, "urn": urn(token, name), "type": token, "old": old, "new": new}
    return {"resourcePreEvent": {"metadata": metadata, "planning": True}}


def judged(*passed: str, failed: tuple[str, ...] = ()) -> dict[str, Any]:
    """A resource that the policy pack has judged."""
    return {"policyAnalyzeSummaryEvent": {"resourceUrn": "u", "passed": list(passed), "failed": list(failed)}}


def finding(rule: str, message: str, *, level: str = "mandatory", resource: str = "") -> dict[str, Any]:
    """What a policy reports."""
    return {
        "policyEvent": {
            "resourceUrn": resource,
            "message": message,
            "policyName": rule,
            "enforcementLevel": level,
            "severity": "high",
        }
    }


def prelude(config: Mapping[str, str]) -> dict[str, Any]:
    """The beginning."""
    return {"preludeEvent": {"config": dict(config)}}


def end(result: str = "succeeded") -> dict[str, Any]:
    """The end."""
    packs = {"autoglm-platform|local|/checkout/policies": "0.0.1"}
    return {"summaryEvent": {"result": result, "PolicyPacks": packs, "isPreview": True}}


def preview(*parts: Mapping[str, Any], ended: bool = True) -> Preview:
    """What the log of these events tells."""
    lines = [json.dumps({"sequence": number, **part}) for number, part in enumerate(parts)]
    return events.read([*lines, json.dumps(end())] if ended else lines)
