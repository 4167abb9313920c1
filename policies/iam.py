"""Policy documents of AWS, as text or as objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.resource import Resource
from policies.values import UNKNOWN, child, elements

IDENTITY_DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:iam/policy:Policy": ("policy",),
    "aws:iam/rolePolicy:RolePolicy": ("policy",),
    "aws:iam/userPolicy:UserPolicy": ("policy",),
    "aws:iam/groupPolicy:GroupPolicy": ("policy",),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("policy",),
}
"""What a principal may do: properties that hold such a document, by type."""
TRUST_DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {"aws:iam/role:Role": ("assumeRolePolicy",)}
"""Who may become a role."""
RESOURCE_DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:s3/bucketPolicy:BucketPolicy": ("policy",),
    "aws:s3/bucket:Bucket": ("policy",),
    "aws:kms/key:Key": ("policy",),
    "aws:kms/keyPolicy:KeyPolicy": ("policy",),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": ("policy",),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": ("policy",),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("policy",),
    "aws:sqs/queue:Queue": ("policy",),
    "aws:sqs/queuePolicy:QueuePolicy": ("policy",),
    "aws:sns/topicPolicy:TopicPolicy": ("policy",),
    "aws:secretsmanager/secretPolicy:SecretPolicy": ("policy",),
}
"""Who may use a resource."""
DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    **IDENTITY_DOCUMENTS,
    **TRUST_DOCUMENTS,
    **RESOURCE_DOCUMENTS,
}

_MAX_DOCUMENT: Final = 200_000
"""Characters; the largest that AWS takes has 20,480."""


@dataclass(frozen=True)
class Statement:
    """A statement of a policy document."""

    path: str
    body: Mapping[str, object]

    @property
    def allows(self) -> bool:
        """Its effect is Allow, or nothing that could be told from it."""
        return self.body.get("Effect") != "Deny"

    @property
    def conditional(self) -> bool:
        """It holds under a condition only."""
        return bool(self.body.get("Condition"))

    def texts(self, key: str) -> list[str]:
        """A value that is a text or a list of texts."""
        return list(_texts(self.body.get(key)))

    def principals(self) -> list[tuple[str, str]]:
        """Kind (`AWS`, `Service`, `Federated`, `*`) and value of each principal."""
        value = self.body.get("Principal")
        if isinstance(value, str):
            return [("*", value)]
        result: list[tuple[str, str]] = []
        if isinstance(value, Mapping):
            for kind, item in value.items():
                result += [(str(kind), text) for text in _texts(item)]
        return result


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for _, item in elements(value):
        if isinstance(item, str):
            yield item


def _parsed(value: object) -> object:
    """A document from a property; UNKNOWN, None, or something that is no mapping where it is none."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    if len(value) > _MAX_DOCUMENT:
        return []
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return []


def statements(value: object, path: str) -> tuple[list[Statement], list[str]]:
    """The statements of a document, and what keeps it from being read."""
    document = _parsed(value)
    if document is UNKNOWN or document is None:
        return [], []
    if not isinstance(document, Mapping):
        return [], [f"{path}: is no policy document"]
    stated = document.get("Statement")
    if stated is UNKNOWN:
        return [], []
    items = list(elements(stated)) if not isinstance(stated, Mapping) else [(0, stated)]
    if not items:
        return [], [f"{path}: has no statements"]
    found: list[str] = []
    result: list[Statement] = []
    for index, item in items:
        if isinstance(item, Mapping):
            result.append(Statement(f"{path}.Statement[{index}]", item))
        elif item is not UNKNOWN:
            found.append(f"{path}.Statement[{index}]: is not an object")
    return result, found


def documents(resource: Resource, kinds: Mapping[str, tuple[str, ...]]) -> tuple[list[Statement], list[str]]:
    """The statements in those properties of a resource that hold documents of some kind."""
    result: list[Statement] = []
    found: list[str] = []
    for name in kinds.get(resource.token, ()):
        stated, problems = statements(resource.value(name), name)
        result += stated
        found += problems
    if resource.token == "aws:iam/role:Role" and kinds is IDENTITY_DOCUMENTS:
        for path, item in resource.items("inlinePolicies"):
            stated, problems = statements(child(item, "policy"), f"{path}.policy")
            result += stated
            found += problems
    return result, found
