"""Sealed days in the audit bucket as it is registered; moto is the S3 service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_trail import seal, verify
from audit_trail.cli import main
from audit_trail.errors import Refused
from audit_trail.keys import Ring
from audit_trail.publish import GcsBucket, bucket_of, publish
from audit_trail.store import Store
from components.object_storage.access import audit_write_statements
from tests.harness.buckets import (
    MOTO,
    assert_locked,
    assert_not_deletable,
    newest_version,
    registered_buckets,
)
from tests.unit.object_storage.examples import ACCOUNT, plan, s3_graph

pytestmark = MOTO

PLAN = plan()
TRAIL = "audit-collector-0"
DAY = date(2026, 11, 20)
URI = f"s3://{PLAN.audit.name}/audit"
KEY = f"audit/{TRAIL}/records/{DAY}.jsonl"


@pytest.fixture
def s3() -> Iterator[Any]:
    with registered_buckets(s3_graph(PLAN)[0], ACCOUNT.region) as client:
        yield client


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def store(tmp_path: Path, key: Ed25519PrivateKey) -> Store:
    """A trail of two sealed days, the second without records."""
    store = Store(tmp_path / "trail")
    store.create()
    store.records(DAY).write_bytes(b'{"id":"1"}\n{"id":"2"}\n')
    seal.seal_days(store, key, TRAIL, DAY + seal.DAY, lambda text: None)
    return store


@pytest.fixture
def published(s3: Any, store: Store) -> Any:
    publish(store, bucket_of(URI, TRAIL, region=ACCOUNT.region), lambda text: None)
    return s3


def download(s3: Any, folder: Path) -> Store:
    """What `aws s3 sync` makes of the objects of a trail."""
    prefix = f"audit/{TRAIL}/"
    for one in s3.list_objects_v2(Bucket=PLAN.audit.name, Prefix=prefix)["Contents"]:
        path = folder / one["Key"].removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=PLAN.audit.name, Key=one["Key"])["Body"].read())
    return Store(folder)


def test_what_is_downloaded_again_verifies(published: Any, tmp_path: Path, key: Ed25519PrivateKey) -> None:
    copy = download(published, tmp_path / "copy")
    verdict = verify.verify(copy, Ring((key.public_key(),)), TRAIL, DAY + seal.DAY)
    assert verdict.whole
    assert (verdict.days, verdict.records) == (2, 2)


def test_days_are_published_once(published: Any, store: Store) -> None:
    assert publish(store, bucket_of(URI, TRAIL, region=ACCOUNT.region), lambda text: None) == []
    # The volume has forgotten: what is there stays as it is, and no second version appears.
    (store.root / "seals" / f"{DAY}.published").unlink()
    told: list[str] = []
    assert publish(store, bucket_of(URI, TRAIL, region=ACCOUNT.region), told.append) == [DAY]
    assert all(text.endswith("is there already, left as it is") for text in told)
    versions = published.list_object_versions(Bucket=PLAN.audit.name, Prefix=KEY)["Versions"]
    assert len(versions) == 1


def test_the_publisher_asks_for_nothing_but_to_add(s3: Any, store: Store) -> None:
    bucket = bucket_of(URI, TRAIL, region=ACCOUNT.region)
    asked: list[str] = []
    bucket._client.meta.events.register(  # type: ignore[attr-defined]
        "before-call.s3", lambda model, **_: asked.append(model.name)
    )
    publish(store, bucket, lambda text: None)
    assert set(asked) == {"PutObject"}
    allowed = {action for one in audit_write_statements(ACCOUNT, PLAN, "audit") for action in one.actions}
    assert {action for action in allowed if action.startswith("s3:")} == {"s3:PutObject"}


def test_f43_a_published_day_is_locked_without_asking(published: Any) -> None:
    assert_locked(published, newest_version(published, PLAN.audit.name, KEY), 400)


def test_f43_a_published_day_cannot_be_deleted(published: Any) -> None:
    assert_not_deletable(published, newest_version(published, PLAN.audit.name, KEY))


def test_f43_the_lock_of_a_published_day_can_be_shortened_by_nobody(published: Any) -> None:
    """S3 refuses it for every principal in mode COMPLIANCE (User Guide, "Locking objects with Object Lock").

    moto does not model that refusal, so the mode is asked for, and what the publisher may do: not even ask.
    """
    assert_locked(published, newest_version(published, PLAN.audit.name, KEY), 400)
    allowed = {action for one in audit_write_statements(ACCOUNT, PLAN, "audit") for action in one.actions}
    assert allowed == {"s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"}


def test_f43_an_overwritten_day_is_still_there_and_the_forgery_is_found(
    published: Any, tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    original = newest_version(published, PLAN.audit.name, KEY)
    published.put_object(Bucket=PLAN.audit.name, Key=KEY, Body=b'{"id":"forged"}\n')
    assert published.get_object(**original)["Body"].read() == b'{"id":"1"}\n{"id":"2"}\n'
    copy = download(published, tmp_path / "copy")
    verdict = verify.verify(copy, Ring((key.public_key(),)), TRAIL, DAY + seal.DAY)
    assert {one.day for one in verdict.findings} == {DAY}


def test_a_bucket_that_cannot_be_reached_ends_the_job_and_marks_nothing(
    s3: Any, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["publish", f"--store={store.root}", f"--trail={TRAIL}", f"--region={ACCOUNT.region}"]
    assert main([*arguments, "--to=s3://autoglm-no-such-bucket/audit"]) == 2
    assert "NoSuchBucket" in capsys.readouterr().err
    assert list((store.root / "seals").glob("*.published")) == []
    assert main([*arguments, "--to=ftp://bucket/x"]) == 2


class _Blob:
    def __init__(self, objects: dict[str, bytes], name: str) -> None:
        self._objects, self._name = objects, name

    def upload_from_string(self, content: bytes, *, if_generation_match: int, **_: Any) -> None:
        from google.api_core.exceptions import Forbidden, PreconditionFailed

        assert if_generation_match == 0
        if self._name in self._objects:
            raise PreconditionFailed("exists")  # type: ignore[no-untyped-call]
        if "forbidden" in self._name:
            raise Forbidden("no")  # type: ignore[no-untyped-call]
        self._objects[self._name] = content


class _Client:
    """As much of google-cloud-storage as is used; its own semantics are not judged here."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def bucket(self, name: str) -> _Client:
        return self

    def blob(self, name: str) -> _Blob:
        return _Blob(self.objects, name)


def test_cloud_storage_is_asked_for_new_objects_only(store: Store) -> None:
    client = _Client()
    assert publish(store, GcsBucket("b", "p/", client), lambda text: None) == [DAY, DAY + seal.DAY]
    assert sorted(client.objects) == [
        f"p/records/{DAY}.jsonl",
        f"p/seals/{DAY}.json",
        f"p/seals/{DAY}.leaves",
        f"p/seals/{DAY + seal.DAY}.json",
        f"p/seals/{DAY + seal.DAY}.leaves",
    ]
    (store.root / "seals" / f"{DAY}.published").unlink()
    before = dict(client.objects)
    publish(store, GcsBucket("b", "p/", client), lambda text: None)
    assert client.objects == before
    (store.root / "seals" / f"{DAY}.published").unlink()
    with pytest.raises(Refused, match="Forbidden"):
        publish(store, GcsBucket("b", "forbidden/", client), lambda text: None)
