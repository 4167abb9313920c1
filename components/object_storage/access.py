"""What those who use the buckets on AWS may do: plain data, so that policies see it in a preview."""

from __future__ import annotations

from components.common.accounts import AwsAccount
from components.eks.documents import Statement
from components.object_storage.plan import BucketPlan, BucketsPlan


def bucket_arn(account: AwsAccount, bucket: BucketPlan) -> str:
    """ARN of a bucket."""
    return f"arn:{account.partition}:s3:::{bucket.name}"


def key_alias(plan: BucketsPlan, bucket: BucketPlan) -> str:
    """Alias of the bucket's own key."""
    return f"alias/{plan.key_names}-{bucket.purpose}"


def model_read_statements(account: AwsAccount, plan: BucketsPlan, prefix: str) -> tuple[Statement, ...]:
    """What the fetch of the model below `prefix` needs: its listing, its objects, and the bucket's key.

    The objects of other models stay out of reach.
    """
    arn, prefix = bucket_arn(account, plan.models), prefix.strip("/")
    return (
        Statement("ListModel", ("s3:ListBucket",), (arn,), {"StringLike": {"s3:prefix": f"{prefix}/*"}}),
        Statement("ReadModel", ("s3:GetObject",), (f"{arn}/{prefix}/*",)),
        _key_statement("DecryptModel", ("kms:Decrypt",), account, plan, plan.models),
    )


def audit_write_statements(account: AwsAccount, plan: BucketsPlan, prefix: str) -> tuple[Statement, ...]:
    """What it takes to add to the audit trail below `prefix`, and not to read it."""
    arn, prefix = bucket_arn(account, plan.audit), prefix.strip("/")
    return (
        Statement("WriteAudit", ("s3:PutObject",), (f"{arn}/{prefix}/*",)),
        # Completing an upload in parts decrypts the key that its parts were encrypted with.
        _key_statement("EncryptAudit", ("kms:Decrypt", "kms:GenerateDataKey"), account, plan, plan.audit),
    )


def _key_statement(
    sid: str, actions: tuple[str, ...], account: AwsAccount, plan: BucketsPlan, bucket: BucketPlan
) -> Statement:
    """Use of a bucket's key, by S3 only. A key's ARN is known only once it exists; its alias is known
    before."""
    return Statement(
        sid,
        actions,
        (f"arn:{account.partition}:kms:{account.region}:{account.account_id}:key/*",),
        {
            "StringEquals": {"kms:ViaService": f"s3.{account.region}.{account.dns_suffix}"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": key_alias(plan, bucket)},
        },
    )
