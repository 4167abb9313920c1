"""The buckets section of a stack, as people write it. The same on every cloud."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.schema import FrozenModel, PositiveInt

SHORTEST_RETENTION_DAYS: Final = 200
"""Six calendar months are up to 184 days; the rest is for reading what happened after they are over."""

RetentionDays = Annotated[PositiveInt, Field(json_schema_extra={"minimum": SHORTEST_RETENTION_DAYS})]


class ModelBucket(FrozenModel):
    """Where published models lie, each under a prefix of its own; the fetch Jobs read from it."""

    noncurrent_days: PositiveInt = 90
    """How long a version stays that was replaced or deleted."""


class AuditBucket(FrozenModel):
    """Where the audit trail ends up. With `dataProtection: protected` nobody can delete or change what is in
    it before its retention is over."""

    retention_days: RetentionDays = 400
    """How long each object is kept, 200 days at least."""
    lock_mode: Literal["compliance", "governance"] = "compliance"
    """`compliance`: not even the account's root can shorten the retention. `governance`: on Amazon S3 nobody
    can while the bucket's policy stands; on Google Cloud the retention policy is not locked, so that an
    administrator of the bucket can."""
    expire_after_days: PositiveInt | None = None
    """When objects are deleted; without it, never. More than `retentionDays`."""
    infrequent_after_days: PositiveInt | None = 30
    """When objects move to the class for what is read once a month: STANDARD_IA, NEARLINE."""
    archive_after_days: PositiveInt | None = 90
    """When objects move to the class for what is read once a quarter, still at once: GLACIER_IR, COLDLINE."""


class Buckets(FrozenModel):
    """Buckets of the stack. Their names are `<namePrefix>-<stack>-<purpose>-<account or project>`."""

    name_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,19}$")] = "autoglm"
    """First part of the names, 2 to 20 lower-case letters, digits and dashes."""
    models: ModelBucket = Field(default_factory=ModelBucket)
    """Published models."""
    audit: AuditBucket = Field(default_factory=AuditBucket)
    """Audit trail."""
    access_log_days: PositiveInt = 400
    """How long the record of who read and wrote the two is kept."""
    abort_uploads_after_days: PositiveInt = 7
    """When the parts of an upload that was never completed are deleted."""
