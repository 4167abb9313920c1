"""Maintenance disturbs one member at a time, the leader last, and stops before a quorum is lost."""

import pytest
from fake_etcd import FakeCluster, FakeEtcd, FakeMember
from hypothesis import given, settings
from hypothesis import strategies as st

from etcd_tools import maintenance
from etcd_tools.cluster import Health, Member, Status, disturbance_order, tolerates_loss
from etcd_tools.errors import ApiError, Refused, Unreachable


@st.composite
def healths(draw: st.DrawFn) -> Health:
    count = draw(st.integers(1, 7))
    learners = draw(st.integers(0, 1)) if count > 1 else 0
    members = tuple(
        Member(
            i, f"etcd-{i}", (f"https://etcd-{i}.p:2380",), (f"https://etcd-{i}.p:2379",), i > count - learners
        )
        for i in range(1, count + 1)
    )
    leader = draw(st.integers(0, count - learners))
    well = {m.id: draw(st.booleans()) or m.id == leader for m in members}
    return Health(
        members,
        {
            m.id: Status(m.client_urls[0], m.id, leader if well[m.id] else 0, "3.6.8", 1, 1, m.learner, 1, 1)
            for m in members
            if well[m.id] or draw(st.booleans())
        },
    )


@settings(deadline=None)
@given(healths())
def test_order_is_complete_ill_first_leader_last(health: Health) -> None:
    order = disturbance_order(health)
    assert sorted(m.id for m in order) == [m.id for m in health.members]
    states = [health.healthy(member) for member in order]
    assert states == sorted(states)
    if health.leader is not None:
        assert order[-1] == health.leader


