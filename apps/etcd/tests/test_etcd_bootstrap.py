"""What a member does before etcd: ask, wait, restore, write its configuration."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_etcd_decision import FULL, JOINING, OWN, REMOVED, empty, member, quorum, silent

from etcd_tools import bootstrap
from etcd_tools.bootstrap import Bootstrap, Other, document
from etcd_tools.cluster import Member
from etcd_tools.decision import Decision, Peer, Start
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.json"
    content = {
        "data-dir": str(tmp_path / "data"),
        "listen-client-urls": "https://0.0.0.0:2379",
        "listen-peer-urls": "https://0.0.0.0:2380",
        "peer-transport-security": {"cert-file": "/tls/peer/tls.crt", "allowed-cn": ["etcd-peer"]},
        "initial-cluster": ",".join(f"etcd-{i}=https://etcd-{i}.p:2380" for i in range(3)),
        "initial-cluster-token": "t",
    }
    path.write_text(json.dumps(content))
    return path


def test_document_of_a_founder(template: Path) -> None:
    written = document(json.loads(template.read_text()), "etcd-2", Decision(Start.NEW, ""))
    assert written["name"] == "etcd-2"
    assert written["initial-advertise-peer-urls"] == OWN
    assert written["advertise-client-urls"] == "https://etcd-2.p:2379"
    assert written["initial-cluster-state"] == "new"


def test_document_of_a_learner_names_the_members_that_are_there(template: Path) -> None:
    members = (member(0), Member(12, "", (OWN,), (), True))
    written = document(json.loads(template.read_text()), "etcd-2", Decision(Start.JOIN, "", members))
    assert written["initial-cluster-state"] == "existing"
    assert written["initial-cluster"] == f"etcd-0=https://etcd-0.p:2380,etcd-2={OWN}"


class Others:
    """What the others answer, round by round; the last round stays."""

    def __init__(self, *rounds: list[Peer]) -> None:
        self.rounds, self.asked, self.announced = list(rounds), 0, [False]
        self.said: list[tuple[Any, ...]] = []

    def ask(self, others: Iterable[Other]) -> list[Peer]:
        assert self.announced[-1], "asks without having said that it is there"
        assert [other.client_url for other in others] == ["https://etcd-0.p:2379", "https://etcd-1.p:2379"]
        self.asked += 1
        return self.rounds[min(self.asked, len(self.rounds)) - 1]

    @contextlib.contextmanager
    def announce(self, *said: Any) -> Iterator[None]:
        self.said.append(said)
        self.announced.append(True)
        yield
        self.announced.append(False)


def start(
    template: Path,
    others: Others,
    name: str = "etcd-2",
    wait: float = 100,
    snapshot: Path | None = None,
    sha256: str | None = None,
) -> tuple[Start, list[str]]:
    told: list[str] = []
    now = [0.0]
    wanted = Bootstrap(template, template.with_name("etcd.json"), name, snapshot, sha256, wait)
    result = bootstrap.run(
        wanted,
        Credentials(template.parent),
        told.append,
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
        clock=lambda: now[0],
        asking=others.ask,
        announcing=others.announce,
    )
    return result, told


def test_a_cluster_is_founded_when_all_have_said_that_they_have_nothing(template: Path) -> None:
    others = Others([silent(0), silent(1)], [empty(0), silent(1)], [empty(0), empty(1)])
    assert start(template, others)[0] is Start.NEW
    assert others.asked == 3
    assert json.loads(template.with_name("etcd.json").read_text())["initial-cluster-state"] == "new"


def test_the_others_are_told_until_it_is_decided(template: Path) -> None:
    others = Others([empty(0), empty(1)])
    start(template, others)
    said = {"name": "etcd-2", "state": "empty", "snapshot": None}
    assert others.said == [("https://0.0.0.0:2380", said, Credentials(Path("/tls/peer")), ["etcd-peer"])]
    assert not others.announced[-1], "etcd needs the port"


def test_a_member_without_its_data_waits_until_it_is_replaced(template: Path) -> None:
    rounds = [[quorum(0, members), quorum(1, members)] for members in (FULL, REMOVED, JOINING)]
    result, told = start(template, Others(*rounds))
    assert result is Start.JOIN
    assert len(told) == 3


def test_waiting_ends_with_the_reason(template: Path) -> None:
    with pytest.raises(Refused, match=r"others may know a cluster: etcd-0: certificate.*; waited 100 s"):
        start(template, Others([silent(0), empty(1)]))
    assert not template.with_name("etcd.json").exists()


def test_a_name_that_is_no_member_is_refused(template: Path) -> None:
    with pytest.raises(Refused, match="etcd-7: is none of the members"):
        start(template, Others([]), name="etcd-7")


def test_data_is_never_touched_and_nobody_is_asked(template: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "member").mkdir(parents=True)
    others = Others([])
    assert start(template, others)[0] is Start.DATA
    assert others.asked == 0
    assert others.said == []


def test_a_bad_snapshot_is_refused_before_anybody_is_waited_for(template: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "a.db"
    snapshot.write_bytes(b"x" * 544)
    others = Others([silent(0), silent(1)])
    with pytest.raises(Refused, match="embedded SHA-256"):
        start(template, others, snapshot=snapshot, sha256="0" * 64)
    assert others.asked == 1


def test_a_member_that_is_replaced_needs_no_snapshot(template: Path, tmp_path: Path) -> None:
    others = Others([quorum(0, JOINING), silent(1)])
    result, _ = start(template, others, snapshot=tmp_path / "gone.db", sha256="0" * 64)
    assert result is Start.JOIN
