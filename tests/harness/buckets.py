"""Registered buckets in a stand-in for Amazon S3 (moto), and what their lock promises."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from moto import mock_aws

from tests.unit.graph import Registration
from tests.unit.object_storage import aws

MOTO: Final = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""Of modules that use it: moto looks at every attribute of every module, deprecated ones of the SDKs too."""
_OWN: Final = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


@contextmanager
def registered_buckets(graph: Iterable[Registration], region: str) -> Iterator[Any]:
    """A client of the S3 service with the graph's buckets; whatever account the machine knows stays out."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "example")
        for name in _OWN:
            environment.delenv(name, raising=False)
        with mock_aws():
            yield aws.apply(graph, region)


def newest_version(s3: Any, bucket: str, key: str) -> dict[str, str]:
    """What names the newest version of an object in S3's API."""
    head = s3.head_object(Bucket=bucket, Key=key)
    return {"Bucket": bucket, "Key": key, "VersionId": head["VersionId"]}


def assert_locked(s3: Any, version: Mapping[str, str], days: int) -> None:
    """Mode COMPLIANCE for `days` from now: nobody can shorten it, the account's root included."""
    head = s3.head_object(**version)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    left = head["ObjectLockRetainUntilDate"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=days - 1) < left <= datetime.timedelta(days=days)


def assert_not_deletable(s3: Any, version: Mapping[str, str]) -> None:
    """Neither plainly nor by whoever may pass a lock in mode GOVERNANCE."""
    for more in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.delete_object(**version, **more)
