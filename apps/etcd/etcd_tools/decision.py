"""Whether a member may found a cluster, join one, or has to wait: pure, from what the others say.

etcd ignores what its configuration says of the beginning once it has data. A member that has lost its data
must not begin anew under its old identity: what it has acknowledged, it has forgotten, and together with a
member that lags behind it would make a majority that knows nothing of it. Silence proves nothing, neither
that there is a cluster nor that there is none. So a cluster is founded on answers only:

- a member that has started without data says so itself, as long as it waits (`announcement`);
- a member of which etcd runs tells whom it knows, and who of them has ever taken part; without a leader it
  tells that to members only.

Where a quorum answers, it knows whether this member has ever taken part. Where none does, all others have to
answer, and none of them may have seen it take part: of what it has acknowledged, somebody who has not lost
its data as well would know. So the very first start needs all members at the same time, later ones do not.
What remains is a member whose volume is lost in the moment between its very first start and the news of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from etcd_tools.cluster import Member


class Start(Enum):
    """What a member does next."""

    DATA = "data"
    """Go on with the data that is there."""
    NEW = "new"
    """Found the cluster together with the others, from the snapshot if there is one."""
    JOIN = "existing"
    """Join as the learner that was added at this place."""
    WAIT = "wait"
    """Not yet: ask again."""


@dataclass(frozen=True)
class Peer:
    """What is known of another member."""

    name: str
    url: str
    """Where the other members reach it."""
    members: tuple[Member, ...] | None = None
    """The members as it knows them, if etcd runs there."""
    confirmed: bool = False
    """Whether a quorum stands behind that list, as opposed to what this one happens to know."""
    empty: bool = False
    """Whether it has said that it has no data either, and waits."""
    snapshot: str | None = None
    """SHA-256 of the snapshot that it would start from, if it is empty."""
    address: str = ""
    """From where it has answered."""
    silence: str = ""
    """Why nothing is known of it."""

    @property
    def heard(self) -> bool:
        """Whether anything is known of it."""
        return self.empty or self.members is not None


@dataclass(frozen=True)
class Decision:
    """How a member starts, and why."""

    start: Start
    reason: str
    members: tuple[Member, ...] = ()
    """Of the cluster to join."""


def decide(has_data: bool, peer_url: str, peers: Sequence[Peer], snapshot: str | None = None) -> Decision:
    """How to start a member, given what all the others say.

    :param snapshot: SHA-256 of the snapshot that it would start from.
    """
    if has_data:
        return Decision(Start.DATA, "has data")
    confirmed = [peer.members for peer in peers if peer.members is not None and peer.confirmed]
    if confirmed:
        if any(members != confirmed[0] for members in confirmed):
            return Decision(Start.WAIT, "the cluster's members are changing just now")
        return _by_the_cluster(peer_url, confirmed[0])
    views = [peer.members for peer in peers if peer.members is not None]
    for members in views:
        decision = _by_the_cluster(peer_url, members)
        if decision.start is Start.JOIN:
            return Decision(Start.WAIT, "added as a learner, as soon as a quorum says so")
        if decision.start is Start.WAIT:
            return decision
    return _by_all_others(peers, snapshot)


def _by_the_cluster(peer_url: str, members: tuple[Member, ...]) -> Decision:
    """What a list of members means for this one."""
    own = next((member for member in members if peer_url in member.peer_urls), None)
    if own is None:
        return Decision(Start.WAIT, f"the cluster has no member at {peer_url}; run `etcd_tools replace`")
    if own.started:
        return Decision(
            Start.WAIT,
            f"the cluster knows this member and its data is gone; run `etcd_tools replace {own.label}`",
        )
    if own.learner:
        return Decision(Start.JOIN, "added as a learner", members)
    return Decision(Start.NEW, "one of the first members, the others have started already")


def _by_all_others(peers: Sequence[Peer], snapshot: str | None) -> Decision:
    """No quorum is known, and whoever has answered has never seen this member take part."""
    others = [peer.name for peer in peers if peer.empty and peer.snapshot != snapshot]
    if others:
        return Decision(Start.WAIT, f"{', '.join(others)} would start from another snapshot than this one")
    silent = [f"{peer.name}: {peer.silence or 'no answer'}" for peer in peers if not peer.heard]
    if silent:
        return Decision(Start.WAIT, f"no data here, and others may know a cluster: {'; '.join(silent)}")
    if len({peer.address for peer in peers}) < len(peers):
        return Decision(Start.WAIT, "several names lead to one member; they are out of date")
    return Decision(Start.NEW, "no data, and all others know of nothing that was here")
