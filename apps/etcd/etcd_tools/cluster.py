"""Members of a cluster: who they are, how they are, and in which order they may be disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from etcd_tools.errors import ApiError, Refused, Unreachable
from etcd_tools.gateway import Credentials, Gateway, Json

_ASK_ANOTHER = (4, 14)
"""gRPC status DEADLINE_EXCEEDED and UNAVAILABLE: without a leader there, another member may know more."""
_LEARNER = "rpc not supported for learner"
"""What a member answers that has no vote yet: it knows the cluster and speaks for nobody."""
NOSPACE = "NOSPACE"
CORRUPT = "CORRUPT"


@dataclass(frozen=True)
class Member:
    """A member as the cluster knows it."""

    id: int
    name: str
    """Empty until it has started for the first time, if it was added later."""
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool = False

    @property
    def started(self) -> bool:
        """Whether it has ever taken part: only then are its client addresses known."""
        return bool(self.client_urls)

    @property
    def label(self) -> str:
        """For messages."""
        return self.name or f"{self.id:x}"


@dataclass(frozen=True)
class Status:
    """A member's own account."""

    endpoint: str
    member: int
    leader: int
    """0 without one."""
    version: str
    size: int
    """Bytes of the database file."""
    used: int
    """Bytes of it in use."""
    learner: bool
    raft_index: int
    applied_index: int
    errors: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Has a leader and no error."""
        return self.leader != 0 and not self.errors

    @property
    def free_percent(self) -> int:
        """Part of the file that defragmentation would give back."""
        return 0 if self.size == 0 else (self.size - self.used) * 100 // self.size


@dataclass(frozen=True)
class Health:
    """All members, and the accounts of those that answer."""

    members: tuple[Member, ...]
    statuses: dict[int, Status] = field(default_factory=dict)
    """By member."""

    @property
    def voters(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if not member.learner)

    @property
    def quorum(self) -> int:
        return len(self.voters) // 2 + 1

    def healthy(self, member: Member) -> bool:
        status = self.statuses.get(member.id)
        return status is not None and status.healthy

    @property
    def leader(self) -> Member | None:
        leaders = {status.leader for status in self.statuses.values() if status.healthy}
        return next((member for member in self.members if member.id in leaders), None)

    def find(self, name: str) -> Member:
        """The member of that name or hexadecimal id, or whose peer address has that name in it."""
        for member in self.members:
            hosts = {url.partition("://")[2].partition(":")[0].partition(".")[0] for url in member.peer_urls}
            if name in (member.name, f"{member.id:x}") or name in hosts:
                return member
        known = ", ".join(member.label for member in self.members)
        raise Refused(name, f"no such member; the members are {known}")


def tolerates_loss(health: Health, member: Member) -> bool:
    """Whether a quorum of healthy voters remains while a member is away."""
    if member.learner:
        return True
    remaining = [other for other in health.voters if other.id != member.id and health.healthy(other)]
    return len(remaining) >= health.quorum


def disturbance_order(health: Health) -> tuple[Member, ...]:
    """The order in which members may be restarted, each only after the one before is healthy again.

    Those that are ill come first, since restarting a healthy one beside them could take the quorum; the
    leader comes last, so that there is one election at most.
    """
    leader = health.leader

    def rank(member: Member) -> tuple[bool, bool, str, int]:
        return (health.healthy(member), leader is not None and member.id == leader.id, member.name, member.id)

    return tuple(sorted(health.members, key=rank))


class Cluster:
    """A cluster through any of its endpoints."""

    def __init__(
        self,
        endpoints: Sequence[str],
        credentials: Credentials,
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not endpoints:
            raise Refused("--endpoints", "none given; write https://host:2379, separated by commas")
        self.endpoints = tuple(endpoints)
        self.clock = clock
        self.sleep = sleep
        self._credentials = credentials
        self._timeout = timeout

    def gateway(self, endpoint: str) -> Gateway:
        return Gateway(endpoint, self._credentials, self._timeout)

    def call(self, method: str, body: Json | None = None, timeout: float | None = None) -> Json:
        """Ask one endpoint after the other until one answers. Only for calls that may be repeated."""
        reasons: list[str] = []
        for endpoint in self.endpoints:
            try:
                return self.gateway(endpoint).call(method, body, timeout)
            except Unreachable as error:
                reasons.append(str(error))
            except ApiError as error:
                if error.code not in _ASK_ANOTHER and _LEARNER not in error.message:
                    raise
                reasons.append(str(error))
        raise Unreachable("cluster", f"no endpoint answers {method}: {'; '.join(reasons)}")

    def members(self, *, linearizable: bool = True) -> tuple[Member, ...]:
        """The members; linearizable: as a quorum knows them, else as any member remembers."""
        return members_of(self.call("cluster/member/list", {"linearizable": linearizable}))

    def status(self, endpoint: str) -> Status:
        return status_of(endpoint, self.gateway(endpoint).call("maintenance/status"))

    def health(self) -> Health:
        """Everybody's account; members that do not answer have none."""
        members = self.members()
        statuses: dict[int, Status] = {}
        for member in members:
            for endpoint in member.client_urls:
                try:
                    status = self.status(endpoint)
                except Refused:
                    continue
                statuses[member.id] = status
                break
        return Health(members, statuses)

    def wait(self, what: str, done: Callable[[], bool], seconds: float, interval: float = 1.0) -> None:
        """Until `done`; failures to answer count as not yet. Raises Refused after that many seconds."""
        deadline = self.clock() + seconds
        last = ""
        while True:
            try:
                if done():
                    return
            except (Unreachable, ApiError) as error:
                last = f" ({error})"
            if self.clock() >= deadline:
                raise Refused("cluster", f"{what}: not within {seconds:g} s{last}")
            self.sleep(interval)


def members_of(answer: Json, identifier: str = "ID") -> tuple[Member, ...]:
    """Members of an answer to cluster/member/list.

    :param identifier: how the answer calls a member's number.
    """
    return tuple(
        Member(
            id=int(item[identifier]),
            name=item.get("name", ""),
            peer_urls=tuple(item.get("peerURLs", ())),
            client_urls=tuple(item.get("clientURLs", ())),
            learner=bool(item.get("isLearner", False)),
        )
        for item in answer.get("members", ())
    )


def status_of(endpoint: str, answer: Json) -> Status:
    """Status of an answer to maintenance/status."""
    return Status(
        endpoint=endpoint,
        member=int(answer["header"]["member_id"]),
        leader=int(answer.get("leader", 0)),
        version=answer.get("version", ""),
        size=int(answer.get("dbSize", 0)),
        used=int(answer.get("dbSizeInUse", 0)),
        learner=bool(answer.get("isLearner", False)),
        raft_index=int(answer.get("raftIndex", 0)),
        applied_index=int(answer.get("raftAppliedIndex", 0)),
        errors=tuple(answer.get("errors", ())),
    )
