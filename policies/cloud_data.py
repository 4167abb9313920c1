"""Rules on data in the cloud: encrypted, versioned, locked, and not lost by mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.iam import documents
from policies.resource import Resource, by_type
from policies.rule import KUBERNETES, Option, Rule, Stack, StackResource, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, integer, known_text, show

MIN_RETENTION_DAYS: Final = 200
"""Six calendar months can be 184 days; with a margin for what is written late."""
_MAX_ROTATION_SECONDS: Final = 366 * 24 * 3600
_DAY_SECONDS: Final = 24 * 3600

_S3: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_GCS: Final = "gcp:storage/bucket:Bucket"
_EKS: Final = "aws:eks/cluster:Cluster"
_GKE: Final = "gcp:container/cluster:Cluster"
_KMS: Final = "aws:kms/key:Key"
_COMPANIONS: Final[Mapping[str, tuple[str, str]]] = {
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "encryption",
        "BucketServerSideEncryptionConfiguration",
    ),
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": (
        "encryption",
        "BucketServerSideEncryptionConfiguration",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ("versioning", "BucketVersioning"),
    "aws:s3/bucketVersioningV2:BucketVersioningV2": ("versioning", "BucketVersioning"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("public access", "BucketPublicAccessBlock"),
    "aws:s3/bucketPolicy:BucketPolicy": ("TLS", "BucketPolicy"),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": (
        "lock",
        "BucketObjectLockConfiguration",
    ),
    "aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2": (
        "lock",
        "BucketObjectLockConfiguration",
    ),
}
"""Resources that settle one aspect of an S3 bucket."""


def _on(value: object) -> bool:
    return value is UNKNOWN or value is True


def _s3_encryption(resource: Resource) -> list[str]:
    found: list[str] = []
    for path, rule in resource.items("rules"):
        default = child(rule, "applyServerSideEncryptionByDefault")
        if default is UNKNOWN or rule is UNKNOWN:
            continue
        algorithm = child(default, "sseAlgorithm")
        if algorithm not in ("aws:kms", "aws:kms:dsse", UNKNOWN):
            found.append(
                f"{path}.applyServerSideEncryptionByDefault.sseAlgorithm: "
                f"{known_text(algorithm, frozenset({'AES256'}))}"
            )
        elif not child(default, "kmsMasterKeyId"):
            found.append(f"{path}.applyServerSideEncryptionByDefault.kmsMasterKeyId: is missing")
    return found if resource.value("rules") else ["rules: is missing or empty"]


def _gcs_encryption(resource: Resource) -> list[str]:
    return (
        []
        if resource.value("encryption", "defaultKmsKeyName")
        else ["encryption.defaultKmsKeyName: is missing"]
    )


def _public_block(resource: Resource) -> list[str]:
    return [
        f"{name}: {show(value)}"
        for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        for value in (resource.value(name),)
        if not _on(value)
    ]


_PUBLIC_ACLS: Final = frozenset({"public-read", "public-read-write", "authenticated-read", "website"})


def _acl(resource: Resource) -> list[str]:
    value = resource.value("acl")
    found = [f"acl: is {value}"] if isinstance(value, str) and value in _PUBLIC_ACLS else []
    granted = [(path, child(item, "uri")) for path, item in resource.items("grants")]
    granted += [
        (path, child(item, "grantee", "uri"))
        for path, item in resource.items("accessControlPolicy", "grants")
    ]
    return found + [
        f"{path}: is to everybody"
        for path, uri in granted
        if isinstance(uri, str) and uri.endswith(("/AllUsers", "/AuthenticatedUsers"))
    ]


def _gcs_public(resource: Resource) -> list[str]:
    found: list[str] = []
    prevention = resource.value("publicAccessPrevention")
    if prevention not in ("enforced", UNKNOWN):
        found.append(f"publicAccessPrevention: {known_text(prevention, frozenset({'inherited'}))}")
    if not _on(uniform := resource.value("uniformBucketLevelAccess")):
        found.append(f"uniformBucketLevelAccess: {show(uniform)}")
    return found


def _s3_versioning(resource: Resource) -> list[str]:
    value = resource.value("versioningConfiguration", "status")
    if value in ("Enabled", UNKNOWN):
        return []
    return [f"versioningConfiguration.status: {known_text(value, frozenset({'Suspended', 'Disabled'}))}"]


def _gcs_versioning(resource: Resource) -> list[str]:
    if _on(resource.value("versioning", "enabled")) or resource.value("retentionPolicy") is not None:
        return []
    return [f"versioning.enabled: {show(resource.value('versioning', 'enabled'))}"]


def _bucket_tls(resource: Resource) -> list[str]:
    stated, found = documents(resource, {resource.token: ("policy",)})
    if found or resource.value("policy") is UNKNOWN:
        return found
    refuses = any(
        not one.allows
        and str(child(one.body, "Condition", "Bool", "aws:SecureTransport")).lower() in ("false", "['false']")
        and any(value == "*" for _, value in one.principals())
        for one in stated
    )
    return [] if refuses else ["policy: nothing denies requests without TLS (aws:SecureTransport)"]


def _lock_days(resource: Resource) -> list[str]:
    retention = resource.value("rule", "defaultRetention")
    days, years = child(retention, "days"), child(retention, "years")
    if UNKNOWN in (retention, days, years):
        return []
    total = integer(days) or (integer(years) or 0) * 365
    if total >= MIN_RETENTION_DAYS:
        return []
    return [f"rule.defaultRetention.days: {show(days)}, less than {MIN_RETENTION_DAYS}"]


def _gcs_retention(resource: Resource) -> list[str]:
    period = resource.value("retentionPolicy", "retentionPeriod")
    if resource.value("retentionPolicy") is None or period is UNKNOWN:
        return []
    seconds = (
        int(period) if isinstance(period, str) and re.fullmatch(r"[0-9]{1,12}", period) else integer(period)
    )
    if seconds is not None and seconds >= MIN_RETENTION_DAYS * _DAY_SECONDS:
        return []
    return [
        f"retentionPolicy.retentionPeriod: {show(period)}, less than {MIN_RETENTION_DAYS} days in seconds"
    ]


def _audit(properties: Mapping[str, object]) -> bool:
    """Tagged or labelled as holding the audit log."""
    return any(child(properties, name, "purpose") == "audit" for name in ("tags", "labels", "tagsAll"))


def _gcs_audit(resource: Resource) -> list[str]:
    if not _audit(resource.properties) or resource.option("audit-retention", "required") is False:
        return []
    if resource.value("retentionPolicy") is None:
        return ["retentionPolicy: is missing, of a bucket that holds the audit log"]
    return []


def _s3_audit(resource: Resource) -> list[str]:
    if not _audit(resource.properties) or resource.option("audit-retention", "required") is False:
        return []
    value = resource.value("objectLockEnabled")
    return [] if _on(value) else [f"objectLockEnabled: {show(value)}, of a bucket that holds the audit log"]


def _kms_rotation(resource: Resource) -> list[str]:
    usage, spec = resource.value("keyUsage"), resource.value("customerMasterKeySpec")
    if usage not in (None, "ENCRYPT_DECRYPT") or spec not in (None, "SYMMETRIC_DEFAULT"):
        return []
    value = resource.value("enableKeyRotation")
    return [] if _on(value) else [f"enableKeyRotation: {show(value)}"]


def _gcp_rotation(resource: Resource) -> list[str]:
    if resource.value("purpose") not in (None, "ENCRYPT_DECRYPT"):
        return []
    period = resource.value("rotationPeriod")
    if period is UNKNOWN:
        return []
    match = re.fullmatch(r"([0-9]{1,12})(?:\.[0-9]{1,9})?s", period) if isinstance(period, str) else None
    if match and int(match[1]) <= _MAX_ROTATION_SECONDS:
        return []
    return [f"rotationPeriod: {'is longer than a year' if match else show(period)}"]


def _key_owner(resource: Resource) -> list[str]:
    stated, found = documents(resource, {resource.token: ("policy",)})
    if resource.value("bypassPolicyLockoutSafetyCheck") not in (None, False, UNKNOWN):
        found.append("bypassPolicyLockoutSafetyCheck: lets a key lose its owner")
    if resource.value("policy") is UNKNOWN or found:
        return found
    owners = [
        one
        for one in stated
        if one.allows
        and any(action in ("kms:*", "kms:PutKeyPolicy", "kms:Put*") for action in one.texts("Action"))
        and any(kind == "AWS" and "*" not in value for kind, value in one.principals())
    ]
    return found if owners else [f"policy: {'names no owner' if stated else 'is missing'}"]


def _eks_secrets(resource: Resource) -> list[str]:
    config = resource.value("encryptionConfig")
    if config is UNKNOWN:
        return []
    resources = resource.value("encryptionConfig", "resources")
    found: list[str] = []
    stated = [item for _, item in elements(resources)]
    if resources is not UNKNOWN and UNKNOWN not in stated and "secrets" not in stated:
        found.append("encryptionConfig.resources: secrets is missing")
    if not resource.value("encryptionConfig", "provider", "keyArn"):
        found.append("encryptionConfig.provider.keyArn: is missing")
    return found


def _gke_secrets(resource: Resource) -> list[str]:
    state = resource.value("databaseEncryption", "state")
    found: list[str] = []
    if state not in ("ENCRYPTED", "ALL_OBJECTS_ENCRYPTION_ENABLED", UNKNOWN):
        found.append(f"databaseEncryption.state: {known_text(state, frozenset({'DECRYPTED'}))}")
    if not resource.value("databaseEncryption", "keyName"):
        found.append("databaseEncryption.keyName: is missing")
    return found


def _encrypted_flag(resource: Resource) -> list[str]:
    value = resource.value("encrypted")
    return [] if _on(value) else [f"encrypted: {show(value)}"]


def _template_disks(resource: Resource) -> list[str]:
    return [
        f"{path}.ebs.encrypted: {show(value)}"
        for path, item in resource.items("blockDeviceMappings")
        for disk in (child(item, "ebs"),)
        for value in (child(disk, "encrypted"),)
        if disk is not None and not (_on(value) or (isinstance(value, str) and value.lower() == "true"))
    ]


def _storage_classes(resource: Resource) -> list[str]:
    found: list[str] = []
    for one in resource.of_kind("StorageClass"):
        if child(one.body, "provisioner") not in ("ebs.csi.aws.com", "kubernetes.io/aws-ebs"):
            continue
        value = child(one.body, "parameters", "encrypted")
        if value is UNKNOWN or (isinstance(value, str) and value.lower() == "true"):
            continue
        found.append(f"{one} {one.at('parameters', 'encrypted')}: {show(value)}")
    return found


def _deletion_protection(resource: Resource) -> list[str]:
    if resource.option("deletion-protection", "required") is False:
        return []
    found: list[str] = []
    name = _PROTECTION_FLAGS.get(resource.token)
    if name and not _on(value := resource.value(name)):
        found.append(f"{name}: {show(value)}")
    if resource.value("forceDestroy") not in (None, False, UNKNOWN):
        found.append("forceDestroy: deletes what it holds")
    if not resource.protect:
        found.append("the resource option protect: is not set")
    return found


_PROTECTION_FLAGS: Final[Mapping[str, str]] = {
    _EKS: "deletionProtection",
    _GKE: "deletionProtection",
    "gcp:filestore/instance:Instance": "deletionProtectionEnabled",
}
_PROTECTED_TYPES: Final = frozenset(
    {
        *_S3,
        _GCS,
        _EKS,
        _GKE,
        _KMS,
        "gcp:filestore/instance:Instance",
        "gcp:kms/cryptoKey:CryptoKey",
        "aws:efs/fileSystem:FileSystem",
        "aws:ebs/volume:Volume",
    }
)


def _companions(stack: Stack) -> list[StackViolation]:
    """S3 buckets of which an aspect is settled nowhere."""
    settled: dict[str, set[str]] = {}
    by_name: dict[str, set[str]] = {}
    for one in stack.resources:
        aspect = _COMPANIONS.get(one.token)
        if aspect is None:
            continue
        for urn in one.sources.get("bucket", frozenset()) or one.dependencies:
            settled.setdefault(urn, set()).add(aspect[1])
        name = one.properties.get("bucket")
        if isinstance(name, str):
            by_name.setdefault(name, set()).add(aspect[1])
    found: list[StackViolation] = []
    for one in stack.resources:
        if one.token not in _S3:
            continue
        name = one.properties.get("bucket")
        have = settled.get(one.urn, set()) | (by_name.get(name, set()) if isinstance(name, str) else set())
        missing = [kind for kind in _wanted(one, stack) if kind not in have]
        if missing:
            found.append(StackViolation(one.urn, f"Bucket: no {', no '.join(missing)}"))
    return found


def _wanted(bucket: StackResource, stack: Stack) -> list[str]:
    wanted = [
        "BucketServerSideEncryptionConfiguration",
        "BucketVersioning",
        "BucketPublicAccessBlock",
        "BucketPolicy",
    ]
    required = stack.option("audit-retention", "required") is not False
    return [*wanted, *(["BucketObjectLockConfiguration"] if required and _audit(bucket.properties) else [])]


_ENCRYPTION_TYPES: Final = {
    **{token: _s3_encryption for token, (aspect, _) in _COMPANIONS.items() if aspect == "encryption"},
    _GCS: _gcs_encryption,
}
_PUBLIC_TYPES: Final = {
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_block,
    "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock": _public_block,
    "aws:s3/bucketAcl:BucketAcl": _acl,
    **dict.fromkeys(_S3, _acl),
    _GCS: _gcs_public,
}
_VERSIONING_TYPES: Final = {
    **{token: _s3_versioning for token, (aspect, _) in _COMPANIONS.items() if aspect == "versioning"},
    _GCS: _gcs_versioning,
}
_RETENTION_TYPES: Final = {
    **{token: _lock_days for token, (aspect, _) in _COMPANIONS.items() if aspect == "lock"},
    **dict.fromkeys(_S3, _s3_audit),
    _GCS: lambda resource: _gcs_retention(resource) + _gcs_audit(resource),
}
_ROTATION_TYPES: Final = {_KMS: _kms_rotation, "gcp:kms/cryptoKey:CryptoKey": _gcp_rotation}
_SECRET_TYPES: Final = {_EKS: _eks_secrets, _GKE: _gke_secrets}
_VOLUME_TYPES: Final = {
    "aws:efs/fileSystem:FileSystem": _encrypted_flag,
    "aws:ebs/volume:Volume": _encrypted_flag,
    "aws:ec2/launchTemplate:LaunchTemplate": _template_disks,
}


def _volumes(resource: Resource) -> list[str]:
    if resource.token.startswith("kubernetes:"):
        return _storage_classes(resource)
    return by_type(_VOLUME_TYPES)(resource)


_REQUIRED: Final = {"type": "boolean"}

RULES: Final = (
    Rule(
        id="bucket-encryption",
        severity="high",
        title="Buckets are encrypted with a key of the platform's own",
        rationale="With the provider's key nobody can see or stop who decrypts.",
        fix="name the key: sseAlgorithm aws:kms with kmsMasterKeyId, or encryption.defaultKmsKeyName",
        judge=by_type(_ENCRYPTION_TYPES),
        types=frozenset(_ENCRYPTION_TYPES),
    ),
    Rule(
        id="bucket-public-access",
        severity="critical",
        title="No bucket can be made public",
        rationale="One wrong policy or ACL later, weights or audit log lie on the internet.",
        fix=(
            "set all four fields of BucketPublicAccessBlock, or publicAccessPrevention: enforced and "
            "uniformBucketLevelAccess: true"
        ),
        judge=by_type(_PUBLIC_TYPES),
        types=frozenset(_PUBLIC_TYPES),
    ),
    Rule(
        id="bucket-versioning",
        severity="high",
        title="Buckets keep what is overwritten",
        rationale="Without versions a wrong upload, or ransom, is final.",
        fix="set versioning to Enabled",
        judge=by_type(_VERSIONING_TYPES),
        types=frozenset(_VERSIONING_TYPES),
    ),
    Rule(
        id="bucket-tls",
        severity="high",
        title="A bucket refuses requests without TLS",
        rationale="Weights and logs, and the signatures on requests, could be read on the way.",
        fix='add a statement: Effect Deny, Principal "*", Condition Bool aws:SecureTransport false',
        judge=_bucket_tls,
        types=frozenset({"aws:s3/bucketPolicy:BucketPolicy"}),
    ),
    Rule(
        id="audit-retention",
        severity="critical",
        title=f"What is locked stays so for {MIN_RETENTION_DAYS} days, and the audit log is locked",
        rationale="Whoever breaks in deletes the log; six calendar months have up to 184 days.",
        fix=f"lock it for {MIN_RETENTION_DAYS} days or more",
        judge=by_type(_RETENTION_TYPES),
        types=frozenset(_RETENTION_TYPES),
        options={
            "required": Option(
                _REQUIRED, True, "false: the audit log need not be locked (no data to protect)."
            )
        },
    ),
    Rule(
        id="key-rotation",
        severity="medium",
        title="Keys are rotated every year",
        rationale="A key that leaked once would open everything for ever.",
        fix='set enableKeyRotation: true, or rotationPeriod: "7776000s"',
        judge=by_type(_ROTATION_TYPES),
        types=frozenset(_ROTATION_TYPES),
    ),
    Rule(
        id="key-owner",
        severity="critical",
        title="A key has an owner who can change its policy",
        rationale="Without one nobody can ever manage or delete it, and what it encrypts is lost.",
        fix="state a policy that allows kms:* to the account or to named roles",
        judge=_key_owner,
        types=frozenset({_KMS}),
    ),
    Rule(
        id="cluster-secrets-encryption",
        severity="high",
        title="A cluster's secrets are encrypted with a key of the platform's own",
        rationale="A copy of etcd would hold every secret in the clear.",
        fix="set encryptionConfig with a KMS key, or databaseEncryption: ENCRYPTED with keyName",
        judge=by_type(_SECRET_TYPES),
        types=frozenset(_SECRET_TYPES),
    ),
    Rule(
        id="volume-encryption",
        severity="high",
        title="Disks and file systems are encrypted",
        rationale="Snapshots and discarded disks would be readable.",
        fix="set encrypted: true",
        judge=_volumes,
        types=frozenset({KUBERNETES, *_VOLUME_TYPES}),
    ),
    Rule(
        id="deletion-protection",
        severity="critical",
        title="What holds data, or everything else, is not deleted by mistake",
        rationale="A wrong name or a removed line of code would take cluster, weights and logs with it.",
        fix="set protect and the resource's own deletion protection, and no forceDestroy",
        judge=_deletion_protection,
        types=_PROTECTED_TYPES,
        options={
            "required": Option(_REQUIRED, True, "false: the stack holds nothing that is worth protecting.")
        },
    ),
)
"""Rules on data in the cloud."""

STACK_RULES: Final = (
    StackRule(
        id="bucket-complete",
        severity="critical",
        title="Every S3 bucket is encrypted, versioned, closed to the public and to requests without TLS",
        rationale="These are resources of their own: a bucket without them is open in that respect.",
        fix="add the resources, with the bucket's id as `bucket`",
        judge=_companions,
    ),
)
"""Rules on data as a whole."""
