"""Encryption keys of a cluster, one for each purpose: whoever may use one cannot use the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.accounts import AwsAccount
from components.common.outputs import known_after
from components.eks.arns import account_of, arn, role_arn
from components.eks.documents import Statement, policy_document
from components.eks.roles import Roles
from components.eks.settings import EksCluster

DELETION_WINDOW_DAYS: Final = 30
"""Longest time in which a deletion can be taken back (KMS ScheduleKeyDeletion)."""
ADMINISTRATION: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
"""Everything around a key, and nothing with it."""
USE: Final = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What it takes to encrypt and decrypt data, directly or in envelopes."""
_THIS_KEY: Final = ("*",)
"""In a key policy, all resources are the one key that it belongs to."""
_AUTO_SCALING: Final = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
"""Launches nodes, and so encrypts their volumes. Exists once Auto Scaling has been used in the account."""


def key_policy(account: AwsAccount, administrators: Sequence[str], *uses: Statement) -> str:
    """Policy of a key: the account owns it, administrators manage it, and nobody else but `uses` has it.

    Raises ValueError without administrators.
    """
    if not administrators:
        raise ValueError("a key needs an administrator; without one, it could be neither changed nor deleted")
    owner = {"AWS": (account.root_arn,)}
    return policy_document(
        Statement("Owner", ("kms:*",), _THIS_KEY, principals=owner),
        Statement("Administrators", ADMINISTRATION, _THIS_KEY, principals={"AWS": tuple(administrators)}),
        *uses,
    )


def secrets_key_policy(settings: EksCluster, cluster_role: str) -> str:
    """For Kubernetes secrets: the control plane, by a grant that whoever makes the cluster gives it."""
    return key_policy(
        account_of(settings),
        settings.key_administrators,
        Statement(
            "ControlPlane",
            ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"),
            _THIS_KEY,
            principals={"AWS": (cluster_role,)},
        ),
        # EKS does not support kms:GrantIsForAWSResource here (EKS user guide, KMS key for secrets).
        Statement(
            "GrantToControlPlane",
            ("kms:CreateGrant",),
            _THIS_KEY,
            principals={"AWS": tuple(settings.key_administrators)},
        ),
    )


def logs_key_policy(settings: EksCluster, log_groups: Sequence[str]) -> str:
    """For log groups: CloudWatch Logs, for these groups only."""
    account = account_of(settings)
    groups = [arn(account, "logs", f"log-group:{group}") for group in log_groups]
    return key_policy(
        account,
        settings.key_administrators,
        Statement(
            "CloudWatchLogs",
            USE,
            _THIS_KEY,
            {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": groups}},
            {"Service": (f"logs.{account.region}.{account.dns_suffix}",)},
        ),
    )


def volumes_key_policy(settings: EksCluster, driver_role: str) -> str:
    """For volumes: Auto Scaling for those of nodes, the EBS CSI driver for those of pods."""
    account = account_of(settings)
    users = {"AWS": (role_arn(account, _AUTO_SCALING), driver_role)}
    return key_policy(
        account,
        settings.key_administrators,
        Statement("Volumes", USE, _THIS_KEY, principals=users),
        Statement(
            "GrantToEc2",
            ("kms:CreateGrant",),
            _THIS_KEY,
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            users,
        ),
    )


def files_key_policy(settings: EksCluster) -> str:
    """For the file system: Amazon EFS, by a grant that whoever makes the file system gives it."""
    account = account_of(settings)
    return key_policy(
        account,
        settings.key_administrators,
        Statement(
            "FileSystem",
            ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"),
            _THIS_KEY,
            {"StringEquals": {"kms:ViaService": f"elasticfilesystem.{account.region}.{account.dns_suffix}"}},
            {"AWS": tuple(settings.key_administrators)},
        ),
    )


def volumes_alias(settings: EksCluster) -> str:
    """Alias of the key for volumes, by which storage classes name it."""
    return f"alias/{settings.name}-volumes"


@dataclass(frozen=True)
class EncryptionKeysArgs:
    """Inputs of EncryptionKeys."""

    cluster: EksCluster
    roles: Roles
    """KMS refuses policies that name roles which are not there yet."""
    log_groups: Sequence[str]
    """Names of the groups that are encrypted."""
    protect: bool


class EncryptionKeys(pulumi.ComponentResource):
    """Keys for secrets, logs, volumes and files, rotated every year."""

    secrets: pulumi.Output[str]
    logs: pulumi.Output[str]
    volumes: pulumi.Output[str]
    volumes_alias_arn: pulumi.Output[str]
    """Known in a preview."""
    files: pulumi.Output[str]

    def __init__(
        self, name: str, args: EncryptionKeysArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:eks:EncryptionKeys", name, None, opts)
        settings = args.cluster
        self._name, self._args = name, args
        roles = args.roles
        policy = secrets_key_policy(settings, roles.names.arn("cluster"))
        self.secrets, _ = self._key("secrets", "Kubernetes secrets", policy)
        self.logs, _ = self._key("logs", "Logs", logs_key_policy(settings, args.log_groups))
        policy = volumes_key_policy(settings, roles.names.arn("ebs-csi"))
        self.volumes, alias = self._key("volumes", "Volumes of nodes and pods", policy)
        self.volumes_alias_arn = known_after(arn(account_of(settings), "kms", volumes_alias(settings)), alias)
        self.files, _ = self._key("files", "Shared file system", files_key_policy(settings))
        self.register_outputs({})

    def _key(self, purpose: str, description: str, policy: str) -> tuple[pulumi.Output[str], aws.kms.Alias]:
        cluster, protect = self._args.cluster.name, self._args.protect
        key = aws.kms.Key(
            f"{self._name}-{purpose}",
            description=f"{description} of cluster {cluster}",
            policy=policy,
            enable_key_rotation=True,
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=protect,
                retain_on_delete=protect,
                depends_on=[self._args.roles],
            ),
        )
        alias = aws.kms.Alias(
            f"{self._name}-{purpose}-alias",
            name=f"alias/{cluster}-{purpose}",
            target_key_id=key.key_id,
            # Storage classes name keys by it: whoever takes on a name that is free decides what encrypts.
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
        )
        return key.arn, alias
