"""From the settings of the buckets to what is made of each. No Pulumi in here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from components.common.accounts import AwsAccount, GcpProject
from components.common.names import bounded_name
from components.common.problems import Problem
from components.object_storage.settings import SHORTEST_RETENTION_DAYS, AuditBucket, Buckets

MODELS: Final = "models"
AUDIT: Final = "audit"
ACCESS_LOGS: Final = "access-logs"

SOONEST_INFREQUENT_DAYS: Final = 30
"""S3 takes no object into STANDARD_IA sooner, nor out of it before as many days more
(Amazon S3 User Guide, "Transitioning objects using Amazon S3 Lifecycle")."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{1,61})[a-z0-9]")
"""What both S3 and Cloud Storage accept; dots are left out, since certificates do not cover them."""

Storage = Literal["infrequent", "archive"]


@dataclass(frozen=True)
class Transition:
    """A move to cheaper storage."""

    after_days: int
    storage: Storage


@dataclass(frozen=True)
class Retention:
    """How long nobody can delete or change an object."""

    days: int
    locked: bool
    """Whether the retention itself can be shortened by nobody."""


@dataclass(frozen=True)
class BucketPlan:
    """One bucket."""

    purpose: str
    name: str
    """Globally unique."""
    noncurrent_days: int
    """How long versions stay that were replaced or deleted."""
    abort_uploads_after_days: int
    own_key: bool
    """Encrypted with a key of its own; else with the cloud's."""
    can_lock: bool = False
    """Whether objects in it can be locked at all. Set from the beginning, since S3 makes another bucket of
    it."""
    retention: Retention | None = None
    expire_after_days: int | None = None
    transitions: tuple[Transition, ...] = ()


@dataclass(frozen=True)
class BucketsPlan:
    """The buckets of a stack."""

    models: BucketPlan
    audit: BucketPlan
    access_logs: BucketPlan
    """Who read and wrote the other two."""
    key_names: str
    """What names of the keys begin with."""
    protect: bool
    """Whether the buckets and keys are kept from deletion."""

    @property
    def all(self) -> tuple[BucketPlan, ...]:
        """Every bucket; the one that records access comes first."""
        return (self.access_logs, self.models, self.audit)


def plan_buckets(
    settings: Buckets,
    *,
    account: AwsAccount | GcpProject,
    stack: str,
    protect: bool,
    key_administrators: Sequence[str],
) -> tuple[BucketsPlan | None, list[Problem]]:
    """The buckets of `stack`, or what is wrong with their settings. Paths are relative to the section."""
    owner = account.account_id if isinstance(account, AwsAccount) else account.project
    names = {
        purpose: bounded_name(settings.name_prefix, stack, purpose, owner)
        for purpose in (MODELS, AUDIT, ACCESS_LOGS)
    }
    problems = [*_name_problems(settings, stack, names[ACCESS_LOGS]), *_audit_problems(settings.audit)]
    if not key_administrators:
        problems.append(
            Problem(
                "", "nobody administers their keys; name the administrators of keys in the section cluster"
            )
        )
    if problems:
        return None, problems
    audit, abort = settings.audit, settings.abort_uploads_after_days
    locked = Retention(audit.retention_days, audit.lock_mode == "compliance")
    return (
        BucketsPlan(
            models=BucketPlan(MODELS, names[MODELS], settings.models.noncurrent_days, abort, own_key=True),
            audit=BucketPlan(
                AUDIT,
                names[AUDIT],
                noncurrent_days=audit.retention_days,
                abort_uploads_after_days=abort,
                own_key=True,
                can_lock=True,
                retention=locked if protect else None,
                expire_after_days=audit.expire_after_days,
                transitions=_transitions(audit),
            ),
            access_logs=BucketPlan(
                ACCESS_LOGS,
                names[ACCESS_LOGS],
                noncurrent_days=SOONEST_INFREQUENT_DAYS,
                abort_uploads_after_days=abort,
                # S3 delivers access logs only to a bucket with its own encryption ("Enabling Amazon S3 server
                # access logging"), and to none with object lock.
                own_key=False,
                expire_after_days=settings.access_log_days,
            ),
            key_names=f"{settings.name_prefix}-{stack}",
            protect=protect,
        ),
        [],
    )


def _transitions(audit: AuditBucket) -> tuple[Transition, ...]:
    moves: tuple[tuple[int | None, Storage], ...] = (
        (audit.infrequent_after_days, "infrequent"),
        (audit.archive_after_days, "archive"),
    )
    return tuple(Transition(days, storage) for days, storage in moves if days is not None)


def _name_problems(settings: Buckets, stack: str, longest: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(longest):
        yield Problem(
            "namePrefix",
            f"{longest!r}: no name of a bucket, which has lower-case letters, digits and dashes; rename the "
            f"stack ({stack!r}) or change the prefix",
        )
    # Reserved by Cloud Storage ("Bucket naming guidelines"); refused everywhere, so that a stack can move.
    if "google" in longest or longest.startswith("goog"):
        yield Problem(
            "namePrefix", f"{longest!r}: Cloud Storage refuses names with 'google'; choose another prefix"
        )


def _audit_problems(audit: AuditBucket) -> Iterator[Problem]:
    if audit.retention_days < SHORTEST_RETENTION_DAYS:
        yield Problem(
            "audit.retentionDays",
            f"{audit.retention_days}: six months can be 184 days and need time to be looked at; write "
            f"{SHORTEST_RETENTION_DAYS} or more",
        )
    infrequent, archive, expiry = (
        audit.infrequent_after_days,
        audit.archive_after_days,
        audit.expire_after_days,
    )
    if infrequent is not None and infrequent < SOONEST_INFREQUENT_DAYS:
        yield Problem(
            "audit.infrequentAfterDays",
            f"{infrequent}: S3 moves nothing there sooner; write {SOONEST_INFREQUENT_DAYS} or more",
        )
    if infrequent is not None and archive is not None and archive < infrequent + SOONEST_INFREQUENT_DAYS:
        yield Problem(
            "audit.archiveAfterDays",
            f"{archive}: less than {SOONEST_INFREQUENT_DAYS} days after infrequentAfterDays {infrequent}; "
            f"write {infrequent + SOONEST_INFREQUENT_DAYS} or more",
        )
    if expiry is None:
        return
    if expiry <= audit.retention_days:
        yield Problem(
            "audit.expireAfterDays",
            f"{expiry}: not more than retentionDays {audit.retention_days}; write "
            f"{audit.retention_days + 1} or more",
        )
    last = max((move.after_days for move in _transitions(audit)), default=0)
    if expiry <= last:
        yield Problem(
            "audit.expireAfterDays",
            f"{expiry}: not more than the last move to cheaper storage, after {last} days; write "
            f"{last + 1} or more, or move earlier",
        )
