"""AWS policy documents against what AWS itself has published.

Sources: the managed policies that moto records from AWS, the operations in botocore's service models, and
moto's model of IAM's own grammar checks. No complete list of actions can be had offline: an action is known
if a managed policy names it or an operation of its service has its name.
"""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import botocore.loaders
from moto.iam import policy_validation
from moto.iam.aws_managed_policies import aws_managed_policies_data

from tests.unit.graph import Registration

TRUST: Final = "assumeRolePolicy"
DOCUMENTED: Final = frozenset({"s3:bypassgovernanceretention"})
"""Actions that neither source names, from the service authorization reference."""
IDENTITY_POLICIES: Final = frozenset({"aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"})


@dataclass(frozen=True)
class Document:
    """A policy document among the inputs of a resource."""

    type: str
    resource: str
    key: str
    text: str

    @property
    def statements(self) -> list[Mapping[str, Any]]:
        """Its statements; a single one may be written without a list."""
        found = json.loads(self.text)["Statement"]
        return found if isinstance(found, list) else [found]

    @property
    def actions(self) -> list[str]:
        """All actions that it names, wildcards as they are."""
        named: list[str] = []
        for statement in self.statements:
            for key in ("Action", "NotAction"):
                value = statement.get(key, [])
                named += [value] if isinstance(value, str) else value
        return named


def documents(registration: Registration) -> Iterator[Document]:
    """Policy documents whose text is known in a preview."""
    for key, value in registration.inputs.items():
        if not isinstance(value, str) or not value.lstrip().startswith("{"):
            continue
        try:
            parsed = json.loads(value)
        except ValueError:
            continue
        if isinstance(parsed, dict) and "Statement" in parsed:
            yield Document(registration.type, registration.name, key, value)


def grammar_problem(document: Document) -> str | None:
    """What IAM would say to the document; None for policies of resources, whose grammar is each service's."""
    validator: policy_validation.BaseIAMPolicyValidator
    if document.key == TRUST:
        validator = policy_validation.IAMTrustPolicyDocumentValidator(document.text)
    elif document.type in IDENTITY_POLICIES:
        validator = policy_validation.IAMPolicyDocumentValidator(document.text)
    else:
        return None
    try:
        validator.validate()
    except Exception as error:  # each of moto's errors is a class of its own
        return f"{document.type} {document.resource}: {document.key}: {error}"
    return None


def unknown_actions(document: Document) -> list[str]:
    """Actions, or patterns of actions, that nothing published by AWS has."""
    return [action for action in document.actions if not is_known(action)]


@functools.cache
def is_known(action: str) -> bool:
    """Whether an action, or at least one that a pattern such as `kms:Describe*` stands for, is AWS's."""
    if action == "*" or action.lower() in DOCUMENTED:
        return True
    service, _, name = action.lower().partition(":")
    known = known_actions().get(service, frozenset()) | _operations(service)
    return any(fnmatch.fnmatchcase(one, name) for one in known)


@functools.cache
def managed_policies() -> Mapping[str, Mapping[str, Any]]:
    """AWS managed policies by ARN."""
    recorded: Mapping[str, Mapping[str, Any]] = json.loads(aws_managed_policies_data)
    return {f"arn:aws:iam::aws:policy{one['Path']}{name}": one for name, one in recorded.items()}


@functools.cache
def known_actions() -> Mapping[str, frozenset[str]]:
    """Actions that managed policies name, in lower case, by service prefix."""
    found: dict[str, set[str]] = {}
    for policy in managed_policies().values():
        statements = policy["Document"]["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            actions = statement.get("Action", [])
            for action in [actions] if isinstance(actions, str) else actions:
                service, _, name = action.lower().partition(":")
                if "*" not in name and "?" not in name:
                    found.setdefault(service, set()).add(name)
    return {service: frozenset(names) for service, names in found.items()}


@functools.cache
def _operations(service: str) -> frozenset[str]:
    loader = botocore.loaders.Loader()
    if service not in loader.list_available_services("service-2"):
        return frozenset()
    return frozenset(name.lower() for name in loader.load_service_model(service, "service-2")["operations"])
