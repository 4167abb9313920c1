"""Settings of an etcd cluster: what is refused, with key and fix, and what is planned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.common.demand import Demand
from components.common.problems import Problem
from components.common.quantities import GIB, MIB, format_bytes
from components.etcd.plan import EtcdPlan, plan_etcd, quorum
from components.etcd.settings import EtcdSettings

IMAGES = {name: f"registry.example/{name}@sha256:{'0' * 64}" for name in ("etcd", "etcd-tools")}


def plan(changes: dict[str, Any], **options: Any) -> tuple[EtcdPlan | None, list[Problem]]:
    arguments = {"namespace": "autoglm", "images": IMAGES, "protect": False, **options}
    return plan_etcd(EtcdSettings.model_validate(changes), **arguments)


def planned(changes: dict[str, Any] | None = None, **options: Any) -> EtcdPlan:
    result, problems = plan(changes or {}, **options)
    assert result is not None, problems
    return result


def test_defaults_are_sound_and_protected_by_quorum() -> None:
    result = planned()
    assert result.settings.members == 3
    assert result.quorum == 2
    assert result.endpoint == "https://etcd.autoglm.svc:2379"
    assert result.member_endpoints[2] == "https://etcd-2.etcd-peers.autoglm.svc:2379"


@pytest.mark.parametrize("members", [2, 4, 6])
def test_f45_an_even_number_of_members_is_refused(members: int) -> None:
    result, problems = plan({"members": members})
    assert result is None
    assert [problem.path for problem in problems] == ["members"]
    assert problems[0].message.startswith(
        f"{members}: an even number survives no more failures than {members - 1}"
    )
    assert problems[0].message.endswith("write 3 or 5")


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"members": 1}, "members", "1: survives no failure; write 3 or 5"),
        ({"members": 7}, "members", "7: every write waits for more members"),
        (
            {"backendQuota": "9Gi", "resources": {"memory": "16Gi"}, "storage": {"size": "32Gi"}},
            "backendQuota",
            "9Gi: more than 8Gi",
        ),
        (
            {"resources": {"memory": "1Gi"}},
            "resources.memory",
            "1Gi: does not hold a database of backendQuota 2Gi",
        ),
        ({"storage": {"size": "4Gi"}}, "storage.size", "4Gi: the database, its copy"),
        ({"snapshots": {"size": "1Gi"}}, "snapshots.size", "1Gi: two snapshots"),
        ({"tools": {"cpu": "200m", "cpuLimit": "100m"}}, "tools.cpuLimit", "100m: less than cpu 200m"),
        ({"resources": {"cpu": "2", "cpuLimit": "1"}}, "resources.cpuLimit", "1000m: less than cpu 2000m"),
        (
            {"election": {"heartbeatMilliseconds": 300}},
            "election.timeoutMilliseconds",
            "1000: less than 5 heartbeats of 300 ms, which etcd refuses; write at least 3000",
        ),
        (
            {"election": {"heartbeatMilliseconds": 10}},
            "election.timeoutMilliseconds",
            "1000: more than 50 heartbeats of 10 ms",
        ),
        (
            {"compaction": {"retentionRevisions": 5}},
            "compaction.retentionRevisions",
            "5: has no meaning in mode 'periodic'",
        ),
        (
            {"compaction": {"mode": "revision", "retentionMinutes": 5}},
            "compaction.retentionMinutes",
            "5: has no meaning in mode 'revision'",
        ),
        (
            {"certificates": {"kind": "cert-manager", "lifetimeHours": 10, "renewBeforeHours": 10}},
            "certificates.renewBeforeHours",
            "10: not less than lifetimeHours 10",
        ),
        (
            {"certificates": {"kind": "cert-manager", "lifetimeHours": 1}},
            "certificates.lifetimeHours",
            "1: leaves no time to renew",
        ),
        (
            {"certificates": {"kind": "cert-manager", "authorityLifetimeHours": 100}},
            "certificates.authorityLifetimeHours",
            "100: an authority has to outlive what it signs",
        ),
        ({"clients": [{"name": "maintenance"}]}, "clients[0].name", "'maintenance': the platform's own"),
        ({"clients": [{"name": "a"}, {"name": "a"}]}, "clients[1].name", "'a': named twice"),
        ({"clients": [{"name": "a" * 60}]}, "clients[0].name", "longer than 63 characters; shorten it"),
        ({"name": "e" * 37}, "name", "longer than 36 characters; shorten it"),
        (
            {"restore": {"snapshot": "a.db", "sha256": "0" * 64}},
            "restore.snapshot",
            "'a.db': lies on a volume that one node can mount",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_key_and_fix(
    changes: dict[str, Any], path: str, message: str
) -> None:
    result, problems = plan(changes)
    assert result is None
    assert [problem.path for problem in problems] == [path]
    assert message in problems[0].message
    assert ";" in problems[0].message or ", " in problems[0].message


def test_all_problems_are_told_at_once() -> None:
    _, problems = plan({"members": 4, "backendQuota": "9Gi", "clients": [{"name": "maintenance"}]})
    assert {"members", "backendQuota", "resources.memory", "storage.size", "clients[0].name"} == {
        problem.path for problem in problems
    }


def test_more_members_than_nodes_need_a_decision() -> None:
    _, problems = plan({}, nodes=1)
    assert [problem.path for problem in problems] == ["antiAffinity"]
    assert "3 members need 3 nodes and 1 qualify" in problems[0].message
    assert planned({"antiAffinity": "preferred"}, nodes=1)
    assert planned({}, nodes=3)


def test_images_are_named() -> None:
    _, problems = plan({}, images={"etcd": IMAGES["etcd"]})
    assert [problem.message for problem in problems] == [
        "'etcd': needs the image 'etcd-tools', which is not listed; add it with its digest"
    ]


def test_a_restore_of_members_that_share_a_node_or_a_volume() -> None:
    restore = {"snapshot": "a.db", "sha256": "0" * 64}
    assert planned({"restore": restore, "antiAffinity": "preferred"})
    assert planned({"restore": restore, "snapshots": {"accessMode": "ReadWriteMany"}})


@pytest.mark.parametrize(
    "changes",
    [
        {"members": True},
        {"members": "3"},
        {"snapshots": {"schedule": "hourly"}},
        {"snapshots": {"keep": 1}},
        {"restore": {"snapshot": "../a.db", "sha256": "0" * 64}},
        {"restore": {"snapshot": "a.db", "sha256": "0" * 63}},
        {"metricsClients": {}},
        {"unknown": 1},
        {"certificates": {"kind": "self-signed"}},
    ],
)
def test_what_is_no_setting(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EtcdSettings.model_validate(changes)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    heartbeat = draw(st.integers(10, 1000))
    return {
        "name": draw(st.from_regex(r"\A[a-z][a-z0-9-]{0,38}[a-z0-9]\Z")),
        "members": draw(st.integers(1, 8)),
        "antiAffinity": draw(st.sampled_from(["required", "preferred"])),
        "backendQuota": draw(st.integers(16 * MIB, 10 * GIB)),
        "resources": {"memory": draw(st.integers(64 * MIB, 20 * GIB))},
        "storage": {"size": draw(st.integers(GIB, 40 * GIB))},
        "snapshots": {"size": draw(st.integers(GIB, 40 * GIB))},
        "election": {
            "heartbeatMilliseconds": heartbeat,
            "timeoutMilliseconds": min(50_000, heartbeat * draw(st.integers(1, 60)) + 50),
        },
        "clients": [
            {"name": name} for name in draw(st.lists(st.sampled_from(["a", "b", "maintenance"]), max_size=3))
        ],
    }


@hypothesis_settings(deadline=None)
@given(documents(), st.none() | st.integers(1, 6))
def test_whatever_is_planned_can_work(document: dict[str, Any], nodes: int | None) -> None:
    result, problems = plan(document, nodes=nodes)
    assert (result is None) == bool(problems)
    assert all(problem.path and problem.message for problem in problems)
    if result is None:
        return
    settings = result.settings
    # A minority can fail, and two quorums always share a member.
    assert settings.members - result.quorum >= 1
    assert 2 * result.quorum > settings.members
    assert settings.backend_quota <= 8 * GIB < 9 * GIB
    assert settings.backend_quota < settings.resources.memory
    assert 2 * settings.backend_quota < settings.storage.size
    assert result.configuration["election-timeout"] >= 5 * result.configuration["heartbeat-interval"]
    assert all(len(leaf.name) <= 63 for leaf in result.certificates.leaves)
    assert len({leaf.name for leaf in result.certificates.leaves}) == len(result.certificates.leaves)
    assert nodes is None or settings.anti_affinity == "preferred" or nodes >= settings.members
    assert "" not in (result.member_image, result.tools_image)


@hypothesis_settings(deadline=None)
@given(st.integers(1, 99))
def test_quorums_overlap(members: int) -> None:
    assert 2 * quorum(members) > members
    assert 2 * (quorum(members) - 1) <= members


def test_the_demand_on_the_namespaces_quota() -> None:
    result = planned(
        {
            "antiAffinity": "preferred",
            "resources": {"cpu": "50m", "cpuLimit": "300m", "memory": "128Mi", "ephemeralStorage": "64Mi"},
            "storage": {"size": "2Gi"},
            "backendQuota": "64Mi",
            "snapshots": {"size": "1Gi"},
            "tools": {"cpu": "20m", "cpuLimit": "200m", "memory": "64Mi", "ephemeralStorage": "32Mi"},
        }
    )
    assert result.demand == Demand(
        cpu=3 * 50 + 3 * 20,
        cpu_limits=3 * 300 + 3 * 200,
        memory=(3 * 128 + 3 * 64) * MIB,
        ephemeral_storage=(3 * 64 + 3 * 32) * MIB,
        storage=7 * GIB,
        claims=4,
        pods=6,
        jobs=6,
    )


def test_the_configuration_has_no_option_that_the_next_release_lacks() -> None:
    configuration = planned({"compaction": {"mode": "revision"}}).configuration
    assert not [key for key in configuration if key.startswith("experimental")]
    assert configuration["auto-compaction-retention"] == "10000"
    assert planned().configuration["auto-compaction-retention"] == "60m"
    for side in ("client", "peer"):
        assert configuration[f"{side}-transport-security"]["client-cert-auth"] is True
    assert configuration["quota-backend-bytes"] == 2 * GIB
    assert format_bytes(configuration["quota-backend-bytes"]) == "2Gi"


def test_clients_cannot_pass_as_members() -> None:
    certificates = planned({"clients": [{"name": "billing"}]}).certificates
    authorities = {leaf.name: leaf.authority for leaf in certificates.leaves}
    assert authorities.pop("etcd-peer") == "etcd-peer-ca"
    assert set(authorities.values()) == {"etcd-client-ca"}
    assert {client.common_name for client in certificates.clients} == {
        "maintenance",
        "service-registry",
        "billing",
    }
    assert all(not client.dns_names and "server auth" not in client.usages for client in certificates.clients)
    assert "client auth" not in certificates.server.usages


@hypothesis_settings(deadline=None)
@given(st.integers(2, 20_000))
def test_certificates_are_renewed_well_before_they_end(hours: int) -> None:
    certificates = planned(
        {
            "certificates": {
                "kind": "cert-manager",
                "lifetimeHours": hours,
                "authorityLifetimeHours": hours + 1,
            }
        }
    ).certificates
    assert 1 <= certificates.renew_before_hours < hours
