"""The registered buckets in moto's AWS: what a provider would ask of the API, asked of a stand-in for it.

moto checks the requests as far as it models the service. Policies of buckets are left out: it would take
every denial for unconditional.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import boto3  # type: ignore[import-untyped]

from tests.unit.graph import Registration


def apply(graph: Iterable[Registration], region: str) -> Any:
    """Creates keys and buckets with all that belongs to them; gives the S3 client."""
    s3, kms = boto3.client("s3", region_name=region), boto3.client("kms", region_name=region)
    items = {(item.kind, item.name): item.inputs for item in graph}
    keys: dict[str, str] = {}
    for (kind, name), inputs in items.items():
        if kind == "Key":
            key = kms.create_key(Policy=inputs["policy"], Description=inputs["description"])
            keys[name] = key["KeyMetadata"]["Arn"]
            kms.enable_key_rotation(KeyId=keys[name])
            kms.create_alias(AliasName=items["Alias", name]["name"], TargetKeyId=keys[name])
    for (kind, name), inputs in items.items():
        if kind == "Bucket":
            s3.create_bucket(
                Bucket=inputs["bucket"],
                CreateBucketConfiguration={"LocationConstraint": region},
                ObjectLockEnabledForBucket=inputs["objectLockEnabled"],
                ObjectOwnership=items["BucketOwnershipControls", name]["rule"]["objectOwnership"],
            )
    for (kind, name), inputs in items.items():
        _configure(s3, kind, inputs, keys.get(name))
    return s3


def _configure(s3: Any, kind: str, inputs: Any, key: str | None) -> None:
    bucket = inputs.get("bucket")
    match kind:
        case "BucketVersioning":
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        case "BucketPublicAccessBlock":
            configuration = {pascal(name): value for name, value in inputs.items() if name != "bucket"}
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=configuration)
        case "BucketServerSideEncryptionConfiguration":
            (rule,) = inputs["rules"]
            default = {"SSEAlgorithm": rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"]}
            if key:
                default["KMSMasterKeyID"] = key
            s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [
                        {
                            "ApplyServerSideEncryptionByDefault": default,
                            "BucketKeyEnabled": rule["bucketKeyEnabled"],
                        }
                    ]
                },
            )
        case "BucketObjectLockConfiguration":
            s3.put_object_lock_configuration(
                Bucket=bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": inputs["objectLockEnabled"],
                    "Rule": pascal_keys(inputs["rule"]),
                },
            )
        case "BucketLifecycleConfiguration":
            rules = pascal_keys(inputs["rules"])
            for rule in rules:
                rule["ID"] = rule.pop("Id")
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def pascal(name: str) -> str:
    """`blockPublicAcls` as the API writes it."""
    return name[0].upper() + name[1:]


def pascal_keys(value: Any) -> Any:
    """The same for everything within; whole numbers, which protobuf has none of, become integers again."""
    if isinstance(value, dict):
        return {pascal(name): pascal_keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [pascal_keys(inner) for inner in value]
    return int(value) if isinstance(value, float) else value
