"""How a member starts: with its data, from a snapshot, as one of the first, or as one that was added later.

etcd ignores what its configuration says of the beginning once it has data. Without data, `new` would found a
second cluster where the first one is merely out of sight, so it is written only when nobody there can know a
cluster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from etcd_tools.cluster import Member, members_of
from etcd_tools.errors import ApiError, Refused, Unreachable
from etcd_tools.gateway import Credentials, Gateway
from etcd_tools.snapshots import Restoration, restore


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

    members: tuple[Member, ...] | None = None
    """The members as it knows them, if it answers."""
    absent: bool = False
    """Nobody listens there: as before the first start. Otherwise, if it does not answer, nothing is known."""


@dataclass(frozen=True)
class Decision:
    start: Start
    reason: str
    members: tuple[Member, ...] = ()
    """Of the cluster to join."""


def decide(has_data: bool, peer_url: str, peers: Sequence[Peer]) -> Decision:
    """How to start a member, given what the others say."""
    if has_data:
        return Decision(Start.DATA, "has data")
    known = [peer.members for peer in peers if peer.members is not None]
    if not known:
        if all(peer.absent for peer in peers):
            return Decision(Start.NEW, "no data, and nobody is there yet")
        return Decision(Start.WAIT, "no data here, and some members do not answer: they may know a cluster")
    # Whoever was removed may not know yet; the newest list is that of most members, ties by size.
    members = max(known, key=lambda one: (sum(other == one for other in known), len(one)))
    own = next((member for member in members if peer_url in member.peer_urls), None)
    if own is None:
        return Decision(Start.WAIT, f"the cluster has no member at {peer_url}; run `etcd_tools replace`")
    if own.learner and not own.started:
        return Decision(Start.JOIN, "added as a learner", members)
    if own.started:
        return Decision(
            Start.WAIT,
            f"the cluster knows this member and its data is gone; run `etcd_tools replace {own.label}`",
        )
    return Decision(Start.NEW, "one of the first members, the others have started already")


def document(template: Mapping[str, Any], name: str, decision: Decision) -> dict[str, Any]:
    """etcd's configuration for one member."""
    peer_url = peers_of(template)[name]
    host = peer_url.rpartition(":")[0]
    client_port = str(template["listen-client-urls"]).rpartition(":")[2]
    cluster = template["initial-cluster"]
    if decision.start is Start.JOIN:
        cluster = ",".join(
            f"{name if peer_url in member.peer_urls else member.name}={url}"
            for member in decision.members
            for url in member.peer_urls
        )
    return {
        **template,
        "name": name,
        "initial-advertise-peer-urls": peer_url,
        "advertise-client-urls": f"{host}:{client_port}",
        "initial-cluster": cluster,
        "initial-cluster-state": "existing" if decision.start is Start.JOIN else "new",
    }


def peers_of(template: Mapping[str, Any]) -> dict[str, str]:
    """Peer addresses by name, from `initial-cluster`."""
    return dict(item.split("=", 1) for item in str(template["initial-cluster"]).split(","))


def ask(endpoint: str, credentials: Credentials, timeout: float = 3.0) -> Peer:
    """What the member at an endpoint knows."""
    try:
        # Not linearizable: a member without quorum knows its cluster all the same.
        answer = Gateway(endpoint, credentials, timeout).call("cluster/member/list", {"linearizable": False})
    except Unreachable as error:
        return Peer(absent=error.refused)
    except ApiError:
        return Peer()
    return Peer(members_of(answer))


@dataclass(frozen=True)
class Bootstrap:
    """A member that is about to start."""

    template: Path
    output: Path
    name: str
    snapshot: Path | None = None
    sha256: str | None = None
    wait_seconds: float = 3600.0
    """How long to wait for others before the container starts over."""
    quiet_rounds: int = 3
    """How often nobody may be there before a cluster is founded."""


def run(
    wanted: Bootstrap,
    credentials: Credentials,
    report: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    asking: Callable[[str, Credentials], Peer] = ask,
    etcdutl: str = "etcdutl",
) -> Start:
    """Prepare the data directory if need be, and write the member's configuration.

    :raises Refused: the snapshot is not what was taken, or it has to wait for others for too long.
    """
    template = json.loads(wanted.template.read_text(encoding="utf-8"))
    peers = peers_of(template)
    if wanted.name not in peers:
        raise Refused(wanted.name, f"is none of the members {', '.join(sorted(peers))}")
    client_port = str(template["listen-client-urls"]).rpartition(":")[2]
    others = [f"{url.rpartition(':')[0]}:{client_port}" for name, url in peers.items() if name != wanted.name]
    data = Path(template["data-dir"])
    deadline, quiet, told = clock() + wanted.wait_seconds, 0, ""
    while True:
        has_data = (data / "member").exists()
        decision = decide(
            has_data, peers[wanted.name], [] if has_data else [asking(o, credentials) for o in others]
        )
        founding = decision.start is Start.NEW and not decision.members
        quiet = quiet + 1 if founding else 0
        # A name may not be known yet, and a network policy may not have let this pod in yet: once is not
        # enough.
        if decision.start is not Start.WAIT and (not founding or quiet >= wanted.quiet_rounds):
            break
        if decision.reason != told:
            report(f"{wanted.name}: {decision.reason}")
            told = decision.reason
        if clock() >= deadline:
            raise Refused(wanted.name, f"{decision.reason}; waited {wanted.wait_seconds:g} s")
        sleep(1.0)
    if decision.start is Start.NEW and wanted.snapshot is not None and wanted.sha256 is not None:
        restored = restore(
            Restoration(
                wanted.snapshot,
                wanted.sha256,
                data,
                wanted.name,
                peers[wanted.name],
                str(template["initial-cluster"]),
                str(template["initial-cluster-token"]),
            ),
            etcdutl,
        )
        report(f"{wanted.name}: restored from {restored.path.name}, SHA-256 {restored.sha256}")
    wanted.output.write_text(
        json.dumps(document(template, wanted.name, decision), indent=1), encoding="utf-8"
    )
    report(f"{wanted.name}: {decision.reason}; starts with {decision.start.value}")
    return decision.start
