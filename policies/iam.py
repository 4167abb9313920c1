"""Policy documents of AWS, as text or as objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.resource import Resource
from policies.values import UNKNOWN, child, elements, entries, is_wide

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

_NARROWING_OPERATORS: Final = frozenset(
    {
        "StringEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "ArnEquals",
        "ArnLike",
        "IpAddress",
    }
)
_NARROWING_FLAGS: Final = frozenset(
    {"elasticfilesystem:AccessedViaMountTarget", "kms:GrantIsForAWSResource", "aws:PrincipalIsAWSService"}
)
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
        """It holds for some only: a condition asks for particular values, not merely for encryption."""
        condition = self.body.get("Condition")
        if condition is UNKNOWN:
            return True
        return any(
            _narrows(operator, key, value)
            for operator, tests in entries(condition)
            for key, value in entries(tests)
        )

    def texts(self, key: str) -> list[str]:
        """A value that is a text or a list of texts."""
        return list(_texts(self.body.get(key)))

    def principals(self) -> list[tuple[str, str]]:
        """Kind (`AWS`, `Service`, `Federated`, `*`) and value of each principal."""
        value = self.body.get("Principal")
        result: list[tuple[str, str]] = [("*", text) for text in _texts(value)]
        if isinstance(value, Mapping):
            for kind, item in value.items():
                result += [(str(kind), text) for text in _texts(item)]
        return result


def _narrows(operator: str, key: str, value: object) -> bool:
    """Whether a test of a condition keeps somebody out; what is unknown may."""
    name = operator.rpartition(":")[2].removesuffix("IfExists")
    if name == "Bool":
        return key in _NARROWING_FLAGS
    if name not in _NARROWING_OPERATORS:
        return False
    values = [value] if isinstance(value, str) or value is UNKNOWN else [item for _, item in elements(value)]
    return bool(values) and all(item is UNKNOWN or _particular(name, item) for item in values)


def _particular(operator: str, value: object) -> bool:
    if operator == "IpAddress":
        return not is_wide(value)
    if not isinstance(value, str):
        return False
    if value.startswith("arn:"):
        return bool("".join(value.split(":", 4)[4:]).strip("*?:/"))
    return bool(value.strip("*?"))


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
