"""The shared file system: Amazon EFS, where several nodes read the published weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.eks.arns import account_of, arn
from components.eks.documents import Statement, policy_document
from components.eks.settings import EksCluster

_ANYBODY = {"AWS": ("*",)}


def file_system_policy(settings: EksCluster) -> str:
    """Mounting over TLS, by a mount target and an access point: never the whole tree, nor as root.

    Mounts carry no identity; who reaches the mount targets is the security group's affair. Without
    `Resource`, a policy is about the file system that it belongs to.
    """
    access_points = arn(account_of(settings), "elasticfilesystem", "access-point/*")
    return policy_document(
        Statement(
            "MountByAccessPoint",
            ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"),
            conditions={
                "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
                "ArnLike": {"elasticfilesystem:AccessPointArn": access_points},
            },
            principals=_ANYBODY,
        ),
        Statement(
            "OnlyOverTls",
            (
                "elasticfilesystem:ClientMount",
                "elasticfilesystem:ClientRootAccess",
                "elasticfilesystem:ClientWrite",
            ),
            conditions={"Bool": {"aws:SecureTransport": "false"}},
            principals=_ANYBODY,
            effect="Deny",
        ),
    )


@dataclass(frozen=True)
class SharedFileSystemArgs:
    """Inputs of a SharedFileSystem."""

    cluster: EksCluster
    subnets: Mapping[str, pulumi.Input[str]]
    """Where the mount targets are, by zone."""
    security_group_id: pulumi.Input[str]
    key: pulumi.Input[str]
    """ARN of the key that encrypts it."""
    protect: bool


class SharedFileSystem(pulumi.ComponentResource):
    """Encrypted file system with a mount target in every zone, backed up daily.

    What guards the data is kept like the data: a forced destroy takes what is not protected first. Mount
    targets hold nothing, and one has to go with its zone.
    """

    file_system_id: pulumi.Output[str]
    """Id, once it can be mounted in every zone."""

    def __init__(
        self, name: str, args: SharedFileSystemArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:eks:SharedFileSystem", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect)
        settings = args.cluster
        file_system = aws.efs.FileSystem(
            name,
            encrypted=True,
            kms_key_id=args.key,
            performance_mode="generalPurpose",
            throughput_mode=settings.file_system.throughput_mode,
            tags={"Name": f"{settings.name}-shared"},
            opts=kept,
        )
        policy = aws.efs.FileSystemPolicy(
            f"{name}-policy",
            file_system_id=file_system.id,
            policy=file_system_policy(settings),
            opts=kept,
        )
        aws.efs.BackupPolicy(
            f"{name}-backup",
            file_system_id=file_system.id,
            backup_policy=aws.efs.BackupPolicyBackupPolicyArgs(
                status="ENABLED" if settings.file_system.backup else "DISABLED"
            ),
            opts=kept,
        )
        targets = [
            aws.efs.MountTarget(
                f"{name}-{zone}",
                file_system_id=file_system.id,
                subnet_id=subnet,
                security_groups=[args.security_group_id],
                opts=child,
            )
            for zone, subnet in args.subnets.items()
        ]
        self.file_system_id = pulumi.Output.all(
            file_system.id, policy.id, *[target.id for target in targets]
        ).apply(lambda ids: str(ids[0]))
        self.register_outputs({"fileSystemId": self.file_system_id})
