"""What S3Buckets registers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.eks.keys import ADMINISTRATION
from components.object_storage.access import audit_write_statements, model_read_statements
from components.object_storage.s3_policy import bucket_policy
from tests.harness import sdk_types
from tests.unit.graph import Registration
from tests.unit.object_storage.examples import ACCOUNT, ADMINISTRATOR, of, plan, s3_graph
from tests.unit.object_storage.iam import denied, holds

PURPOSES = ("access-logs", "models", "audit")
BUCKETS = {f"buckets-{purpose}" for purpose in PURPOSES}
ENCRYPTED = {"buckets-models", "buckets-audit"}


@pytest.fixture(scope="module")
def protected() -> list[Registration]:
    return s3_graph(plan())[0]


@pytest.fixture(scope="module")
def unprotected() -> list[Registration]:
    return s3_graph(plan(protect=False))[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inputs_are_what_the_provider_takes() -> None:
    graph, _ = s3_graph(plan(), preview=True)
    assert [str(finding) for item in graph for finding in sdk_types.findings(item)] == []


def test_everything_is_a_child_of_the_component_with_the_explicit_provider(
    protected: list[Registration],
) -> None:
    for item in protected:
        if item.type.startswith("aws:"):
            assert item.parent == "buckets"
            assert "::aws::" in item.provider


def test_every_bucket_is_versioned_private_and_owned_by_the_account(protected: list[Registration]) -> None:
    for kind in ("Bucket", "BucketVersioning", "BucketPublicAccessBlock", "BucketOwnershipControls"):
        assert set(of(protected, kind)) == BUCKETS
    for item in of(protected, "BucketVersioning").values():
        assert item.inputs["versioningConfiguration"] == {"status": "Enabled"}
    for item in of(protected, "BucketPublicAccessBlock").values():
        assert {key: value for key, value in item.inputs.items() if key != "bucket"} == {
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        }
    for item in of(protected, "BucketOwnershipControls").values():
        assert item.inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_models_and_audit_are_encrypted_with_a_key_each(protected: list[Registration]) -> None:
    assert set(of(protected, "Key")) == ENCRYPTED
    rules = {
        name: item.inputs["rules"][0]
        for name, item in of(protected, "BucketServerSideEncryptionConfiguration").items()
    }
    assert set(rules) == BUCKETS
    for name in ENCRYPTED:
        assert rules[name]["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
        assert rules[name]["bucketKeyEnabled"] is True
    assert all(rule["blockedEncryptionTypes"] == ["SSE-C"] for rule in rules.values())
    encryption = of(protected, "BucketServerSideEncryptionConfiguration")
    assert all(name in encryption[name].depends_on for name in ENCRYPTED)


def test_access_logs_are_encrypted_by_s3_which_is_all_that_their_delivery_can_do(
    protected: list[Registration],
) -> None:
    encryption = of(protected, "BucketServerSideEncryptionConfiguration")["buckets-access-logs"]
    assert encryption.inputs["rules"][0]["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    assert of(protected, "Bucket")["buckets-access-logs"].inputs["objectLockEnabled"] is False


def test_the_account_owns_the_keys_and_administrators_cannot_decrypt(protected: list[Registration]) -> None:
    for item in of(protected, "Key").values():
        assert item.inputs["enableKeyRotation"] is True
        assert item.inputs["deletionWindowInDays"] == 30
        owner, administrators = json.loads(item.inputs["policy"])["Statement"]
        assert owner["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
        assert owner["Action"] == ["kms:*"]
        assert administrators["Principal"] == {"AWS": ADMINISTRATOR}
        assert administrators["Action"] == sorted(ADMINISTRATION)
    using = {"crypt", "sign", "generatedata", "creategrant", "*"}
    assert not [action for action in ADMINISTRATION if any(use in action.lower() for use in using)]


def test_keys_have_names_that_follow_from_the_stack(protected: list[Registration]) -> None:
    assert {item.inputs["name"] for item in of(protected, "Alias").values()} == {
        "alias/autoglm-prod-models",
        "alias/autoglm-prod-audit",
    }


def test_the_protected_audit_bucket_is_locked_for_its_retention(protected: list[Registration]) -> None:
    (lock,) = of(protected, "BucketObjectLockConfiguration").values()
    assert lock.name == "buckets-audit"
    assert lock.inputs["rule"] == {"defaultRetention": {"mode": "COMPLIANCE", "days": 400}}
    assert of(protected, "Bucket")["buckets-audit"].inputs["objectLockEnabled"] is True


def test_without_protection_nothing_is_locked_but_the_bucket_could_be(
    unprotected: list[Registration],
) -> None:
    assert not of(unprotected, "BucketObjectLockConfiguration")
    assert of(unprotected, "Bucket")["buckets-audit"].inputs["objectLockEnabled"] is True


def test_f55_protected_data_cannot_be_deleted(
    protected: list[Registration], unprotected: list[Registration]
) -> None:
    # All of it: a forced destroy takes first what is not protected, such as the policy of a bucket that is.
    assert all(item.protect for item in protected if item.type.startswith("aws:"))
    assert not any(item.protect for item in unprotected)
    assert all(not item.inputs["forceDestroy"] for item in of(protected, "Bucket").values())
    assert all(item.inputs["forceDestroy"] for item in of(unprotected, "Bucket").values())
    # A bucket that outlives the stack keeps its policy, its lock and its key.
    assert all(item.retain_on_delete for item in protected if item.type.startswith("aws:"))


def test_what_is_replaced_or_deleted_stays_at_least_as_long_as_the_retention(
    protected: list[Registration],
) -> None:
    rules = {
        name: item.inputs["rules"][0] for name, item in of(protected, "BucketLifecycleConfiguration").items()
    }
    assert set(rules) == BUCKETS
    assert all(rule["status"] == "Enabled" for rule in rules.values())
    assert all(rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"] == 7 for rule in rules.values())
    assert rules["buckets-audit"]["noncurrentVersionExpiration"] == {"noncurrentDays": 400}
    assert rules["buckets-audit"]["expiration"] == {"expiredObjectDeleteMarker": True}
    assert rules["buckets-audit"]["transitions"] == [
        {"days": 30, "storageClass": "STANDARD_IA"},
        {"days": 90, "storageClass": "GLACIER_IR"},
    ]
    assert rules["buckets-models"]["noncurrentVersionExpiration"] == {"noncurrentDays": 90}
    assert rules["buckets-access-logs"]["expiration"] == {"days": 400}


def test_access_to_models_and_audit_is_recorded(protected: list[Registration]) -> None:
    logging = of(protected, "BucketLogging")
    assert set(logging) == ENCRYPTED
    for name, item in logging.items():
        assert item.inputs["targetBucket"] == "autoglm-prod-access-logs-111122223333"
        assert item.inputs["targetPrefix"] == f"{name.removeprefix('buckets-')}/"
        assert "buckets-access-logs" in item.depends_on


def test_s3_delivers_access_logs_of_these_buckets_only() -> None:
    planned = plan()
    (delivery,) = [
        statement
        for statement in json.loads(bucket_policy(ACCOUNT, planned, planned.access_logs))["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    ours = {
        "aws:SourceArn": "arn:aws:s3:::autoglm-prod-audit-111122223333",
        "aws:SourceAccount": "111122223333",
    }
    assert holds(delivery["Condition"], ours)
    assert not holds(delivery["Condition"], ours | {"aws:SourceArn": "arn:aws:s3:::somebody-elses"})
    assert not holds(delivery["Condition"], ours | {"aws:SourceAccount": "999999999999"})


TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
HEADER = "s3:x-amz-server-side-encryption"


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    ("action", "context", "sid"),
    [
        ("s3:GetObject", TLS, None),
        ("s3:PutObject", TLS, None),
        ("s3:GetObject", {"aws:SecureTransport": "false"}, "OnlyOverTls"),
        ("s3:ListBucket", TLS | {"s3:TlsVersion": "1.1"}, "OnlyTls12"),
        ("s3:GetObject", TLS | {"s3:TlsVersion": "1.2"}, None),
    ],
)
def test_only_tls_gets_in(purpose: str, action: str, context: dict[str, str], sid: str | None) -> None:
    planned = plan()
    (bucket,) = [one for one in planned.all if one.purpose == purpose]
    arn = f"arn:aws:s3:::{bucket.name}"
    resource = arn if action == "s3:ListBucket" else f"{arn}/x"
    assert denied(bucket_policy(ACCOUNT, planned, bucket), action, resource, context) == sid


@pytest.mark.parametrize(
    ("headers", "sid"),
    [
        ({HEADER: "AES256"}, "OnlyTheBucketsOwnEncryption"),
        ({HEADER: "aws:kms"}, "OnlyTheBucketsOwnEncryption"),
        (
            {HEADER: "aws:kms", f"{HEADER}-aws-kms-key-id": "arn:aws:kms:eu-central-1:999999999999:key/x"},
            "OnlyTheBucketsOwnEncryption",
        ),
        ({f"{HEADER}-customer-algorithm": "AES256"}, "NoKeysOfCallers"),
    ],
)
def test_nothing_but_the_buckets_own_key_encrypts(headers: dict[str, str], sid: str) -> None:
    planned = plan()
    for bucket in (planned.models, planned.audit):
        policy = bucket_policy(ACCOUNT, planned, bucket)
        assert denied(policy, "s3:PutObject", f"arn:aws:s3:::{bucket.name}/x", TLS | headers) == sid


def test_f43_nobody_bypasses_the_retention_where_it_could_be() -> None:
    planned = plan({"audit": {"lockMode": "governance"}})
    policy = bucket_policy(ACCOUNT, planned, planned.audit)
    resource = f"arn:aws:s3:::{planned.audit.name}/x"
    assert denied(policy, "s3:BypassGovernanceRetention", resource, TLS) == "NobodyBypassesTheRetention"


def test_policies_are_known_before_anything_exists() -> None:
    """A rule of the policy pack cannot block on what it cannot read in a preview."""
    graph, outputs = s3_graph(plan(), preview=True)
    for kind in ("BucketPolicy", "Key"):
        items = of(graph, kind)
        assert items
        assert all(json.loads(item.inputs["policy"])["Statement"] for item in items.values())
    for kind in (
        "BucketPolicy",
        "BucketVersioning",
        "BucketPublicAccessBlock",
        "BucketObjectLockConfiguration",
    ):
        assert all(item.inputs["bucket"].startswith("autoglm-prod-") for item in of(graph, kind).values())
    assert outputs == {
        "models": "autoglm-prod-models-111122223333",
        "audit": "autoglm-prod-audit-111122223333",
    }


def allows(statements: Any, action: str, resource: str, context: dict[str, str]) -> bool:
    return any(
        action in statement.actions
        and any(_covers(wanted, resource) for wanted in statement.resources)
        and holds(statement.conditions, context)
        for statement in statements
    )


def _covers(pattern: str, resource: str) -> bool:
    return resource.startswith(pattern[:-1]) if pattern.endswith("*") else resource == pattern


def test_a_fetch_reads_its_own_model_and_nothing_else() -> None:
    planned = plan()
    arn, key = f"arn:aws:s3:::{planned.models.name}", "arn:aws:kms:eu-central-1:111122223333:key/1"
    for prefix in ("phone/v1", "phone/v1/"):
        statements = model_read_statements(ACCOUNT, planned, prefix)
        assert allows(statements, "s3:ListBucket", arn, {"s3:prefix": "phone/v1/"})
        assert not allows(statements, "s3:ListBucket", arn, {"s3:prefix": ""})
        assert not allows(statements, "s3:ListBucket", arn, {})
        assert allows(statements, "s3:GetObject", f"{arn}/phone/v1/config.json", {})
        assert not allows(statements, "s3:GetObject", f"{arn}/phone/v10/config.json", {})
        assert not allows(statements, "s3:GetObject", f"arn:aws:s3:::{planned.audit.name}/phone/v1/x", {})
        through_s3 = {
            "kms:ViaService": "s3.eu-central-1.amazonaws.com",
            "kms:ResourceAliases": "alias/autoglm-prod-models",
        }
        assert allows(statements, "kms:Decrypt", key, through_s3)
        assert not allows(
            statements, "kms:Decrypt", key, through_s3 | {"kms:ViaService": "ebs.amazonaws.com"}
        )
        assert not allows(
            statements, "kms:Decrypt", key, through_s3 | {"kms:ResourceAliases": "alias/autoglm-prod-audit"}
        )


def test_no_statement_has_a_wildcard_action_or_writes_what_it_may_only_read() -> None:
    statements = [
        *model_read_statements(ACCOUNT, plan(), "phone"),
        *audit_write_statements(ACCOUNT, plan(), "pods"),
    ]
    actions = {action for statement in statements for action in statement.actions}
    assert actions == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "kms:Decrypt",
        "kms:GenerateDataKey",
    }
    reading = {action for one in model_read_statements(ACCOUNT, plan(), "p") for action in one.actions}
    assert reading == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt"}
