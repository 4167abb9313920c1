"""The GcsBuckets component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import kms, storage

from components.common.accounts import GcpProject
from components.common.names import label_value
from components.common.outputs import known_after
from components.object_storage.plan import BucketPlan, BucketsPlan, Storage

PURPOSE_LABEL: Final = "purpose"
"""Label that says what a bucket or key is for: `models`, `audit`, `access-logs`."""
LOG_WRITERS: Final = "group:cloud-storage-analytics@google.com"
"""Who delivers usage logs (Cloud Storage documentation, "Usage logs & storage logs")."""
READER_ROLE: Final = "roles/storage.objectViewer"
WRITER_ROLE: Final = "roles/storage.objectCreator"
ROTATION_SECONDS: Final = 90 * 86400
"""CIS Google Cloud Platform Foundation Benchmark 1.10."""
DESTRUCTION_SECONDS: Final = 30 * 86400
SOFT_DELETE_SECONDS: Final = {True: 7 * 86400, False: 0}
"""How long deleted objects can be restored, by whether the data is protected; 7 days is Cloud Storage's
own."""
_STORAGE_CLASS: dict[Storage, str] = {"infrequent": "NEARLINE", "archive": "COLDLINE"}


@dataclass(frozen=True)
class GcsBucketsArgs:
    """Inputs of GcsBuckets."""

    plan: BucketsPlan
    project: GcpProject
    key_administrators: tuple[str, ...]
    """IAM members that manage the keys, and cannot decrypt with them."""
    model_readers: tuple[str, ...] = ()
    """Principals that read published models: the fetch Jobs' service accounts."""
    audit_writers: tuple[str, ...] = ()
    """Principals that add to the audit trail; they cannot read, change or delete what is in it."""


class GcsBuckets(pulumi.ComponentResource):
    """Buckets for published models, for the audit trail, and for the record of who used the two.

    Each is private, with access by IAM only. Models and audit are encrypted with a key each and refuse any
    other. A version that is replaced or deleted stays for a while. With protected data, the audit bucket has
    a retention policy instead, under which nothing is replaced or deleted at all: Cloud Storage has
    documented the two as mutually exclusive. What holds data is kept even where its deletion is forced.

    Cloud Storage has no setting for TLS on a bucket: its clients send tokens, over TLS only; the lowest
    version is the organisation policy `gcp.restrictTLSVersion`. The project's Cloud Storage service agent has
    to exist (`gcloud storage service-agent`).
    """

    models: pulumi.Output[str]
    """Name of the bucket of published models, for dependents only once it is ready."""
    audit: pulumi.Output[str]
    """Name of the audit bucket, likewise."""

    def __init__(self, name: str, args: GcsBucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:object_storage:GcsBuckets", name, None, opts)
        plan, project = args.plan, args.project
        ring_name, ring_id = _key_ring(plan, project)
        ring = kms.KeyRing(
            name,
            name=ring_name,
            project=project.project,
            location=project.region,
            opts=self._options(plan, guards_data=True),
        )
        ring_made = known_after(ring_id, ring)
        logs = self._bucket(f"{name}-{plan.access_logs.purpose}", args, plan.access_logs)
        delivery = storage.BucketIAMMember(
            f"{name}-{plan.access_logs.purpose}-delivery",
            bucket=known_after(plan.access_logs.name, logs),
            role=WRITER_ROLE,
            member=LOG_WRITERS,
            opts=self._options(plan),
        )
        log_name = known_after(plan.access_logs.name, logs, delivery)
        ready: dict[str, list[pulumi.Resource]] = {}
        for bucket, role, members in (
            (plan.models, READER_ROLE, args.model_readers),
            (plan.audit, WRITER_ROLE, args.audit_writers),
        ):
            bucket_name = f"{name}-{bucket.purpose}"
            made = self._bucket(
                bucket_name,
                args,
                bucket,
                log_bucket=log_name,
                key=self._key(bucket_name, args, bucket, ring_made),
            )
            grants = self._grants(bucket_name, plan, known_after(bucket.name, made), role, members)
            ready[bucket.purpose] = [made, *grants]
        self.models = known_after(plan.models.name, *ready[plan.models.purpose])
        self.audit = known_after(plan.audit.name, *ready[plan.audit.purpose])
        self.register_outputs({"models": self.models, "audit": self.audit})

    def _options(self, plan: BucketsPlan, *, guards_data: bool = False) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, protect=guards_data and plan.protect, retain_on_delete=plan.protect
        )

    def _key(
        self, name: str, args: GcsBucketsArgs, bucket: BucketPlan, ring: pulumi.Input[str]
    ) -> pulumi.Output[str]:
        """Id of the bucket's own key, for dependents only once Cloud Storage may use it."""
        plan, project = args.plan, args.project
        key = kms.CryptoKey(
            name,
            name=bucket.purpose,
            key_ring=ring,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=f"{ROTATION_SECONDS}s",
            destroy_scheduled_duration=f"{DESTRUCTION_SECONDS}s",
            version_template=kms.CryptoKeyVersionTemplateArgs(
                algorithm="GOOGLE_SYMMETRIC_ENCRYPTION", protection_level="SOFTWARE"
            ),
            deletion_policy="PREVENT" if plan.protect else "DELETE",
            labels={PURPOSE_LABEL: bucket.purpose},
            opts=self._options(plan, guards_data=True),
        )
        key_id = f"{_key_ring(plan, project)[1]}/cryptoKeys/{bucket.purpose}"
        used = kms.CryptoKeyIAMMember(
            f"{name}-storage",
            crypto_key_id=known_after(key_id, key),
            role="roles/cloudkms.cryptoKeyEncrypterDecrypter",
            member=f"serviceAccount:service-{project.number}@gs-project-accounts.iam.gserviceaccount.com",
            # Without it nothing in the bucket can be read.
            opts=self._options(plan, guards_data=True),
        )
        for administrator in args.key_administrators:
            kms.CryptoKeyIAMMember(
                f"{name}-{label_value(administrator)}",
                crypto_key_id=known_after(key_id, key),
                role="roles/cloudkms.admin",
                member=administrator,
                opts=self._options(plan),
            )
        return known_after(key_id, key, used)

    def _bucket(
        self,
        name: str,
        args: GcsBucketsArgs,
        plan: BucketPlan,
        *,
        log_bucket: pulumi.Input[str] | None = None,
        key: pulumi.Input[str] | None = None,
    ) -> storage.Bucket:
        protect = args.plan.protect
        return storage.Bucket(
            name,
            name=plan.name,
            project=args.project.project,
            location=args.project.region.upper(),
            storage_class="STANDARD",
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=plan.retention is None),
            retention_policy=storage.BucketRetentionPolicyArgs(
                retention_period=str(plan.retention.days * 86400), is_locked=plan.retention.locked
            )
            if plan.retention
            else None,
            encryption=_only(key) if key else None,
            logging=storage.BucketLoggingArgs(log_bucket=log_bucket, log_object_prefix=plan.purpose)
            if log_bucket
            else None,
            lifecycle_rules=_lifecycle(plan),
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=SOFT_DELETE_SECONDS[protect]
            ),
            force_destroy=not protect,
            deletion_policy="PREVENT" if protect else "DELETE",
            labels={PURPOSE_LABEL: plan.purpose},
            opts=self._options(args.plan, guards_data=True),
        )

    def _grants(
        self,
        name: str,
        plan: BucketsPlan,
        bucket: pulumi.Input[str],
        role: str,
        members: tuple[str, ...],
    ) -> list[storage.BucketIAMMember]:
        return [
            storage.BucketIAMMember(
                # The end of a principal names the service account; its beginning is the same for all.
                f"{name}-{label_value(member.split('/subject/')[-1])}",
                bucket=bucket,
                role=role,
                member=member,
                opts=self._options(plan),
            )
            for member in members
        ]


