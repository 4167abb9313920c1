"""What the settings of buckets become, and what is wrong with bad ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.common.problems import Problem
from components.object_storage.plan import plan_buckets
from components.object_storage.settings import Buckets
from tests.unit.object_storage.examples import ACCOUNT, ADMINISTRATOR, PROJECT, plan

BUCKET_NAME = re.compile(
    r"(?!xn--|sthree-|goog)(?!.*(-s3alias|--ol-s3|google))[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
)
"""Amazon S3, "General purpose bucket naming rules"; Cloud Storage, "Bucket naming guidelines"."""


def problems(settings: dict[str, Any], **changes: Any) -> list[Problem]:
    arguments: dict[str, Any] = {
        "account": ACCOUNT,
        "stack": "prod",
        "protect": True,
        "key_administrators": [ADMINISTRATOR],
    }
    planned, found = plan_buckets(Buckets.model_validate(settings), **(arguments | changes))
    assert (planned is None) == bool(found)
    return found


def test_names_are_plain_and_say_whose_they_are() -> None:
    assert [bucket.name for bucket in plan().all] == [
        "autoglm-prod-access-logs-111122223333",
        "autoglm-prod-models-111122223333",
        "autoglm-prod-audit-111122223333",
    ]
    assert plan(account=PROJECT, stack="staging").models.name == "autoglm-staging-models-example-project"


def test_only_protected_audit_data_is_locked() -> None:
    protected, unprotected = plan(), plan(protect=False)
    assert protected.audit.retention is not None
    assert protected.audit.retention.days == 400
    assert protected.audit.retention.locked
    assert [bucket.retention for bucket in (*unprotected.all, protected.models, protected.access_logs)] == [
        None
    ] * 5


def test_protection_can_be_switched_on_later_without_another_bucket() -> None:
    assert plan(protect=False).audit.can_lock
    assert plan(protect=False).audit.name == plan().audit.name


def test_governance_leaves_the_retention_changeable() -> None:
    retention = plan({"audit": {"lockMode": "governance"}}).audit.retention
    assert retention is not None
    assert not retention.locked


@pytest.mark.parametrize("days", [1, 183, 184, 199])
def test_f51_audit_retention_below_200_days_is_refused(days: int) -> None:
    (problem,) = problems({"audit": {"retentionDays": days}})
    assert problem.path == "audit.retentionDays"
    assert problem.message.startswith(f"{days}: ")
    assert problem.message.endswith("write 200 or more")


@pytest.mark.parametrize(
    ("audit", "path", "fix"),
    [
        ({"infrequentAfterDays": 29}, "audit.infrequentAfterDays", "write 30 or more"),
        ({"archiveAfterDays": 59}, "audit.archiveAfterDays", "write 60 or more"),
        ({"expireAfterDays": 400}, "audit.expireAfterDays", "write 401 or more"),
        (
            {"retentionDays": 200, "expireAfterDays": 300, "archiveAfterDays": 300},
            "audit.expireAfterDays",
            "write 301 or more, or move earlier",
        ),
    ],
)
def test_a_lifecycle_that_contradicts_itself_is_refused(audit: dict[str, Any], path: str, fix: str) -> None:
    (problem,) = problems({"audit": audit})
    assert problem.path == path
    assert problem.message.endswith(fix)


def test_keys_that_nobody_administers_are_refused() -> None:
    (problem,) = problems({}, key_administrators=[])
    assert "name the administrators" in problem.message


@pytest.mark.parametrize(
    ("stack", "prefix"), [("Prod", "autoglm"), ("pro_d", "autoglm"), ("prod", "google-x")]
)
def test_names_that_no_bucket_can_have_are_refused(stack: str, prefix: str) -> None:
    (problem,) = problems({"namePrefix": prefix}, stack=stack)
    assert problem.path == "namePrefix"


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        {"audit": {"retentionDays": 1, "infrequentAfterDays": 1, "archiveAfterDays": 2, "expireAfterDays": 1}}
    )
    assert {problem.path for problem in found} == {
        "audit.retentionDays",
        "audit.infrequentAfterDays",
        "audit.archiveAfterDays",
        "audit.expireAfterDays",
    }


def test_f53_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="retentiondays"):
        Buckets.model_validate({"audit": {"retentiondays": 400}})


@settings(deadline=None)
@given(
    prefix=st.from_regex(r"[a-z][a-z0-9-]{1,19}", fullmatch=True),
    stack=st.from_regex(r"[a-z][a-z0-9-]{0,40}", fullmatch=True),
    days=st.integers(200, 4000),
    expiry=st.none() | st.integers(1, 5000),
    protect=st.booleans(),
)
def test_whatever_is_planned_can_be_had_and_is_kept(
    prefix: str, stack: str, days: int, expiry: int | None, protect: bool
) -> None:
    wanted = Buckets.model_validate(
        {"namePrefix": prefix, "audit": {"retentionDays": days, "expireAfterDays": expiry}}
    )
    planned, found = plan_buckets(
        wanted, account=PROJECT, stack=stack, protect=protect, key_administrators=[ADMINISTRATOR]
    )
    if planned is None:
        assert found
        return
    names = [bucket.name for bucket in planned.all]
    assert len(set(names)) == 3
    assert all(BUCKET_NAME.fullmatch(name) for name in names)
    audit = planned.audit
    assert audit.noncurrent_days >= days
    assert audit.expire_after_days is None or audit.expire_after_days > days
    moves = [move.after_days for move in audit.transitions]
    assert moves == sorted(moves)
    assert (audit.retention is not None) == protect
