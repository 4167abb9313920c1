"""Work on running members: one at a time, the leader last, and never where the quorum would be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from etcd_tools.cluster import CORRUPT, NOSPACE, Cluster, Health, Member, disturbance_order, tolerates_loss
from etcd_tools.errors import ApiError, Refused, Unreachable

_DEFRAGMENT_SECONDS = 600.0
"""A member answers nobody while it is defragmented; 8 GiB take some minutes on a slow disk."""
_COMPACT_SECONDS = 300.0
_HEALTHY_SECONDS = 120.0
_INSUFFICIENT = "more members have to be healthy first; see the runbook on a lost member"

Report = Callable[[str], None]


def _all_healthy(health: Health) -> None:
    ill = [member.label for member in health.members if not health.healthy(member)]
    if ill:
        raise Refused(", ".join(ill), f"not healthy; {_INSUFFICIENT}")


def defragment(cluster: Cluster, free_percent: int, report: Report) -> int:
    """Defragment members of whose file at least that part is free; returns how many.

    :raises Refused: a member is ill, before anything is done or between two members.
    """
    health = cluster.health()
    _all_healthy(health)
    done = 0
    for member in disturbance_order(health):
        status = health.statuses[member.id]
        if status.free_percent < free_percent:
            report(f"{member.label}: {status.free_percent} % of {status.size} bytes free, left as it is")
            continue
        current = cluster.health()
        _all_healthy(current)
        if not tolerates_loss(current, member):
            raise Refused(member.label, f"defragmenting it would cost the quorum; {_INSUFFICIENT}")
        report(f"{member.label}: {_defragment(cluster, member, status.endpoint)}")
        done += 1
    return done


def _defragment(cluster: Cluster, member: Member, endpoint: str) -> str:
    before = cluster.status(endpoint)
    cluster.gateway(endpoint).call("maintenance/defragment", timeout=_DEFRAGMENT_SECONDS)
    cluster.wait(
        f"{member.label} healthy again after being defragmented",
        lambda: cluster.status(endpoint).leader != 0,
        _HEALTHY_SECONDS,
    )
    after = cluster.status(endpoint)
    return f"{before.size} → {after.size} bytes"


def alarms(cluster: Cluster) -> dict[int, list[str]]:
    """Alarms that are raised, by member."""
    found: dict[int, list[str]] = {}
    answer = cluster.call("maintenance/alarm", {"action": "GET"})
    for item in answer.get("alarms", ()):
        found.setdefault(int(item.get("memberID", 0)), []).append(item.get("alarm", ""))
    return found


def recover_space(cluster: Cluster, report: Report) -> None:
    """After NOSPACE: compact the history, defragment every member, take the alarm back.

    What frees space beyond the history is deleting keys, which etcd still accepts then; do that first.

    :raises Refused: data is corrupt on a member, or a member still holds too much afterwards.
    """
    raised = alarms(cluster)
    corrupt = [f"{member:x}" for member, kinds in raised.items() if CORRUPT in kinds]
    if corrupt:
        raise Refused(", ".join(corrupt), "its data differs from the others'; replace it first (`replace`)")
    revision = int(cluster.call("kv/range", {"key": "AA==", "limit": 1})["header"]["revision"])
    try:
        cluster.call("kv/compaction", {"revision": str(revision), "physical": True}, _COMPACT_SECONDS)
        report(f"history before revision {revision} dropped")
    except ApiError as error:
        if "has been compacted" not in error.message:
            raise
        report(f"history before revision {revision} had been dropped already")
    health = cluster.health()
    for member in disturbance_order(health):
        status = health.statuses.get(member.id)
        if status is None:
            raise Refused(member.label, f"does not answer, so its database stays full; {_INSUFFICIENT}")
        report(f"{member.label}: {_defragment(cluster, member, status.endpoint)}")
    for number, kinds in raised.items():
        for kind in kinds:
            cluster.call(
                "maintenance/alarm", {"action": "DEACTIVATE", "memberID": str(number), "alarm": kind}
            )
            report(f"alarm {kind} of {number:x} taken back")
    # Whoever is still over the quota raises it again with the next write.
    left = [kind for kinds in alarms(cluster).values() for kind in kinds]
    if NOSPACE in left:
        raise Refused(
            "cluster", "still too full; delete keys or raise backendQuota (at most 8Gi), then run this again"
        )


def replace(
    cluster: Cluster, name: str, report: Report, *, peer_url: str | None = None, seconds: float = 600.0
) -> Member:
    """Take a member out and a new one in at the same place: first as a learner, then with a vote.

    The cluster never counts a vote that it cannot get. Interrupted, it goes on where it was when it is run
    again.

    :param peer_url: where the new member will be, if the old one has been taken out already.
    :raises Refused: others are ill, or the new member has not caught up in time.
    """
    health = cluster.health()
    waiting = _joining(health, name, peer_url)
    if waiting is None:
        old = _leaving(health, name, peer_url)
        if old is not None:
            if health.healthy(old):
                raise Refused(
                    old.label, "is healthy; stop its pod and delete its volume first if it is meant to go"
                )
            if not tolerates_loss(health, old):
                raise Refused(old.label, f"without it no quorum would be left; {_INSUFFICIENT}")
            cluster.call("cluster/member/remove", {"ID": str(old.id)})
            report(f"{old.label}: taken out")
            peer_url = old.peer_urls[0]
        assert peer_url is not None
        waiting = _add(cluster, peer_url)
        report(f"{peer_url}: added as a learner; it is to start with an empty data directory")
    new = waiting
    if new.learner:
        cluster.wait(
            f"{new.peer_urls[0]} caught up and given a vote", lambda: _promoted(cluster, new), seconds, 2.0
        )
        report(f"{new.peer_urls[0]}: has a vote")
    return next(member for member in cluster.members() if member.id == new.id)


def _add(cluster: Cluster, peer_url: str) -> Member:
    """A learner at that address."""

    def added() -> Member | None:
        return next((m for m in cluster.members() if m.learner and peer_url in m.peer_urls), None)

    def add() -> bool:
        # Asked again because an answer was lost, etcd would say that the address is taken.
        if added() is None:
            cluster.call("cluster/member/add", {"peerURLs": [peer_url], "isLearner": True})
        return True

    # etcd changes members only where all voters have been connected for five seconds.
    cluster.wait(f"{peer_url} added as a learner", add, _HEALTHY_SECONDS)
    found = added()
    if found is None:
        raise Refused(peer_url, "was added and is gone again; somebody else changes the members")
    return found


def _at(member: Member, name: str, peer_url: str | None) -> bool:
    hosts = {url.partition("://")[2].partition(":")[0].partition(".")[0] for url in member.peer_urls}
    return member.name == name or name in hosts or f"{member.id:x}" == name or peer_url in member.peer_urls


def _joining(health: Health, name: str, peer_url: str | None) -> Member | None:
    """A learner that an earlier run has added."""
    return next((m for m in health.members if m.learner and _at(m, name, peer_url)), None)


def _leaving(health: Health, name: str, peer_url: str | None) -> Member | None:
    if peer_url is not None:
        return next((m for m in health.members if _at(m, name, peer_url)), None)
    try:
        return health.find(name)
    except Refused as error:
        raise Refused(
            name, f"{error.reason}; if it has been taken out already, say where it will be with --peer-url"
        ) from None


def _promoted(cluster: Cluster, learner: Member) -> bool:
    try:
        cluster.call("cluster/member/promote", {"ID": str(learner.id)})
    except (ApiError, Unreachable):
        # Not in sync yet, as etcd itself judges; or done already by a call whose answer was lost.
        return any(member.id == learner.id and not member.learner for member in cluster.members())
    return True


def may_restart(health: Health, name: str) -> Member:
    """The member, if restarting it costs nobody anything that matters.

    :raises Refused: another member is ill, or its restart would leave no quorum: an update halts there.
    """
    member = health.find(name)
    others = [other.label for other in health.members if other.id != member.id and not health.healthy(other)]
    if others and health.healthy(member):
        raise Refused(member.label, f"must wait, because {', '.join(others)} is not healthy; {_INSUFFICIENT}")
    if not tolerates_loss(health, member):
        raise Refused(member.label, f"its restart would leave no quorum; {_INSUFFICIENT}")
    return member


def wait_healthy(cluster: Cluster, seconds: float) -> None:
    """Until all members are healthy.

    :raises Refused: that takes longer.
    """

    def healthy() -> bool:
        health = cluster.health()
        return all(health.healthy(member) for member in health.members)

    cluster.wait("all members healthy", healthy, seconds)


def lines(health: Health, raised: dict[int, list[str]]) -> Iterator[str]:
    """For people: each member with its state, in the order in which they may be restarted."""
    leader = health.leader
    for member in disturbance_order(health):
        status = health.statuses.get(member.id)
        role = (
            "leader"
            if leader is not None and leader.id == member.id
            else "learner"
            if member.learner
            else "follower"
        )
        if status is None:
            state = "does not answer"
        else:
            state = f"{role}, {status.version}, {status.size} bytes, {status.free_percent} % free"
            state += "" if status.healthy else f", ILL: {'; '.join(status.errors) or 'no leader'}"
        alarm = f", ALARM {' '.join(raised[member.id])}" if member.id in raised else ""
        yield f"{member.label} ({member.id:x}): {state}{alarm}"
