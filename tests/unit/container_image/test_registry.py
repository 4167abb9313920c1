"""What the repositories of images register."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_gcp as gcp
import pytest

from components.container_image.registry import (
    ArtifactRegistry,
    ArtifactRegistryArgs,
    EcrRepositories,
    EcrRepositoriesArgs,
)
from components.container_image.settings import RegistryRepositories
from tests.harness import sdk_types
from tests.unit.container_image.test_plan import ACCOUNT, PROJECT
from tests.unit.graph import Registration, record

SETTINGS = RegistryRepositories()
ADMINISTRATOR = "arn:aws:iam::111122223333:role/platform-deploy"
NODES = "nodes@example-project.iam.gserviceaccount.com"


def ecr(*, protect: bool = True) -> tuple[list[Registration], Any]:
    def program() -> pulumi.Output[str]:
        args = EcrRepositoriesArgs(SETTINGS, ACCOUNT, [ADMINISTRATOR], protect)
        provider = aws.Provider("aws", region=ACCOUNT.region)
        return EcrRepositories("images", args, pulumi.ResourceOptions(providers=[provider])).registry

    return record(program, preview=True, configured=False)


def artifact_registry(*, protect: bool = True) -> tuple[list[Registration], Any]:
    def program() -> pulumi.Output[str]:
        args = ArtifactRegistryArgs(SETTINGS, PROJECT, ["group:security@example.com"], [NODES], protect)
        provider = gcp.Provider("gcp", project=PROJECT.project)
        return ArtifactRegistry("images", args, pulumi.ResourceOptions(providers=[provider])).registry

    return record(program, preview=True, configured=False)


def of(graph: list[Registration], kind: str) -> list[Registration]:
    return [item for item in graph if item.kind == kind]


@pytest.mark.parametrize("registered", [ecr, artifact_registry])
def test_inputs_are_what_the_provider_takes(registered: Any) -> None:
    graph, _ = registered()
    assert [str(finding) for item in graph for finding in sdk_types.findings(item)] == []


def test_repositories_on_ecr_cannot_be_overwritten_and_are_scanned_and_encrypted() -> None:
    graph, registry = ecr()
    repositories = of(graph, "Repository")
    assert [item.inputs["name"] for item in repositories] == ["autoglm/vllm", "autoglm/weights"]
    for item in repositories:
        assert item.inputs["imageTagMutability"] == "IMMUTABLE"
        assert item.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert item.inputs["encryptionConfigurations"][0]["encryptionType"] == "KMS"
        assert "images" in item.depends_on
    (key,) = of(graph, "Key")
    owner, administrators = json.loads(key.inputs["policy"])["Statement"]
    assert owner["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert administrators["Principal"] == {"AWS": ADMINISTRATOR}
    assert registry == "111122223333.dkr.ecr.eu-central-1.amazonaws.com"


def test_ecr_deletes_only_what_no_tag_points_to() -> None:
    for item in of(ecr()[0], "LifecyclePolicy"):
        (rule,) = json.loads(item.inputs["policy"])["rules"]
        assert rule["selection"]["tagStatus"] == "untagged"
        assert rule["selection"]["countNumber"] == 14


def test_a_repository_on_artifact_registry_cannot_be_overwritten_and_is_encrypted() -> None:
    graph, registry = artifact_registry()
    (repository,) = of(graph, "Repository")
    assert repository.inputs["dockerConfig"] == {"immutableTags": True}
    assert repository.inputs["kmsKeyName"] == (
        "projects/example-project/locations/europe-west4/keyRings/autoglm-images/cryptoKeys/images"
    )
    assert "images-registry" in repository.depends_on
    assert repository.inputs["cleanupPolicies"] == [
        {"id": "untagged", "action": "DELETE", "condition": {"tagState": "UNTAGGED", "olderThan": "1209600s"}}
    ]
    assert registry == "europe-west4-docker.pkg.dev"


def test_nodes_read_the_repository_and_nothing_else_is_granted_on_it() -> None:
    (grant,) = of(artifact_registry()[0], "RepositoryIamMember")
    assert grant.inputs["role"] == "roles/artifactregistry.reader"
    assert grant.inputs["member"] == f"serviceAccount:{NODES}"
    assert grant.inputs["repository"] == "autoglm"


def test_f55_protected_repositories_cannot_be_deleted() -> None:
    for registered, kinds in (
        (ecr, ("Repository", "Key", "Alias")),
        (artifact_registry, ("Repository", "CryptoKey", "KeyRing")),
    ):
        for protect in (True, False):
            graph, _ = registered(protect=protect)
            assert {item.protect for kind in kinds for item in of(graph, kind)} == {protect}
    assert {item.inputs["forceDelete"] for item in of(ecr()[0], "Repository")} == {False}
