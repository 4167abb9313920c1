"""What is refused of the audit trail's settings, and what a plan says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_trail.anomalies import Thresholds, parse_thresholds
from audit_trail.cli import _parser
from components.audit import api_server
from components.audit.plan import IMAGE, AuditPlan, Logs, needed_bytes, plan_audit
from components.audit.settings import Audit
from components.common.problems import Problem
from tests.unit.changes import changed

KEY = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + bytes(range(32))).decode()
PEM = f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n"
OTHER = PEM.replace("AAEC", "AAED")
IMAGES = {IMAGE: f"registry.example.com/audit@sha256:{'a' * 64}"}
LOGS = Logs(("autoglm_*/vllm/*.log*",), ("entry_*/haproxy/*.log*",))
EXAMPLE: dict[str, Any] = {"signing": {"kind": "secret", "secretName": "signing", "publicKeys": [PEM]}}


def plan(
    changes: dict[str, Any] | None = None, *, protect: bool = True, **given: Any
) -> tuple[AuditPlan | None, list[Problem]]:
    document = changed(EXAMPLE, changes)
    # `changed` removes what is None; here it has a meaning.
    document |= {key: None for key, value in (changes or {}).items() if value is None}
    settings = Audit.model_validate(document)
    options: dict[str, Any] = {"images": IMAGES, "logs": LOGS, **given}
    return plan_audit(settings, protect=protect, **options)


def planned(changes: dict[str, Any] | None = None, **given: Any) -> AuditPlan:
    found, problems = plan(changes, **given)
    assert problems == []
    assert found is not None
    return found


def paths(changes: dict[str, Any], **given: Any) -> list[str]:
    found, problems = plan(changes, **given)
    assert (found is None) == bool(problems)
    return [problem.path for problem in problems]


@pytest.mark.parametrize("days", [1, 90, 183, 184, 199])
def test_f51_audit_retention_below_200_days_is_refused(days: int) -> None:
    found, (problem,) = plan({"retentionDays": days})
    assert found is None
    assert problem.path == "retentionDays"
    assert f"{days}: six months can be 184 days" in problem.message
    assert problem.message.endswith("write 200 or more")


def test_200_days_are_enough() -> None:
    assert planned({"retentionDays": 200}).settings.retention_days == 200


def test_a_key_beside_what_it_protects_is_refused_where_data_is_protected() -> None:
    generated = {"signing": {"kind": "generated"}}
    assert Audit.model_validate(generated)
    settings = Audit.model_validate(generated)
    found, (problem,) = plan_audit(settings, images=IMAGES, logs=LOGS, protect=True)
    assert (found, problem.path) == (None, "signing.kind")
    assert plan_audit(settings, images=IMAGES, logs=LOGS, protect=False)[1] == []


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "nothing",
        PEM.replace("PUBLIC", "PRIVATE"),
        PEM.replace(KEY, KEY[:-4]),
        PEM.replace(KEY, base64.b64encode(bytes(44)).decode()),
        PEM.replace(KEY, "&&&&"),
    ],
)
def test_what_is_no_public_key_is_refused_and_not_repeated(pem: str) -> None:
    _, (problem,) = plan({"signing.publicKeys": [PEM, pem]})
    assert problem.path == "signing.publicKeys[1]"
    assert pem.strip() == "" or pem.strip() not in problem.message


def test_keys_rotate() -> None:
    assert planned({"signing.publicKeys": [PEM, OTHER]})
    assert paths({"signing.publicKeys": [PEM, OTHER, PEM]}) == ["signing.publicKeys[2]"]


def test_the_volume_holds_what_is_recorded() -> None:
    assert paths({"recordsPerDay": 1_000_000}) == ["storage.size"]
    assert needed_bytes(planned({"recordsPerDay": 10_000}).settings) == 10_000 * 400 * 600


def test_each_node_has_a_collector() -> None:
    assert paths({"collectors": 3}, nodes=2) == ["collectors"]
    assert planned({"collectors": 3}, nodes=3).trails == tuple(f"audit-collector-{i}" for i in range(3))


def test_the_log_of_an_api_server_of_a_cloud_is_not_looked_for() -> None:
    assert paths({}, managed_api_server=True) == ["apiServerLog"]
    assert planned({"apiServerLog": None}, managed_api_server=True)
    assert paths({"apiServerLog": None}, logs=Logs()) == ["apiServerLog"]


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "", "../etc/passwd", "/etc/localtime"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    assert paths({"timeZone": zone}) == ["timeZone"]


def test_an_image_that_is_not_listed_is_refused() -> None:
    assert paths({}, images={"other": "x"}) == [""]
    assert plan({}, images={})[1] == []


def test_a_limit_below_the_request_is_refused() -> None:
    assert paths({"resources": {"cpu": "100m", "cpuLimit": "50m"}}) == ["resources.cpuLimit"]


def test_all_problems_are_told_at_once() -> None:
    found = paths(
        {"retentionDays": 10, "timeZone": "x", "collectors": 2, "signing.publicKeys": [""]}, nodes=1
    )
    assert found == ["retentionDays", "signing.publicKeys[0]", "collectors", "timeZone"]


@given(
    reads=st.integers(1, 10**6),
    begins=st.integers(0, 23),
    minutes=st.integers(1, 10**4),
    users=st.lists(st.from_regex(r"[a-z:\"'{}-]{1,20}", fullmatch=True), max_size=3),
)
def test_the_collector_takes_the_rules_as_they_are_planned(
    reads: int, begins: int, minutes: int, users: list[str]
) -> None:
    rules = {
        "exportReads": reads,
        "night": {"begins": begins},
        "windowMinutes": minutes,
        "ignoredUsers": users,
    }
    found = parse_thresholds(json.loads(planned({"anomalies": rules}).thresholds))
    assert isinstance(found, Thresholds)
    assert (found.export_reads, found.night_begins, found.window_seconds) == (reads, begins, minutes * 60)
    assert found.ignored_users == tuple(users)


def test_the_collector_takes_what_is_planned_to_be_read() -> None:
    options = _parser().parse_args(["collect", "--store=/s", *planned().inputs])
    assert options.kubernetes == ["/var/log/kubernetes/audit/audit*.log"]
    assert options.model == ["/var/log/pods/autoglm_*/vllm/*.log*"]
    assert options.gateway == ["/var/log/pods/entry_*/haproxy/*.log*"]


def test_collectors_look_where_the_api_server_writes() -> None:
    assert planned().settings.api_server_log == str(api_server.log_folder())


SENSITIVE = {
    ("", "secrets"),
    ("", "configmaps"),
    ("", "serviceaccounts/token"),
    ("authentication.k8s.io", "tokenreviews"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("", "pods"),
    ("apps", "deployments"),
    ("", "pods/exec"),
}


def level(group: str, resource: str, verb: str, user: str = "alice", groups: tuple[str, ...] = ()) -> str:
    """Level of a request by the first rule that matches, as k8s.io/apiserver's checker decides it."""
    for rule in yaml.safe_load(api_server.policy())["rules"]:
        if "verbs" in rule and verb not in rule["verbs"]:
            continue
        if "users" in rule and user not in rule["users"]:
            continue
        if "userGroups" in rule and not set(rule["userGroups"]) & set(groups):
            continue
        if "nonResourceURLs" in rule and "resources" not in rule:
            continue
        if "resources" in rule and not any(
            one["group"] == group
            and (
                "resources" not in one
                or {resource, f"*/{resource.partition('/')[2]}"} & set(one["resources"])
            )
            for one in rule["resources"]
        ):
            continue
        return str(rule["level"])
    return "None"


