"""How a member starts: with its data, from a snapshot, as one of the first, or as one that was added later.

Runs before etcd, in the same pod. `decision` says what is safe; here is who is asked, and what is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from etcd_tools import announcement
from etcd_tools.cluster import members_of
from etcd_tools.decision import Decision, Peer, Start, decide
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials, Gateway, Json, request
from etcd_tools.snapshots import Restoration, restore, verify


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


@dataclass(frozen=True)
class Other:
    """Another member, and how it is asked."""

    name: str
    peer_url: str
    client_url: str
    client: Credentials
    peer: Credentials


def ask(other: Other, timeout: float = 3.0) -> Peer:
    """What another member knows.

    A member without a leader does not answer its clients, though it listens: connections are taken by the
    kernel and nobody speaks. The members' own port it serves all the same.
    """
    try:
        answer = Gateway(other.client_url, other.client, timeout).call(
            "cluster/member/list", {"linearizable": True}
        )
        return Peer(other.name, other.peer_url, members_of(answer), confirmed=True)
    except Refused:
        # Whatever the reason: the members' port says more.
        pass
    try:
        said = request(other.peer_url + announcement.PATH, other.peer, timeout)
        if said.status == HTTPStatus.OK:
            return _empty(other, json.loads(said.text), said.address)
        listed = request(other.peer_url + "/members", other.peer, timeout)
        if listed.status == HTTPStatus.OK:
            members = members_of({"members": json.loads(listed.text)}, identifier="id")
            return Peer(other.name, other.peer_url, members, address=listed.address)
        silence = f"status {listed.status} of /members"
    except Refused as error:
        silence = str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        silence = f"not etcd: {error!r}"
    return Peer(other.name, other.peer_url, silence=silence)


def _empty(other: Other, said: Json, address: str) -> Peer:
    if said["name"] != other.name:
        silence = f"its name leads to {said['name']}"
        return Peer(other.name, other.peer_url, silence=silence)
    return Peer(other.name, other.peer_url, empty=True, snapshot=said["snapshot"], address=address)


def ask_all(others: Iterable[Other]) -> list[Peer]:
    """All at once, so that those that are silent do not add up."""
    asked = list(others)
    with ThreadPoolExecutor(max(len(asked), 1)) as pool:
        return list(pool.map(ask, asked))


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


def run(
    wanted: Bootstrap,
    credentials: Credentials,
    report: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    asking: Callable[[Iterable[Other]], list[Peer]] = ask_all,
    announcing: Callable[..., AbstractContextManager[None]] = announcement.announced,
    etcdutl: str = "etcdutl",
) -> Start:
    """Prepare the data directory if need be, and write the member's configuration.

    :raises Refused: the snapshot is not what was taken, or it has to wait for others for too long.
    """
    template = json.loads(wanted.template.read_text(encoding="utf-8"))
    peers = peers_of(template)
    if wanted.name not in peers:
        raise Refused(wanted.name, f"is none of the members {', '.join(sorted(peers))}")
    data = Path(template["data-dir"])
    if (data / "member").exists():
        decision = decide(True, peers[wanted.name], ())
    else:
        security = template["peer-transport-security"]
        peer = Credentials(Path(security["cert-file"]).parent)
        said = announcement.announcement(wanted.name, wanted.sha256)
        with announcing(template["listen-peer-urls"], said, peer, security["allowed-cn"]):
            decision = _decided(
                wanted,
                peers[wanted.name],
                _others(template, wanted.name, credentials, peer),
                report,
                sleep,
                clock,
                asking,
            )
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


def _others(template: Mapping[str, Any], name: str, client: Credentials, peer: Credentials) -> list[Other]:
    port = str(template["listen-client-urls"]).rpartition(":")[2]
    return [
        Other(other, url, f"{url.rpartition(':')[0]}:{port}", client, peer)
        for other, url in peers_of(template).items()
        if other != name
    ]


def _decided(
    wanted: Bootstrap,
    peer_url: str,
    others: list[Other],
    report: Callable[[str], None],
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    asking: Callable[[Iterable[Other]], list[Peer]],
) -> Decision:
    """What to do, once it is anything but to wait.

    :raises Refused: it is not within the time, or the snapshot is not what was taken.
    """
    deadline, told, verified = clock() + wanted.wait_seconds, "", False
    while True:
        known = asking(others)
        decision = decide(False, peer_url, known, wanted.sha256)
        # A member that joins takes its data from the others; there may be no snapshot any more.
        if not verified and wanted.snapshot is not None and all(peer.members is None for peer in known):
            verify(wanted.snapshot, wanted.sha256)
            verified = True
        if decision.start is not Start.WAIT:
            return decision
        if decision.reason != told:
            report(f"{wanted.name}: {decision.reason}")
            told = decision.reason
        if clock() >= deadline:
            raise Refused(wanted.name, f"{decision.reason}; waited {wanted.wait_seconds:g} s")
        sleep(1.0)
