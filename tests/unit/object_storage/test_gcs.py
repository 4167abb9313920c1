"""What GcsBuckets registers."""

from __future__ import annotations

import pytest

from tests.harness import sdk_types
from tests.unit.graph import Registration
from tests.unit.object_storage.examples import GCP_ADMINISTRATOR, PROJECT, READER, gcs_graph, of, plan

KEYS = "projects/example-project/locations/europe-west4/keyRings/autoglm-prod-storage/cryptoKeys"
BUCKETS = {"buckets-access-logs", "buckets-models", "buckets-audit"}


@pytest.fixture(scope="module")
def protected() -> list[Registration]:
    return gcs_graph(plan(account=PROJECT))[0]


@pytest.fixture(scope="module")
def unprotected() -> list[Registration]:
    return gcs_graph(plan(account=PROJECT, protect=False))[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inputs_are_what_the_provider_takes() -> None:
    graph, _ = gcs_graph(plan(account=PROJECT), preview=True)
    assert [str(finding) for item in graph for finding in sdk_types.findings(item)] == []


def test_every_bucket_is_private_with_access_by_iam_only(protected: list[Registration]) -> None:
    buckets = of(protected, "Bucket")
    assert set(buckets) == BUCKETS
    for item in buckets.values():
        assert item.inputs["uniformBucketLevelAccess"] is True
        assert item.inputs["publicAccessPrevention"] == "enforced"
        assert item.inputs["location"] == "EUROPE-WEST4"
        assert item.parent == "buckets"
        assert "::gcp::" in item.provider


def test_models_and_audit_take_nothing_but_their_own_key(protected: list[Registration]) -> None:
    for purpose in ("models", "audit"):
        assert of(protected, "Bucket")[f"buckets-{purpose}"].inputs["encryption"] == {
            "defaultKmsKeyName": f"{KEYS}/{purpose}",
            "googleManagedEncryptionEnforcementConfig": {"restrictionMode": "FullyRestricted"},
            "customerSuppliedEncryptionEnforcementConfig": {"restrictionMode": "FullyRestricted"},
            "customerManagedEncryptionEnforcementConfig": {"restrictionMode": "NotRestricted"},
        }
        key = of(protected, "CryptoKey")[f"buckets-{purpose}"]
        assert key.inputs["rotationPeriod"] == "7776000s"
        assert key.inputs["deletionPolicy"] == "PREVENT"


def test_storage_uses_the_keys_before_a_bucket_does_and_administrators_do_not(
    protected: list[Registration],
) -> None:
    grants = of(protected, "CryptoKeyIAMMember")
    roles = {
        (item.inputs["cryptoKeyId"], item.inputs["role"], item.inputs["member"]) for item in grants.values()
    }
    agent = "serviceAccount:service-444455556666@gs-project-accounts.iam.gserviceaccount.com"
    assert roles == {
        (f"{KEYS}/{purpose}", role, member)
        for purpose in ("models", "audit")
        for role, member in (
            ("roles/cloudkms.cryptoKeyEncrypterDecrypter", agent),
            ("roles/cloudkms.admin", GCP_ADMINISTRATOR),
        )
    }
    assert "buckets-audit-storage" in of(protected, "Bucket")["buckets-audit"].depends_on


def test_the_protected_audit_bucket_has_a_locked_retention_policy(protected: list[Registration]) -> None:
    audit = of(protected, "Bucket")["buckets-audit"].inputs
    assert audit["retentionPolicy"] == {"retentionPeriod": str(400 * 86400), "isLocked": True}
    # Under it nothing is replaced, and Cloud Storage has refused the two together.
    assert audit["versioning"] == {"enabled": False}
    assert of(protected, "Bucket")["buckets-models"].inputs["versioning"] == {"enabled": True}


def test_governance_leaves_the_policy_unlocked() -> None:
    graph, _ = gcs_graph(plan({"audit": {"lockMode": "governance"}}, account=PROJECT))
    assert of(graph, "Bucket")["buckets-audit"].inputs["retentionPolicy"]["isLocked"] is False


def test_without_protection_every_bucket_is_versioned_and_none_retained(
    unprotected: list[Registration],
) -> None:
    for item in of(unprotected, "Bucket").values():
        assert item.inputs["versioning"] == {"enabled": True}
        assert "retentionPolicy" not in item.inputs


def test_f55_protected_data_cannot_be_deleted(
    protected: list[Registration], unprotected: list[Registration]
) -> None:
    for kind in ("Bucket", "CryptoKey"):
        assert all(item.protect for item in of(protected, kind).values())
        assert all(item.inputs["deletionPolicy"] == "PREVENT" for item in of(protected, kind).values())
        assert not any(item.protect for item in of(unprotected, kind).values())
    used = of(protected, "CryptoKeyIAMMember")
    assert all(used[f"buckets-{purpose}-storage"].protect for purpose in ("models", "audit"))
    assert all(item.inputs["forceDestroy"] is False for item in of(protected, "Bucket").values())
    assert all(item.inputs["forceDestroy"] is True for item in of(unprotected, "Bucket").values())
    assert all(item.retain_on_delete for item in protected if item.type.startswith("gcp:"))


def test_the_lifecycle_of_the_audit_trail(protected: list[Registration]) -> None:
    rules = of(protected, "Bucket")["buckets-audit"].inputs["lifecycleRules"]
    assert [(rule["action"], rule["condition"]) for rule in rules] == [
        ({"type": "AbortIncompleteMultipartUpload"}, {"age": 7}),
        ({"type": "SetStorageClass", "storageClass": "NEARLINE"}, {"age": 30}),
        ({"type": "SetStorageClass", "storageClass": "COLDLINE"}, {"age": 90}),
    ]


def test_replaced_models_stay_for_a_while(protected: list[Registration]) -> None:
    rules = of(protected, "Bucket")["buckets-models"].inputs["lifecycleRules"]
    assert {"type": "Delete"} in [rule["action"] for rule in rules]
    (delete,) = [rule["condition"] for rule in rules if rule["action"] == {"type": "Delete"}]
    assert delete == {"daysSinceNoncurrentTime": 90, "withState": "ARCHIVED"}


def test_fetch_jobs_read_models_and_nobody_is_granted_more(protected: list[Registration]) -> None:
    grants = {
        (item.inputs["bucket"], item.inputs["role"], item.inputs["member"])
        for item in of(protected, "BucketIAMMember").values()
    }
    assert grants == {
        ("autoglm-prod-models-example-project", "roles/storage.objectViewer", READER),
        (
            "autoglm-prod-access-logs-example-project",
            "roles/storage.objectCreator",
            "group:cloud-storage-analytics@google.com",
        ),
    }


def test_names_are_known_before_anything_exists() -> None:
    graph, outputs = gcs_graph(plan(account=PROJECT), preview=True)
    assert outputs == {
        "models": "autoglm-prod-models-example-project",
        "audit": "autoglm-prod-audit-example-project",
    }
    audit = of(graph, "Bucket")["buckets-audit"].inputs
    assert audit["encryption"]["defaultKmsKeyName"] == f"{KEYS}/audit"
    assert audit["logging"]["logBucket"] == "autoglm-prod-access-logs-example-project"
