"""The weights fetcher, as it is, against the buckets as they are registered; moto is the S3 service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.buckets import (
    MOTO,
    assert_locked,
    assert_not_deletable,
    registered_buckets,
)
from tests.unit.object_storage.examples import ACCOUNT, plan, s3_graph
from weights.download import Backoff
from weights.errors import Refused
from weights.fetch import fetch
from weights.sources import parse_source
from weights.store import Store
from weights.sums import Manifest

pytestmark = MOTO

FILES = {"config.json": b"{}", "model.safetensors": b"\1" * (2**20 + 1), "empty.txt": b""}
PREFIX = "phone/v1"
PLAN = plan()


@pytest.fixture
def s3() -> Iterator[Any]:
    with registered_buckets(s3_graph(PLAN)[0], ACCOUNT.region) as client:
        yield client


def publish(s3: Any, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        s3.put_object(Bucket=PLAN.models.name, Key=f"{PREFIX}/{path}", Body=content)


def fetched(folder: Path, files: dict[str, bytes]) -> Path:
    source = {
        "kind": "s3",
        "uri": f"s3://{PLAN.models.name}/{PREFIX}",
        "region": ACCOUNT.region,
    }
    folder.mkdir(exist_ok=True)
    manifest = Manifest.of((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())
    return fetch(
        parse_source(json.dumps(source)),
        manifest,
        Store(folder, "phone"),
        backoff=Backoff(attempts=1, first_seconds=0.01),
    )


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_published_model_is_fetched_from_the_model_bucket(s3: Any, tmp_path: Path) -> None:
    publish(s3, FILES)
    s3.put_object(Bucket=PLAN.models.name, Key="phone/v2/config.json", Body=b"another version")
    assert read(fetched(tmp_path / "store", FILES)) == FILES


def test_what_is_published_is_encrypted_with_the_buckets_key_although_nobody_asked(s3: Any) -> None:
    publish(s3, FILES)
    head = s3.head_object(Bucket=PLAN.models.name, Key=f"{PREFIX}/config.json")
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"].startswith("arn:aws:kms:eu-central-1:")


def test_a_replaced_file_is_refused_until_its_version_is_put_back(s3: Any, tmp_path: Path) -> None:
    publish(s3, FILES)
    before = s3.head_object(Bucket=PLAN.models.name, Key=f"{PREFIX}/config.json")["VersionId"]
    publish(s3, {"config.json": b"[]"})
    with pytest.raises(Refused, match=r"^config\.json: SHA-256 is "):
        fetched(tmp_path / "store", FILES)
    s3.copy_object(
        Bucket=PLAN.models.name,
        Key=f"{PREFIX}/config.json",
        CopySource={"Bucket": PLAN.models.name, "Key": f"{PREFIX}/config.json", "VersionId": before},
    )
    assert read(fetched(tmp_path / "store", FILES)) == FILES


def test_a_deleted_file_is_missing_and_can_be_brought_back(s3: Any, tmp_path: Path) -> None:
    publish(s3, FILES)
    marker = s3.delete_object(Bucket=PLAN.models.name, Key=f"{PREFIX}/config.json")
    with pytest.raises(Refused, match=r"^config\.json: is missing$"):
        fetched(tmp_path / "store", FILES)
    s3.delete_object(Bucket=PLAN.models.name, Key=f"{PREFIX}/config.json", VersionId=marker["VersionId"])
    assert read(fetched(tmp_path / "store", FILES)) == FILES


@pytest.fixture
def record(s3: Any) -> dict[str, str]:
    """A record in the audit bucket."""
    bucket = PLAN.audit.name
    written = s3.put_object(Bucket=bucket, Key="pods/1.json", Body=b"{}")
    return {"Bucket": bucket, "Key": "pods/1.json", "VersionId": str(written["VersionId"])}


def test_f43_a_record_is_locked_for_its_retention_without_asking(s3: Any, record: dict[str, str]) -> None:
    assert_locked(s3, record, 400)


def test_f43_a_locked_record_cannot_be_deleted(s3: Any, record: dict[str, str]) -> None:
    assert_not_deletable(s3, record)


def test_f43_an_overwritten_record_is_still_there(s3: Any, record: dict[str, str]) -> None:
    s3.put_object(Bucket=record["Bucket"], Key=record["Key"], Body=b"forged")
    s3.delete_object(Bucket=record["Bucket"], Key=record["Key"])
    assert s3.get_object(**record)["Body"].read() == b"{}"
