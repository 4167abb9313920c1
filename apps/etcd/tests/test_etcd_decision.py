"""A member founds a cluster only where nobody can know one, and never waits for somebody who waits for it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from etcd_tools.cluster import Member
from etcd_tools.decision import Decision, Peer, Start, decide

OWN = "https://etcd-2.p:2380"


def url(index: int) -> str:
    return f"https://etcd-{index}.p:2380"


def member(index: int, *, started: bool = True, learner: bool = False) -> Member:
    clients = (f"https://etcd-{index}.p:2379",) if started else ()
    return Member(index + 1, f"etcd-{index}", (url(index),), clients, learner)


def unstarted(*indices: int) -> tuple[Member, ...]:
    return tuple(member(index, started=index not in indices) for index in range(3))


FULL = unstarted()
NOBODY = unstarted(0, 1, 2)
FIRST_ALONE = unstarted(1, 2)
FOUNDING = unstarted(2)
REMOVED = (member(0), member(1))
JOINING = (member(0), member(1), member(2, started=False, learner=True))


def silent(index: int) -> Peer:
    return Peer(f"etcd-{index}", url(index), silence="certificate has expired")


def empty(index: int, snapshot: str | None = None) -> Peer:
    return Peer(f"etcd-{index}", url(index), empty=True, snapshot=snapshot, address=f"10.0.0.{index}")


def view(index: int, members: tuple[Member, ...]) -> Peer:
    return Peer(f"etcd-{index}", url(index), members, address=f"10.0.0.{index}")


def quorum(index: int, members: tuple[Member, ...]) -> Peer:
    return Peer(f"etcd-{index}", url(index), members, confirmed=True)


@pytest.mark.parametrize(
    ("peers", "start", "reason"),
    [
        # The first start, in any order.
        ([empty(0), empty(1)], Start.NEW, "know of nothing"),
        ([view(0, NOBODY), empty(1)], Start.NEW, "know of nothing"),
        ([view(0, NOBODY), view(1, NOBODY)], Start.NEW, "know of nothing"),
        ([view(0, FOUNDING), view(1, FIRST_ALONE)], Start.NEW, "know of nothing"),
        ([quorum(0, FOUNDING), silent(1)], Start.NEW, "one of the first"),
        # Somebody is not there yet, or not any more, or cannot be asked.
        ([silent(0), silent(1)], Start.WAIT, "etcd-0: certificate has expired; etcd-1: certificate"),
        ([empty(0), silent(1)], Start.WAIT, "may know a cluster: etcd-1: certificate has expired"),
        ([view(0, NOBODY), silent(1)], Start.WAIT, "may know a cluster: etcd-1"),
        ([view(0, FOUNDING), silent(1)], Start.WAIT, "may know a cluster: etcd-1"),
        # The data of this member is gone.
        ([quorum(0, FULL), quorum(1, FULL)], Start.WAIT, "run `etcd_tools replace etcd-2`"),
        ([quorum(0, FULL), silent(1)], Start.WAIT, "run `etcd_tools replace etcd-2`"),
        ([view(0, FULL), empty(1)], Start.WAIT, "run `etcd_tools replace etcd-2`"),
        ([view(0, NOBODY), view(1, FULL)], Start.WAIT, "run `etcd_tools replace etcd-2`"),
        ([quorum(0, REMOVED), silent(1)], Start.WAIT, "run `etcd_tools replace`"),
        ([view(0, REMOVED), silent(1)], Start.WAIT, "run `etcd_tools replace`"),
        # It is being replaced.
        ([quorum(0, JOINING), quorum(1, JOINING)], Start.JOIN, "learner"),
        ([quorum(0, JOINING), silent(1)], Start.JOIN, "learner"),
        ([quorum(0, JOINING), view(1, FULL)], Start.JOIN, "learner"),
        ([quorum(0, JOINING), quorum(1, REMOVED)], Start.WAIT, "changing just now"),
        ([view(0, JOINING), view(1, JOINING)], Start.WAIT, "as soon as a quorum says so"),
    ],
)
def test_how_a_member_without_data_starts(peers: list[Peer], start: Start, reason: str) -> None:
    decision = decide(False, OWN, peers)
    assert decision.start is start
    assert reason in decision.reason
    if start is Start.JOIN:
        assert decision.members == JOINING


@pytest.mark.parametrize("peers", [[], [silent(0), silent(1)], [quorum(0, REMOVED), empty(1)]])
def test_data_is_always_gone_on_with(peers: list[Peer]) -> None:
    assert decide(True, OWN, peers).start is Start.DATA


def test_members_that_would_restore_something_else_do_not_found_a_cluster_together() -> None:
    assert decide(False, OWN, [empty(0, "a"), empty(1, "a")], "a").start is Start.NEW
    decision = decide(False, OWN, [empty(0, "a"), empty(1)], "a")
    assert decision == Decision(Start.WAIT, "etcd-1 would start from another snapshot than this one")


def test_two_names_that_lead_to_the_same_member_are_one_answer() -> None:
    peers = [empty(0), dataclasses.replace(empty(1), address="10.0.0.0")]
    assert decide(False, OWN, peers).start is Start.WAIT


# --- everything that can happen to three members, step by step
#
# An entry is acknowledged as soon as two members that run have it, and whoever leads must have the newest
# log of the two. A log is then a beginning of the list of acknowledged entries, and its length is enough to
# know it. An entry is either the news that a member has started, or a client's write.

Entry = int
WRITE: Entry = 9
CRASHES, LOSSES, WRITES = 2, 1, 1
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class State:
    """Three members: what they do, what their volumes hold, what has been acknowledged."""

    phases: tuple[str, ...] = ("off", "off", "off")
    """off; asks: in its init container, without data; founds: has decided to; runs."""
    logs: tuple[int | None, ...] = (None, None, None)
    """Length, None without data."""
    entries: tuple[Entry, ...] = ()
    """Acknowledged."""
    crashes: int = 0
    losses: int = 0

    @property
    def running(self) -> list[int]:
        return [index for index, phase in enumerate(self.phases) if phase == "runs"]

    def log(self, index: int) -> int:
        return self.logs[index] or 0

    def change(self, index: int, phase: str, log: int | None, *, crashes: int = 0, losses: int = 0) -> State:
        phases = tuple(phase if i == index else old for i, old in enumerate(self.phases))
        logs = tuple(log if i == index else old for i, old in enumerate(self.logs))
        crashes, losses = self.crashes + crashes, self.losses + losses
        return dataclasses.replace(self, phases=phases, logs=logs, crashes=crashes, losses=losses)

    def append(self, pair: tuple[int, int], entries: tuple[Entry, ...]) -> State:
        logs = tuple(len(entries) if i in pair else old for i, old in enumerate(self.logs))
        return dataclasses.replace(self, logs=logs, entries=entries)

    @property
    def loses_a_write(self) -> bool:
        """Whether two members could elect one that does not have all that was acknowledged."""
        return any(
            max(self.log(i) for i in pair) < len(self.entries)
            for pair in PAIRS
            if set(pair) <= set(self.running)
        )


Rule = Callable[[str, Sequence[Peer]], Start]


def answer(state: State, index: int) -> Peer:
    """What a member answers that can be reached."""

    def known(length: int) -> tuple[Member, ...]:
        return unstarted(*({0, 1, 2} - set(state.entries[:length])))

    if state.phases[index] == "asks":
        return empty(index)
    if state.phases[index] != "runs":
        return silent(index)
    if len(state.running) >= 2:
        return quorum(index, known(max(state.log(i) for i in state.running)))
    return view(index, known(state.log(index)))


def decisions(state: State, index: int, rule: Rule, hidden: Sequence[int]) -> Start:
    others = [i for i in range(3) if i != index]
    return rule(url(index), [silent(i) if i in hidden else answer(state, i) for i in others])


def founded(state: State, index: int, rule: Rule, hidden: Sequence[int] = ()) -> State | None:
    start = decisions(state, index, rule, hidden)
    assert start is not Start.JOIN
    return state.change(index, "founds", None) if start is Start.NEW else None


def progress(state: State, rule: Rule) -> Iterator[State]:
    """What happens by itself where everybody is up and reaches everybody."""
    for index, phase in enumerate(state.phases):
        log = state.logs[index]
        if phase == "off":
            yield state.change(index, "asks" if log is None else "runs", log)
        elif phase == "founds":
            yield state.change(index, "runs", 0)
        elif phase == "asks" and (after := founded(state, index, rule)) is not None:
            yield after
    for pair in PAIRS:
        if set(pair) <= set(state.running):
            for index in state.running:
                if index not in state.entries:
                    yield state.append(pair, (*state.entries, index))
            if any(state.log(i) < len(state.entries) for i in pair):
                yield state.append(pair, state.entries)


def events(state: State, rule: Rule) -> Iterator[State]:
    """All that can happen next, faults included."""
    yield from progress(state, rule)
    for index, phase in enumerate(state.phases):
        if phase == "asks":
            others = [i for i in range(3) if i != index]
            for hidden in ([others[0]], [others[1]], others):
                after = founded(state, index, rule, hidden)
                if after is not None:
                    yield after
        if phase != "off" and state.crashes < CRASHES:
            yield state.change(index, "off", state.logs[index], crashes=1)
        # Not in the moment in which a member has taken part and nobody knows yet.
        told = index in state.entries or state.log(index) == 0
        if phase == "off" and state.logs[index] is not None and told and state.losses < LOSSES:
            yield state.change(index, "off", None, losses=1)
    if set(state.running) & set(state.entries) and state.entries.count(WRITE) < WRITES:
        for pair in PAIRS:
            if set(pair) <= set(state.running):
                yield state.append(pair, (*state.entries, WRITE))


def reachable(rule: Rule) -> Iterator[State]:
    """Every state that can come about, as far as nothing is lost on the way there."""
    seen, todo = {State()}, deque([State()])
    while todo:
        state = todo.popleft()
        yield state
        if not state.loses_a_write:
            for after in events(state, rule):
                if after not in seen:
                    seen.add(after)
                    todo.append(after)


def settled(state: State, rule: Rule) -> State:
    """Where it ends when nothing fails any more."""
    while (after := next(progress(state, rule), None)) is not None:
        state = after
    return state


def stalls(state: State, rule: Rule) -> bool:
    """Whether a member never serves that has lost nothing, although nothing fails any more."""
    end = settled(state, rule)
    return any(
        phase != "runs" or index not in end.entries
        for index, phase in enumerate(end.phases)
        if not (end.logs[index] is None and index in end.entries)
    )


def the_rule(peer_url: str, peers: Sequence[Peer]) -> Start:
    return decide(False, peer_url, peers).start


def test_no_order_of_starts_crashes_and_losses_loses_a_write_or_stalls() -> None:
    states = list(reachable(the_rule))
    assert len(states) > 1000
    assert any(WRITE in state.entries and state.losses for state in states)
    assert not [state for state in states if state.loses_a_write]
    assert not [state for state in states if stalls(state, the_rule)]


def absence_is_enough(peer_url: str, peers: Sequence[Peer]) -> Start:
    """Found a cluster where no port is open that clients use; wait where one is open and nobody answers."""
    if any(peer.confirmed for peer in peers):
        return the_rule(peer_url, peers)
    return Start.WAIT if any(peer.members is not None for peer in peers) else Start.NEW


def one_answer_is_enough(peer_url: str, peers: Sequence[Peer]) -> Start:
    """Believe whoever has not seen this member, whoever else is silent."""
    return the_rule(peer_url, [peer for peer in peers if peer.heard])


def test_absence_proves_nothing() -> None:
    states = list(reachable(absence_is_enough))
    # One founds it alone; the others see that somebody is there who does not answer, and wait for ever.
    assert any(stalls(state, absence_is_enough) for state in states if not state.crashes and not state.losses)
    assert any(state.loses_a_write for state in states)


def test_one_answer_is_not_enough() -> None:
    assert any(state.loses_a_write for state in reachable(one_answer_is_enough))
