"""The S3Buckets component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import kms, s3

from components.common.accounts import AwsAccount
from components.common.outputs import known_after
from components.eks.keys import key_policy
from components.object_storage.access import key_alias
from components.object_storage.plan import BucketPlan, BucketsPlan, Storage
from components.object_storage.s3_policy import bucket_policy

PURPOSE_TAG: Final = "purpose"
"""Tag that says what a bucket or key is for: `models`, `audit`, `access-logs`."""
_STORAGE_CLASS: dict[Storage, str] = {"infrequent": "STANDARD_IA", "archive": "GLACIER_IR"}
_KEY_DELETION_DAYS = {True: 30, False: 7}
"""Longest and shortest wait that KMS knows, by whether the data is protected."""


@dataclass(frozen=True)
class S3BucketsArgs:
    """Inputs of S3Buckets."""

    plan: BucketsPlan
    account: AwsAccount
    """The provider must be one of this account and region."""
    key_administrators: tuple[str, ...]
    """ARNs of roles that manage the keys, and cannot decrypt with them."""


class S3Buckets(pulumi.ComponentResource):
    """Buckets for published models, for the audit trail, and for the record of who used the two.

    Each is versioned, private, owned by the account alone and reached over TLS only. Models and audit are
    encrypted with a key each. With protected data, the audit bucket's objects are locked, and everything is
    kept even where its deletion is forced: a bucket that outlives the stack keeps its policy and its lock.
    """

    models: pulumi.Output[str]
    """Name of the bucket of published models, for dependents only once it is ready."""
    audit: pulumi.Output[str]
    """Name of the audit bucket, likewise."""

    def __init__(self, name: str, args: S3BucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:object_storage:S3Buckets", name, None, opts)
        plan = args.plan
        ready = {
            bucket.purpose: self._bucket(f"{name}-{bucket.purpose}", args, bucket) for bucket in plan.all
        }
        for bucket in (plan.models, plan.audit):
            ready[bucket.purpose].append(
                s3.BucketLogging(
                    f"{name}-{bucket.purpose}",
                    bucket=known_after(bucket.name, ready[bucket.purpose][0]),
                    target_bucket=known_after(plan.access_logs.name, *ready[plan.access_logs.purpose]),
                    target_prefix=f"{bucket.purpose}/",
                    opts=self._options(plan),
                )
            )
        self.models = known_after(plan.models.name, *ready[plan.models.purpose])
        self.audit = known_after(plan.audit.name, *ready[plan.audit.purpose])
        self.register_outputs({"models": self.models, "audit": self.audit})

    def _options(
        self, plan: BucketsPlan, *, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        """What guards data is kept like the data: a forced destroy takes what is not protected first."""
        return pulumi.ResourceOptions(
            parent=self, protect=plan.protect, retain_on_delete=plan.protect, depends_on=depends_on
        )

    def _key(self, name: str, args: S3BucketsArgs, bucket: BucketPlan) -> kms.Key:
        plan = args.plan
        key = kms.Key(
            name,
            description=f"Objects of bucket {bucket.name}",
            policy=key_policy(args.account, args.key_administrators),
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS[plan.protect],
            tags={PURPOSE_TAG: bucket.purpose},
            opts=self._options(plan),
        )
        kms.Alias(
            name,
            name=key_alias(plan, bucket),
            target_key_id=key.key_id,
            opts=self._options(plan),
        )
        return key

    def _bucket(self, name: str, args: S3BucketsArgs, plan: BucketPlan) -> list[pulumi.Resource]:
        """The bucket, and after it what it takes to be ready for data."""
        bucket = s3.Bucket(
            name,
            bucket=plan.name,
            object_lock_enabled=plan.can_lock,
            force_destroy=not args.plan.protect,
            tags={PURPOSE_TAG: plan.purpose},
            opts=self._options(args.plan),
        )
        bucket_name = known_after(plan.name, bucket)
        options = self._options(args.plan)
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket_name,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=options,
        )
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket_name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=options,
        )
        owned = s3.BucketOwnershipControls(
            name,
            bucket=bucket_name,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=options,
        )
        encrypted = s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket_name,
            rules=[self._encryption(name, args, plan)],
            opts=options,
        )
        governed = s3.BucketPolicy(
            name,
            bucket=bucket_name,
            policy=bucket_policy(args.account, args.plan, plan),
            # S3 refuses two changes to a bucket's access at once.
            opts=self._options(args.plan, depends_on=[private, owned]),
        )
        cleaned = s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket_name,
            rules=_lifecycle(plan),
            opts=self._options(args.plan, depends_on=[versioning]),
        )
        ready: list[pulumi.Resource] = [bucket, versioning, private, owned, encrypted, governed, cleaned]
        if plan.retention:
            ready.append(
                s3.BucketObjectLockConfiguration(
                    name,
                    bucket=bucket_name,
                    object_lock_enabled="Enabled",
                    rule=s3.BucketObjectLockConfigurationRuleArgs(
                        default_retention=s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                            mode="COMPLIANCE" if plan.retention.locked else "GOVERNANCE",
                            days=plan.retention.days,
                        )
                    ),
                    opts=self._options(args.plan, depends_on=[versioning]),
                )
            )
        return ready

    def _encryption(
        self, name: str, args: S3BucketsArgs, plan: BucketPlan
    ) -> s3.BucketServerSideEncryptionConfigurationRuleArgs:
        key = self._key(name, args, plan) if plan.own_key else None
        return s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=(
                s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="aws:kms" if key else "AES256",
                    kms_master_key_id=key.arn if key else None,
                )
            ),
            # One call to KMS for many objects.
            bucket_key_enabled=key is not None,
            blocked_encryption_types=["SSE-C"],
        )


def _lifecycle(plan: BucketPlan) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    return [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="everything",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(),
            abort_incomplete_multipart_upload=(
                s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=plan.abort_uploads_after_days
                )
            ),
            noncurrent_version_expiration=(
                s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=plan.noncurrent_days
                )
            ),
            # A rule with days also removes delete markers that nothing is left behind.
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=plan.expire_after_days)
            if plan.expire_after_days
            else s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            transitions=[
                s3.BucketLifecycleConfigurationRuleTransitionArgs(
                    days=move.after_days, storage_class=_STORAGE_CLASS[move.storage]
                )
                for move in plan.transitions
            ],
        )
    ]
