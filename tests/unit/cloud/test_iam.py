"""Every policy document on AWS is one that AWS would accept, and grants what exists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import iam
from tests.harness.iam import Document
from tests.unit.cloud import graphs

AWS = tuple(name for name in graphs.PROGRAMS if name in ("aws-sample", "prod"))


def documents(name: str) -> list[Document]:
    return [document for item in graphs.graph(name) for document in iam.documents(item)]


@pytest.mark.parametrize("name", AWS)
def test_documents_follow_the_grammar(name: str) -> None:
    assert documents(name)
    assert [wrong for document in documents(name) if (wrong := iam.grammar_problem(document))] == []


@pytest.mark.parametrize("name", AWS)
def test_actions_exist(name: str) -> None:
    unknown = {
        f"{document.type} {document.resource}: {action}"
        for document in documents(name)
        for action in iam.unknown_actions(document)
    }
    assert sorted(unknown) == []


@pytest.mark.parametrize("name", AWS)
def test_attached_policies_exist(name: str) -> None:
    attached = {
        item.inputs["policyArn"]
        for item in graphs.graph(name)
        if item.type == "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    }
    assert attached
    assert attached - iam.managed_policies().keys() == set()


def statement(**changes: Any) -> Document:
    """A good identity policy with its statement changed; None takes a key away."""
    good = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"} | changes
    kept = {key: value for key, value in good.items() if value is not None}
    text = json.dumps({"Version": "2012-10-17", "Statement": [kept]})
    return Document("aws:iam/rolePolicy:RolePolicy", "read", "policy", text)


def test_a_good_document_has_no_problem() -> None:
    assert iam.grammar_problem(statement()) is None
    assert iam.unknown_actions(statement(Action=["s3:ListBucket", "kms:Describe*"])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "allow"},
        {"Action": None},
        {"Resource": "models/*"},
        {"Conditions": {}},
        {"Condition": {"StringEqual": {"aws:PrincipalTag/x": "y"}}},
    ],
    ids=str,
)
def test_a_wrong_statement_is_found_and_named(changes: dict[str, Any]) -> None:
    problem = iam.grammar_problem(statement(**changes))
    assert problem is not None
    assert problem.startswith("aws:iam/rolePolicy:RolePolicy read: policy: ")


@pytest.mark.parametrize("action", ["s3:GetObjects", "s3:ListObjectsV2s", "kmss:Decrypt", "eks:Describe_*"])
def test_an_action_that_does_not_exist_is_found(action: str) -> None:
    assert iam.unknown_actions(statement(Action=[action, "s3:GetObject"])) == [action]
