"""A member founds a cluster only where nobody can know one."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcd_tools import bootstrap
from etcd_tools.bootstrap import Bootstrap, Decision, Peer, Start, decide, document
from etcd_tools.cluster import Member
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials

OWN = "https://etcd-2.p:2380"


def member(index: int, *, started: bool = True, learner: bool = False) -> Member:
    urls = (f"https://etcd-{index}.p:2379",) if started else ()
    return Member(index + 1, f"etcd-{index}", (f"https://etcd-{index}.p:2380",), urls, learner)


FULL = (member(0), member(1), member(2))
FOUNDING = (member(0), member(1), member(2, started=False))
REMOVED = (member(0), member(1))
JOINING = (member(0), member(1), member(2, started=False, learner=True))
ABSENT, SILENT = Peer(absent=True), Peer()


@pytest.mark.parametrize(
    ("has_data", "peers", "start"),
    [
        (True, [], Start.DATA),
        (True, [SILENT, SILENT], Start.DATA),
        (False, [ABSENT, ABSENT], Start.NEW),
        (False, [ABSENT, SILENT], Start.WAIT),
        (False, [SILENT, SILENT], Start.WAIT),
        (False, [Peer(FOUNDING), ABSENT], Start.NEW),
        (False, [Peer(FULL), Peer(FULL)], Start.WAIT),
        (False, [Peer(REMOVED), Peer(REMOVED)], Start.WAIT),
        (False, [Peer(JOINING), Peer(JOINING)], Start.JOIN),
        (False, [Peer(JOINING), SILENT], Start.JOIN),
    ],
)
def test_how_a_member_starts(has_data: bool, peers: list[Peer], start: Start) -> None:
    assert decide(has_data, OWN, peers).start is start


@settings(deadline=None)
@given(st.lists(st.sampled_from([ABSENT, SILENT, Peer(FULL), Peer(REMOVED), Peer(JOINING)]), min_size=1))
def test_a_second_cluster_is_never_founded_beside_one_that_may_exist(peers: list[Peer]) -> None:
    if decide(False, OWN, peers).start is Start.NEW:
        assert all(peer.absent for peer in peers)


def test_who_waits_is_told_what_to_do() -> None:
    assert "etcd_tools replace etcd-2" in decide(False, OWN, [Peer(FULL)]).reason
    assert "etcd_tools replace" in decide(False, OWN, [Peer(REMOVED)]).reason


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.json"
    content = {
        "data-dir": str(tmp_path / "data"),
        "listen-client-urls": "https://0.0.0.0:2379",
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


class Peers:
    """What the others answer, round by round; the last round stays."""

    def __init__(self, *rounds: list[Peer]) -> None:
        self.rounds, self.asked = list(rounds), 0

    def __call__(self, endpoint: str, credentials: Credentials) -> Peer:
        number, index = divmod(self.asked, 2)
        self.asked += 1
        return self.rounds[min(number, len(self.rounds) - 1)][index]


def start(template: Path, peers: Peers, name: str = "etcd-2", wait: float = 100) -> tuple[Start, list[str]]:
    told: list[str] = []
    now = [0.0]
    wanted = Bootstrap(template, template.with_name("etcd.json"), name, wait_seconds=wait)
    result = bootstrap.run(
        wanted,
        Credentials(template.parent),
        told.append,
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
        clock=lambda: now[0],
        asking=peers,
    )
    return result, told


def test_nobody_there_has_to_be_seen_several_times(template: Path) -> None:
    peers = Peers([ABSENT, ABSENT], [ABSENT, SILENT], [ABSENT, ABSENT])
    assert start(template, peers)[0] is Start.NEW
    assert peers.asked == 2 * 5
    assert json.loads(template.with_name("etcd.json").read_text())["initial-cluster-state"] == "new"


def test_a_member_without_its_data_waits_until_it_is_replaced(template: Path) -> None:
    result, told = start(template, Peers([Peer(FULL)] * 2, [Peer(REMOVED)] * 2, [Peer(JOINING)] * 2))
    assert result is Start.JOIN
    assert len(told) == 3


def test_waiting_ends_with_the_reason(template: Path) -> None:
    with pytest.raises(Refused, match=r"some members do not answer.*; waited 100 s"):
        start(template, Peers([SILENT, ABSENT]))
    assert not template.with_name("etcd.json").exists()


def test_a_name_that_is_no_member_is_refused(template: Path) -> None:
    with pytest.raises(Refused, match="etcd-7: is none of the members"):
        start(template, Peers([ABSENT, ABSENT]), name="etcd-7")


def test_data_is_never_touched(template: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "member").mkdir(parents=True)
    assert start(template, Peers([Peer(FULL), Peer(FULL)]))[0] is Start.DATA
