"""IAM policy documents as JSON text. Same input, same text: state shows no change where nothing changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]
Principals = Mapping[str, Sequence[str]] | Literal["*"]
"""By kind (`AWS`, `Service`), or everybody, which only makes sense together with a condition."""

VERSION = "2012-10-17"
"""Version of IAM's policy language."""


@dataclass(frozen=True)
class Statement:
    """One statement that allows something, or denies it."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    """ARNs; none where the document belongs to the resource and its service takes none (trust policies)."""
    conditions: Conditions = field(default_factory=dict)
    principals: Principals | None = None
    """In documents that belong to a resource: who."""
    effect: Literal["Allow", "Deny"] = "Allow"

    def document(self) -> dict[str, object]:
        """As IAM reads it."""
        body: dict[str, object] = {"Sid": self.sid, "Effect": self.effect, "Action": sorted(self.actions)}
        if self.principals is not None:
            body["Principal"] = (
                "*"
                if self.principals == "*"
                else {kind: _one_or_many(names) for kind, names in self.principals.items()}
            )
        if self.resources:
            body["Resource"] = _one_or_many(self.resources)
        if self.conditions:
            body["Condition"] = {
                operator: {key: _one_or_many(values) for key, values in keys.items()}
                for operator, keys in self.conditions.items()
            }
        return body


def policy_document(*statements: Statement) -> str:
    """A document of these statements."""
    return json.dumps(
        {"Version": VERSION, "Statement": [statement.document() for statement in statements]}, indent=2
    )


def service_trust(service: str, account_id: str, source_arn: str | None = None) -> str:
    """Trust policy that lets an AWS service assume a role, on behalf of this account and resource only."""
    conditions: dict[str, Mapping[str, str]] = {}
    if source_arn is not None:
        # Without both, another customer's resource could make the service use this role (confused deputy).
        conditions = {
            "StringEquals": {"aws:SourceAccount": account_id},
            "ArnLike" if "*" in source_arn else "ArnEquals": {"aws:SourceArn": source_arn},
        }
    return policy_document(
        Statement(
            "AssumedByService", ("sts:AssumeRole",), principals={"Service": (service,)}, conditions=conditions
        )
    )


def _one_or_many(values: str | Sequence[str]) -> str | list[str]:
    if isinstance(values, str):
        return values
    return values[0] if len(values) == 1 else list(values)
