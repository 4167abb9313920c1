"""Copying sealed days to a bucket that keeps them from change: Amazon S3 or Google Cloud Storage.

The identity needs to add objects and nothing else: nothing is listed, read or replaced. Each object is added
only if there is none of its name yet, and what has been added is noted on the volume. A folder that holds the
objects of one trail is a store again, which `verify` reads.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from audit_trail.errors import Refused
from audit_trail.store import Store, write

_TIMEOUT_SECONDS: Final = 60


class Bucket(Protocol):
    """Where objects are added."""

    def add(self, name: str, content: bytes) -> bool:
        """Add an object; False if there is one of that name already."""


class S3Bucket:
    """A prefix of an S3 bucket."""

    def __init__(self, bucket: str, prefix: str, *, region: str | None, endpoint: str | None = None) -> None:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        self._bucket, self._prefix = bucket, prefix
        self._client: Any = boto3.client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=_TIMEOUT_SECONDS
            ),
        )

    def add(self, name: str, content: bytes) -> bool:
        """One conditional PutObject."""
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._prefix}{name}",
                Body=content,
                IfNoneMatch="*",
                # A bucket with object lock takes nothing without a checksum (S3 API, PutObject).
                ChecksumAlgorithm="SHA256",
            )
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412:
                return False
            raise Refused(name, f"S3 answers {error.response.get('Error', {}).get('Code')}") from None
        except BotoCoreError as error:
            raise Refused(name, f"S3: {type(error).__name__}") from None
        return True


class GcsBucket:
    """A prefix of a Cloud Storage bucket."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        if client is None:
            from google.cloud import storage  # type: ignore[import-untyped]

            client = storage.Client()
        self._bucket, self._prefix = client.bucket(bucket), prefix

    def add(self, name: str, content: bytes) -> bool:
        """One upload that asks for no object of that name; the client compares checksums."""
        from google.api_core.exceptions import GoogleAPIError, PreconditionFailed

        try:
            self._bucket.blob(f"{self._prefix}{name}").upload_from_string(
                content,
                content_type="application/json",
                if_generation_match=0,
                checksum="crc32c",
                timeout=_TIMEOUT_SECONDS,
            )
        except PreconditionFailed:
            return False
        except GoogleAPIError as error:
            raise Refused(name, f"Cloud Storage: {type(error).__name__}") from None
        return True


def bucket_of(uri: str, trail: str, *, region: str | None = None, endpoint: str | None = None) -> Bucket:
    """The place of a trail in `s3://bucket/prefix` or `gs://bucket/prefix`."""
    parts = urlsplit(uri)
    prefix = "/".join(part for part in (parts.path.strip("/"), trail) if part) + "/"
    if parts.scheme == "s3" and parts.netloc:
        return S3Bucket(parts.netloc, prefix, region=region, endpoint=endpoint)
    if parts.scheme == "gs" and parts.netloc:
        return GcsBucket(parts.netloc, prefix)
    raise Refused("--to", f"{uri!r}: write s3://bucket/prefix or gs://bucket/prefix")


def publish(store: Store, bucket: Bucket, report: Callable[[str], None]) -> list[date]:
    """Add every sealed day that has not been; returns those days. The seal comes last: it completes a day."""
    added = []
    for day in store.days("seals", ".json"):
        mark = store.root / "seals" / f"{day}.published"
        if mark.exists():
            continue
        for path in (store.records(day), store.leaves(day), store.seal(day)):
            _add(store, bucket, path, report)
        write(mark, b"")
        added.append(day)
    return added


def _add(store: Store, bucket: Bucket, path: Path, report: Callable[[str], None]) -> None:
    if not path.exists():
        return  # a day without records
    name = str(path.relative_to(store.root))
    new = bucket.add(name, path.read_bytes())
    report(f"{name}: {'added' if new else 'is there already, left as it is'}")
