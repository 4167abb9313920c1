"""A prefix of an S3 bucket, or of a service that speaks its API."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
from botocore import UNSIGNED  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from weights.errors import Refused, Transient
from weights.redact import describe
from weights.sources.base import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    Inventory,
    RemoteFile,
    Sink,
)
from weights.sources.settings import S3Settings

_RETRIED = frozenset({408, 425, 429})
_CONNECTIONS = 32


class S3Source:
    """The objects below one prefix."""

    def __init__(self, settings: S3Settings) -> None:
        parts = urlsplit(settings.uri)
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        session = boto3.Session(region_name=settings.region)
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            # The fetcher retries, and resumes when it does.
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
            # Services that speak the S3 API do not all know the SDK's newer checksums; SHA-256 is checked
            # afterwards.
            response_checksum_validation="when_required",
            request_checksum_calculation="when_required",
            signature_version=None if session.get_credentials() else UNSIGNED,
        )
        try:
            self._client: Any = session.client("s3", endpoint_url=settings.endpoint, config=config)
        except (NoRegionError, ValueError) as error:
            raise Refused("source", describe(error)) from None

    def inventory(self, paths: Collection[str]) -> Inventory:
        """Lists every object below the prefix."""
        files: dict[str, RemoteFile] = {}
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            ):
                for item in page.get("Contents", []):
                    path = str(item["Key"]).removeprefix(self._prefix)
                    if (path == "" or path.endswith("/")) and item["Size"] == 0:
                        continue  # the mark that consoles leave for a folder
                    files[path] = RemoteFile(path, int(item["Size"]), str(item["ETag"]))
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise self._failure("source", error) from None
        return Inventory(files, complete=True)

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """One GetObject, bound to the entity tag that was listed."""
        request = {"Bucket": self._bucket, "Key": self._prefix + remote.path}
        if remote.validator is not None:
            request["IfMatch"] = remote.validator
        if offset:
            request["Range"] = f"bytes={offset}-"
        try:
            response = self._client.get_object(**request)
            if offset and response["ResponseMetadata"]["HTTPStatusCode"] != 206:
                sink.restart()
            for chunk in response["Body"].iter_chunks(CHUNK_BYTES):
                sink.write(chunk)
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise self._failure(remote.path, error) from None

    def _failure(self, subject: str, error: Exception) -> Refused | Transient:
        if not isinstance(error, ClientError):
            return Transient(describe(error))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(error.response.get("Error", {}).get("Code", status))
        if status >= 500 or status in _RETRIED or code in ("SlowDown", "RequestTimeout"):
            return Transient(f"S3 answers {code}")
        if code == "NoSuchBucket":
            return Refused("source", f"no bucket {self._bucket}")
        if status == 404:
            return Refused(subject, "is missing at the source")
        if status == 412:
            return Refused(subject, "changed at the source during the download; run the Job again")
        if status in (401, 403):
            return Refused(
                subject, f"S3 answers {code}; check the credentials' s3:ListBucket and s3:GetObject"
            )
        return Refused(subject, f"S3 answers {code}")