@settings(deadline=None)
@given(healths())
def test_whoever_may_go_leaves_a_quorum_of_healthy_voters(health: Health) -> None:
    for member in health.voters:
        left = [v for v in health.voters if health.healthy(v) and v.id != member.id]
        assert tolerates_loss(health, member) == (len(left) > len(health.voters) // 2)


def test_defragmentation_goes_from_followers_to_the_leader(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    for member in etcd.members:
        member.size = 2000
    assert maintenance.defragment(cluster, 30, told.append) == 3
    assert etcd.calls == [("etcd-1", "defragment"), ("etcd-2", "defragment"), ("etcd-0", "defragment")]


def test_members_with_little_to_gain_are_left_alone(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[2].size = 2000
    assert maintenance.defragment(cluster, 30, told.append) == 1
    assert etcd.calls == [("etcd-2", "defragment")]


@pytest.mark.parametrize("how", ["answers", "healthy"])
def test_nothing_is_defragmented_while_a_member_is_ill(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str], how: str
) -> None:
    for member in etcd.members:
        member.size = 2000
    setattr(etcd.members[1], how, False)
    with pytest.raises(Refused, match="etcd-1: not healthy"):
        maintenance.defragment(cluster, 30, told.append)
    assert etcd.calls == []


def test_space_is_recovered_in_order(etcd: FakeEtcd, cluster: FakeCluster, told: list[str]) -> None:
    etcd.alarms = [{"memberID": "1", "alarm": "NOSPACE"}, {"memberID": "3", "alarm": "NOSPACE"}]
    maintenance.recover_space(cluster, told.append)
    assert [method for _, method in etcd.calls] == [
        "compact 7",
        "defragment",
        "defragment",
        "defragment",
        "disarm NOSPACE",
        "disarm NOSPACE",
    ]
    assert etcd.calls[3] == ("etcd-0", "defragment")
    assert etcd.alarms == []


def test_space_is_not_recovered_over_corruption(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.alarms = [{"memberID": "3", "alarm": "CORRUPT"}]
    with pytest.raises(Refused, match=r"3: its data differs"):
        maintenance.recover_space(cluster, told.append)
    assert etcd.calls == []


def test_what_has_been_compacted_already_is_no_error(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.fail["kv/compaction"] = [ApiError("x", 11, "mvcc: required revision has been compacted")]
    maintenance.recover_space(cluster, told.append)
    assert "dropped already" in told[0]


def test_a_lost_member_is_replaced_by_a_learner_that_is_promoted(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[2].answers = False
    replaced = maintenance.replace(cluster, "etcd-2", told.append)
    assert etcd.calls == [("3", "remove"), ("etcd-2", "add learner"), ("12", "promote")]
    assert replaced.peer_urls == ("https://etcd-2.peers:2380",)
    assert not replaced.learner


def test_a_replacement_waits_for_the_learner_to_catch_up(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[2].answers = False
    behind = ApiError("x", 9, "etcdserver: can only promote a learner member which is in sync with leader")
    etcd.fail["cluster/member/promote"] = [behind] * 5
    maintenance.replace(cluster, "etcd-2", told.append)
    assert etcd.calls[-1] == ("12", "promote")


def test_a_replacement_that_never_catches_up_ends_with_its_reason(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[2].answers = False
    behind = ApiError("x", 9, "etcdserver: can only promote a learner member which is in sync with leader")
    etcd.fail["cluster/member/promote"] = [behind] * 1000
    with pytest.raises(Refused, match="caught up and given a vote: not within 60 s"):
        maintenance.replace(cluster, "etcd-2", told.append, seconds=60)
    assert cluster.now >= 60


def test_an_interrupted_replacement_goes_on_where_it_was(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[2].answers = False
    etcd.fail["cluster/member/promote"] = [Unreachable("x", "no answer")] * 10_000
    with pytest.raises(Refused):
        maintenance.replace(cluster, "etcd-2", told.append, seconds=10)
    etcd.fail.clear()
    maintenance.replace(cluster, "etcd-2", told.append)
    assert [call for call in etcd.calls if call[1] != "promote"] == [
        ("3", "remove"),
        ("etcd-2", "add learner"),
    ]


def test_after_an_interruption_between_out_and_in_the_place_has_to_be_named(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    del etcd.members[2]
    with pytest.raises(Refused, match="--peer-url"):
        maintenance.replace(cluster, "etcd-2", told.append)
    maintenance.replace(cluster, "etcd-2", told.append, peer_url="https://etcd-2.peers:2380")
    assert etcd.calls == [("etcd-2", "add learner"), ("12", "promote")]


def test_a_healthy_member_is_not_replaced(etcd: FakeEtcd, cluster: FakeCluster, told: list[str]) -> None:
    with pytest.raises(Refused, match="etcd-2: is healthy"):
        maintenance.replace(cluster, "etcd-2", told.append)
    assert etcd.calls == []


def test_nobody_is_replaced_where_the_quorum_hangs_on_it(
    etcd: FakeEtcd, cluster: FakeCluster, told: list[str]
) -> None:
    etcd.members[1].answers = etcd.members[2].answers = False
    with pytest.raises(Refused, match="no quorum would be left"):
        maintenance.replace(cluster, "etcd-2", told.append)
    assert etcd.calls == []


def test_an_unknown_member_is_refused_with_those_that_are_known(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    with pytest.raises(Refused, match="no such member; the members are etcd-0, etcd-1, etcd-2"):
        cluster.health().find("etcd-9")


def test_status_lists_members_in_the_order_to_restart_them(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    etcd.members[1].answers = False
    lines = list(maintenance.lines(cluster.health(), {1: ["NOSPACE"]}))
    assert lines[0] == "etcd-1 (2): does not answer"
    assert lines[-1].startswith("etcd-0 (1): leader, 3.6.8")
    assert lines[-1].endswith("ALARM NOSPACE")


def test_another_endpoint_is_asked_only_where_that_can_help(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    etcd.fail["kv/range"] = [ApiError("x", 14, "etcdserver: no leader")]
    assert cluster.call("kv/range", {})["header"]
    etcd.fail["kv/range"] = [ApiError("x", 9, "etcdserver: rpc not supported for learner")]
    assert cluster.call("kv/range", {})["header"]
    etcd.fail["kv/range"] = [ApiError("x", 3, "etcdserver: key is not provided")]
    with pytest.raises(ApiError, match="key is not provided"):
        cluster.call("kv/range", {})
    etcd.members[0].answers = etcd.members[1].answers = etcd.members[2].answers = False
    with pytest.raises(Unreachable, match="no endpoint answers kv/range"):
        cluster.call("kv/range", {})


def test_a_cluster_needs_endpoints() -> None:
    with pytest.raises(Refused, match="--endpoints"):
        FakeCluster(FakeEtcd([]))


def test_free_space_of_an_empty_file_is_nothing() -> None:
    assert Status("e", 1, 1, "", 0, 0, False, 1, 1).free_percent == 0
    assert FakeMember(1, "etcd-0").endpoint


def test_any_one_of_three_healthy_members_may_be_restarted(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    assert [maintenance.may_restart(cluster.health(), f"etcd-{i}").id for i in range(3)] == [1, 2, 3]


def test_f32_with_an_ill_member_only_that_one_may_be_restarted(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    etcd.members[1].healthy = False
    assert maintenance.may_restart(cluster.health(), "etcd-1").id == 2
    for name in ("etcd-0", "etcd-2"):
        with pytest.raises(Refused, match=f"{name}: must wait, because etcd-1 is not healthy"):
            maintenance.may_restart(cluster.health(), name)


def test_an_update_waits_for_all_and_ends_with_its_reason(etcd: FakeEtcd, cluster: FakeCluster) -> None:
    maintenance.wait_healthy(cluster, 5)
    etcd.members[1].answers = False
    with pytest.raises(Refused, match="all members healthy: not within 30 s"):
        maintenance.wait_healthy(cluster, 30)
