"""What IAM makes of a bucket policy: an explicit deny wins (IAM User Guide, "Policy evaluation logic")."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any


def denied(policy: str, action: str, resource: str, context: Mapping[str, str]) -> str | None:
    """Sid of the statement that denies a request; None if none does."""
    for statement in json.loads(policy)["Statement"]:
        if (
            statement["Effect"] == "Deny"
            and any(fnmatchcase(action, wanted) for wanted in _listed(statement["Action"]))
            and any(fnmatchcase(resource, wanted) for wanted in _listed(statement["Resource"]))
            and holds(statement.get("Condition", {}), context)
        ):
            return str(statement["Sid"])
    return None


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether a request meets a condition: every operator and key of it."""
    return all(
        _holds(operator, _listed(values), context.get(key))
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def _holds(operator: str, values: Sequence[str], found: str | None) -> bool:
    if operator == "Null":
        return (found is None) == (values == ["true"])
    if found is None:
        return False  # "If the key that you specify in a policy condition is not present in the request…"
    match operator:
        case "Bool" | "StringEquals" | "ForAnyValue:StringEquals" | "ArnEquals":
            return found in values
        case "StringLike":
            return any(fnmatchcase(found, value) for value in values)
        case "NumericLessThan":
            return any(float(found) < float(value) for value in values)
    raise AssertionError(f"{operator}: teach it to this module")


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