@pytest.mark.parametrize(("group", "resource"), sorted(SENSITIVE))
@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "patch", "delete"])
def test_bodies_of_what_may_hold_secrets_are_never_written(group: str, resource: str, verb: str) -> None:
    assert level(group, resource, verb) == "Metadata"


def test_no_answer_is_ever_written() -> None:
    levels = {rule["level"] for rule in yaml.safe_load(api_server.policy())["rules"]}
    assert levels == {"None", "Metadata", "Request"}


def test_even_the_control_planes_access_to_secrets_is_recorded() -> None:
    for user, groups in (
        ("system:kube-controller-manager", ()),
        ("system:apiserver", ()),
        ("system:node:node-1", ("system:nodes",)),
    ):
        assert level("", "secrets", "get", user, groups) == "Metadata"


def test_what_people_read_is_recorded_and_what_machines_poll_is_not() -> None:
    assert level("", "pods", "list") == "Metadata"
    assert level("", "nodes", "get", "system:kube-scheduler") == "None"
    assert level("coordination.k8s.io", "leases", "update", "system:node:n", ("system:nodes",)) == "None"
    controllers = ("system:serviceaccounts:kube-system",)
    assert level("apps", "deployments/status", "update", "deployment-controller", controllers) == "None"
    assert level("apps", "deployments", "update", "deployment-controller", controllers) == "Metadata"
    assert level("", "pods/status", "patch") == "Metadata", "by anybody else"


def test_changes_of_rights_are_written_in_full() -> None:
    assert level("rbac.authorization.k8s.io", "clusterrolebindings", "create") == "Request"
    assert level("networking.k8s.io", "networkpolicies", "delete") == "Request"
