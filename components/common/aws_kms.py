"""Policies of customer-managed KMS keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from components.common.accounts import AwsAccount

ADMINISTRATION: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
"""What looks after a key. Nothing in it encrypts or decrypts, or lets others do so."""


def key_policy(account: AwsAccount, administrators: Sequence[str]) -> str:
    """Policy of a key whose users get their access from policies of their own.

    The account owns it: without its root in the policy a key can become one that nobody can manage, and IAM
    policies would not count (AWS KMS Developer Guide, "Default key policy").
    """
    statements: list[dict[str, Any]] = [
        {
            "Sid": "AccountOwnsTheKey",
            "Effect": "Allow",
            "Principal": {"AWS": account.root_arn},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
    if administrators:
        statements.append(
            {
                "Sid": "AdministratorsManageButDoNotUse",
                "Effect": "Allow",
                "Principal": {"AWS": sorted(administrators)},
                "Action": list(ADMINISTRATION),
                "Resource": "*",
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
