"""The buckets of an example stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_gcp as gcp

from components.common.accounts import AwsAccount, GcpProject
from components.object_storage.gcs import GcsBuckets, GcsBucketsArgs
from components.object_storage.plan import BucketsPlan, plan_buckets
from components.object_storage.s3 import S3Buckets, S3BucketsArgs
from components.object_storage.settings import Buckets
from tests.unit.graph import Registration, record

ACCOUNT = AwsAccount("aws", "111122223333", "eu-central-1")
PROJECT = GcpProject("example-project", "444455556666", "europe-west4")
ADMINISTRATOR = "arn:aws:iam::111122223333:role/platform-deploy"
GCP_ADMINISTRATOR = "group:platform-security@example.com"
READER = (
    "principal://iam.googleapis.com/projects/444455556666/locations/global/workloadIdentityPools/"
    "example-project.svc.id.goog/subject/ns/autoglm/sa/phone-fetch"
)


def plan(
    settings: dict[str, Any] | None = None,
    *,
    account: AwsAccount | GcpProject = ACCOUNT,
    protect: bool = True,
    stack: str = "prod",
) -> BucketsPlan:
    """The plan of settings that have no problems."""
    planned, problems = plan_buckets(
        Buckets.model_validate(settings or {}),
        account=account,
        stack=stack,
        protect=protect,
        key_administrators=[ADMINISTRATOR],
    )
    assert problems == []
    assert planned is not None
    return planned


def s3_graph(planned: BucketsPlan, *, preview: bool = False) -> tuple[list[Registration], Any]:
    """What S3Buckets registers, and the names that it gives."""

    def program() -> dict[str, pulumi.Output[str]]:
        provider = aws.Provider("aws", region=ACCOUNT.region)
        buckets = S3Buckets(
            "buckets",
            S3BucketsArgs(planned, ACCOUNT, (ADMINISTRATOR,)),
            pulumi.ResourceOptions(providers=[provider]),
        )
        return {"models": buckets.models, "audit": buckets.audit}

    return record(program, preview=preview, configured=not preview)


def gcs_graph(planned: BucketsPlan, *, preview: bool = False) -> tuple[list[Registration], Any]:
    """What GcsBuckets registers, and the names that it gives."""

    def program() -> dict[str, pulumi.Output[str]]:
        provider = gcp.Provider("gcp", project=PROJECT.project)
        buckets = GcsBuckets(
            "buckets",
            GcsBucketsArgs(planned, PROJECT, (GCP_ADMINISTRATOR,), model_readers=(READER,)),
            pulumi.ResourceOptions(providers=[provider]),
        )
        return {"models": buckets.models, "audit": buckets.audit}

    return record(program, preview=preview, configured=not preview)


def of(graph: Sequence[Registration], kind: str) -> dict[str, Registration]:
    """Resources of a kind by name."""
    return {item.name: item for item in graph if item.kind == kind}
