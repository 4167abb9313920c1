"""Repositories for the stack's images in the cloud's own registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ecr
from pulumi_aws import kms as aws_kms
from pulumi_gcp import artifactregistry
from pulumi_gcp import kms as gcp_kms

from components.common.accounts import AwsAccount, GcpProject
from components.common.names import label_value
from components.common.outputs import known_after
from components.container_image.settings import RegistryRepositories
from components.eks.keys import key_policy

_ROTATION: Final = f"{90 * 86400}s"
"""CIS Google Cloud Platform Foundation Benchmark 1.10."""


@dataclass(frozen=True)
class EcrRepositoriesArgs:
    """Inputs of EcrRepositories."""

    settings: RegistryRepositories
    account: AwsAccount
    key_administrators: Sequence[str]
    """ARNs of roles that manage the key, and cannot decrypt with it."""
    protect: bool = False
    """Refuse to delete repositories: their digests are pinned, and a rebuilt image may have another."""


class EcrRepositories(pulumi.ComponentResource):
    """Repositories on Amazon ECR: tags that cannot be moved, scanned on push, encrypted with a key of their
    own.

    They have no policy: who pulls and pushes is decided by IAM in the account alone.
    """

    registry: pulumi.Output[str]
    """Host name of the registry, for dependents only once all repositories are there."""

    def __init__(
        self, name: str, args: EcrRepositoriesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:container_image:EcrRepositories", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect)
        key = aws_kms.Key(
            name,
            description=f"Container images of {args.settings.namespace}",
            policy=key_policy(args.account, args.key_administrators),
            enable_key_rotation=True,
            deletion_window_in_days=30 if args.protect else 7,
            opts=kept,
        )
        aws_kms.Alias(
            name, name=f"alias/{args.settings.namespace}-images", target_key_id=key.key_id, opts=kept
        )
        made: list[pulumi.Resource] = []
        for repository in args.settings.names:
            full_name = f"{args.settings.namespace}/{repository}"
            resource = ecr.Repository(
                f"{name}-{repository}",
                name=full_name,
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                encryption_configurations=[
                    ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=key.arn)
                ],
                force_delete=not args.protect,
                opts=kept,
            )
            made += [
                resource,
                ecr.LifecyclePolicy(
                    f"{name}-{repository}",
                    repository=known_after(full_name, resource),
                    policy=untagged_policy(args.settings.untagged_days),
                    opts=child,
                ),
            ]
        self.registry = known_after(args.account.ecr_host, *made)
        self.register_outputs({"registry": self.registry})


def untagged_policy(days: int) -> str:
    """Lifecycle policy of ECR that deletes only what no tag points to any more."""
    rule = {
        "rulePriority": 1,
        "description": "untagged",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": days,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]}, separators=(",", ":"))


@dataclass(frozen=True)
class ArtifactRegistryArgs:
    """Inputs of an ArtifactRegistry."""

    settings: RegistryRepositories
    project: GcpProject
    key_administrators: Sequence[str]
    """IAM members that manage the key, and cannot decrypt with it."""
    readers: Sequence[pulumi.Input[str]] = ()
    """E-mail addresses of the service accounts that pull: the nodes'."""
    protect: bool = False
    """Refuse to delete the repository: its digests are pinned, and a rebuilt image may have another."""


class ArtifactRegistry(pulumi.ComponentResource):
    """A Docker repository on Artifact Registry: tags that cannot be moved, encrypted with a key of its own.

    It scans as the project does (Artifact Analysis); images of all apps lie in it, under their names. The
    project's service agent for Artifact Registry has to exist (`gcloud beta services identity create
    --service=artifactregistry.googleapis.com`).
    """

    registry: pulumi.Output[str]
    """Host name of the registry, for dependents only once the repository is there."""

    def __init__(
        self, name: str, args: ArtifactRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:container_image:ArtifactRegistry", name, None, opts)
        project, settings = args.project, args.settings
        kept = pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect)
        key = self._key(name, args, kept, child)
        repository = artifactregistry.Repository(
            name,
            repository_id=settings.namespace,
            project=project.project,
            location=project.region,
            format="DOCKER",
            mode="STANDARD_REPOSITORY",
            description="Container images of the platform",
            docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            kms_key_name=key,
            vulnerability_scanning_config=artifactregistry.RepositoryVulnerabilityScanningConfigArgs(
                enablement_config="INHERITED"
            ),
            cleanup_policy_dry_run=False,
            cleanup_policies=[
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="untagged",
                    action="DELETE",
                    condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                        tag_state="UNTAGGED", older_than=f"{settings.untagged_days * 86400}s"
                    ),
                )
            ],
            opts=kept,
        )
        readers = [
            artifactregistry.RepositoryIamMember(
                f"{name}-reader-{index}",
                project=project.project,
                location=project.region,
                repository=known_after(settings.namespace, repository),
                role="roles/artifactregistry.reader",
                member=pulumi.Output.format("serviceAccount:{0}", reader),
                opts=child,
            )
            for index, reader in enumerate(args.readers)
        ]
        self.registry = known_after(project.artifact_registry_host, repository, *readers)
        self.register_outputs({"registry": self.registry})

    def _key(
        self,
        name: str,
        args: ArtifactRegistryArgs,
        kept: pulumi.ResourceOptions,
        child: pulumi.ResourceOptions,
    ) -> pulumi.Output[str]:
        """Id of the repository's own key, for dependents only once Artifact Registry may use it."""
        project = args.project
        ring_name = f"{args.settings.namespace}-images"
        ring_id = f"projects/{project.project}/locations/{project.region}/keyRings/{ring_name}"
        ring = gcp_kms.KeyRing(
            name, name=ring_name, project=project.project, location=project.region, opts=kept
        )
        key = gcp_kms.CryptoKey(
            name,
            name="images",
            key_ring=known_after(ring_id, ring),
            purpose="ENCRYPT_DECRYPT",
            rotation_period=_ROTATION,
            deletion_policy="PREVENT" if args.protect else "DELETE",
            opts=kept,
        )
        key_id = f"{ring_id}/cryptoKeys/images"
        used = gcp_kms.CryptoKeyIAMMember(
            f"{name}-registry",
            crypto_key_id=known_after(key_id, key),
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=f"serviceAccount:service-{project.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com",
            # Without it no image can be read.
            opts=kept,
        )
        for administrator in args.key_administrators:
            gcp_kms.CryptoKeyIAMMember(
                f"{name}-{label_value(administrator)}",
                crypto_key_id=known_after(key_id, key),
                role="roles/cloudkms.admin",
                member=administrator,
                opts=child,
            )
        return known_after(key_id, key, used)
