"""Policies of the S3 buckets. Plain text before anything exists, so that policies can judge them in a
preview."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.common.accounts import AwsAccount
from components.object_storage.access import bucket_arn
from components.object_storage.plan import BucketPlan, BucketsPlan


def bucket_policy(account: AwsAccount, plan: BucketsPlan, bucket: BucketPlan) -> str:
    """Policy of one of the plan's buckets."""
    arn = bucket_arn(account, bucket)
    statements = [
        _deny("OnlyOverTls", "s3:*", [arn, f"{arn}/*"], {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("OnlyTls12", "s3:*", [arn, f"{arn}/*"], {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        # Whoever names no encryption gets the bucket's own; naming one would be a way around it. That covers
        # other keys and other algorithms alike, with no key's ARN in the text.
        _deny(
            "OnlyTheBucketsOwnEncryption",
            "s3:PutObject",
            [f"{arn}/*"],
            {"Null": {"s3:x-amz-server-side-encryption": "false"}},
        ),
        _deny(
            "NoKeysOfCallers",
            "s3:PutObject",
            [f"{arn}/*"],
            {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
        ),
    ]
    if bucket.retention:
        statements.append(
            _deny("NobodyBypassesTheRetention", "s3:BypassGovernanceRetention", [f"{arn}/*"], None)
        )
    if bucket == plan.access_logs:
        statements = [*statements[:2], _log_delivery(account, plan)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _deny(
    sid: str, action: str, resources: Sequence[str], condition: Mapping[str, Any] | None
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
    }
    return statement | ({"Condition": dict(condition)} if condition else {})


def _log_delivery(account: AwsAccount, plan: BucketsPlan) -> dict[str, Any]:
    """S3's own log delivery, for our buckets only (confused deputy)."""
    sources = [bucket for bucket in plan.all if bucket != plan.access_logs]
    return {
        "Sid": "AccessLogDelivery",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": [f"{bucket_arn(account, plan.access_logs)}/{bucket.purpose}/*" for bucket in sources],
        "Condition": {
            "ArnEquals": {"aws:SourceArn": [bucket_arn(account, bucket) for bucket in sources]},
            "StringEquals": {"aws:SourceAccount": account.account_id},
        },
    }
