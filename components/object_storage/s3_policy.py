"""Policies of the S3 buckets. Plain text before anything exists, so that policies can judge them in a
preview."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.accounts import AwsAccount
from components.eks.documents import Conditions, Statement, policy_document
from components.object_storage.access import bucket_arn
from components.object_storage.plan import BucketPlan, BucketsPlan


def bucket_policy(account: AwsAccount, plan: BucketsPlan, bucket: BucketPlan) -> str:
    """Policy of one of the plan's buckets."""
    arn = bucket_arn(account, bucket)
    everything, objects = (arn, f"{arn}/*"), (f"{arn}/*",)
    statements = [
        _deny("OnlyOverTls", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("OnlyTls12", "s3:*", everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
    ]
    if bucket == plan.access_logs:
        return policy_document(*statements, _log_delivery(account, plan))
    statements += [
        # Whoever names no encryption gets the bucket's own; naming one would be a way around it. That covers
        # other keys and other algorithms alike, with no key's ARN in the text.
        _deny(
            "OnlyTheBucketsOwnEncryption",
            "s3:PutObject",
            objects,
            {"Null": {"s3:x-amz-server-side-encryption": "false"}},
        ),
        _deny(
            "NoKeysOfCallers",
            "s3:PutObject",
            objects,
            {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
        ),
    ]
    if bucket.retention:
        statements.append(_deny("NobodyBypassesTheRetention", "s3:BypassGovernanceRetention", objects, {}))
    return policy_document(*statements)


def _deny(sid: str, action: str, resources: Sequence[str], conditions: Conditions) -> Statement:
    return Statement(sid, (action,), resources, conditions, principals="*", effect="Deny")


def _log_delivery(account: AwsAccount, plan: BucketsPlan) -> Statement:
    """S3's own log delivery, for our buckets only (confused deputy)."""
    sources = [bucket for bucket in plan.all if bucket != plan.access_logs]
    return Statement(
        "AccessLogDelivery",
        ("s3:PutObject",),
        [f"{bucket_arn(account, plan.access_logs)}/{bucket.purpose}/*" for bucket in sources],
        {
            "ArnEquals": {"aws:SourceArn": [bucket_arn(account, bucket) for bucket in sources]},
            "StringEquals": {"aws:SourceAccount": account.account_id},
        },
        principals={"Service": ("logging.s3.amazonaws.com",)},
    )