def _key_ring(plan: BucketsPlan, project: GcpProject) -> tuple[str, str]:
    """Name and id of the stack's key ring. Key rings can never be deleted, so a stack comes back to its
    own."""
    name = f"{plan.key_names}-storage"
    return name, f"projects/{project.project}/locations/{project.region}/keyRings/{name}"


def _only(key: pulumi.Input[str]) -> storage.BucketEncryptionArgs:
    """The bucket's own key, and no other kind of encryption for new objects."""
    return storage.BucketEncryptionArgs(
        default_kms_key_name=key,
        google_managed_encryption_enforcement_config=(
            storage.BucketEncryptionGoogleManagedEncryptionEnforcementConfigArgs(
                restriction_mode="FullyRestricted"
            )
        ),
        customer_supplied_encryption_enforcement_config=(
            storage.BucketEncryptionCustomerSuppliedEncryptionEnforcementConfigArgs(
                restriction_mode="FullyRestricted"
            )
        ),
        customer_managed_encryption_enforcement_config=(
            storage.BucketEncryptionCustomerManagedEncryptionEnforcementConfigArgs(
                restriction_mode="NotRestricted"
            )
        ),
    )


def _lifecycle(plan: BucketPlan) -> list[storage.BucketLifecycleRuleArgs]:
    rules = [
        _rule("AbortIncompleteMultipartUpload", age=plan.abort_uploads_after_days),
        *(
            _rule("SetStorageClass", _STORAGE_CLASS[move.storage], age=move.after_days)
            for move in plan.transitions
        ),
    ]
    if plan.expire_after_days:
        rules.append(_rule("Delete", age=plan.expire_after_days, state="LIVE"))
    if plan.retention is None:
        rules.append(_rule("Delete", noncurrent=plan.noncurrent_days, state="ARCHIVED"))
    return rules


def _rule(
    action: str,
    storage_class: str | None = None,
    *,
    age: int | None = None,
    noncurrent: int | None = None,
    state: str | None = None,
) -> storage.BucketLifecycleRuleArgs:
    return storage.BucketLifecycleRuleArgs(
        action=storage.BucketLifecycleRuleActionArgs(type=action, storage_class=storage_class),
        condition=storage.BucketLifecycleRuleConditionArgs(
            age=age, days_since_noncurrent_time=noncurrent, with_state=state
        ),
    )
