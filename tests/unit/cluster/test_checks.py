"""What keeps a machine from running the cluster is said first, with the way out."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

import pytest

from toolchain.cluster import checks
from toolchain.cluster.checks import Listener, Machine
from toolchain.errors import ToolchainError

GIB = 1 << 30
GOOD = Machine(
    system="linux",
    architecture="x86_64",
    user_id=0,
    memory_bytes=16 * GIB,
    disk_free_bytes=40 * GIB,
    disk_needed_gib=20,
)


def _problem(**changes: object) -> str:
    found = checks.problems(dataclasses.replace(GOOD, **changes))  # type: ignore[arg-type]
    assert len(found) == 1, found
    return found[0]


def test_an_ordinary_machine_passes() -> None:
    assert checks.problems(GOOD) == []
    checks.check(GOOD)


def test_another_system_is_refused_before_anything_else() -> None:
    assert "runs on Linux, this is darwin" in _problem(system="darwin", user_id=501, memory_bytes=0)


def test_the_error_names_the_way_out() -> None:
    with pytest.raises(ToolchainError, match="use your own cluster"):
        checks.check(dataclasses.replace(GOOD, user_id=1000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "aarch64"}, "processor aarch64"),
        ({"user_id": 1000}, "user id 1000.*root.*sudo make up"),
        ({"memory_bytes": 4 * GIB}, r"memory 4\.0 GiB < 8 GiB"),
        ({"disk_free_bytes": 10 * GIB}, r"10\.0 GiB < 20 GiB"),
        ({"disk_free_bytes": GIB, "disk_needed_gib": 2}, r"1\.0 GiB < 2 GiB"),
        ({"missing_features": ("nf_tables (CONFIG_NF_TABLES)",)}, "the kernel lacks nf_tables"),
        (
            {"used_networks": (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("172.16.0.0/12"))},
            "no free",
        ),
    ],
)
def test_each_problem_is_named(changes: dict[str, object], message: str) -> None:
    assert re.search(message, _problem(**changes))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.246.0.1"])
def test_a_foreign_api_server_is_named_with_its_process(address: str) -> None:
    listener = Listener(address, 6443, "kube-apiserver 4711")
    message = _problem(listeners=(listener,), node_address="10.246.0.1")
    assert f"port 6443 on {address} is taken by kube-apiserver 4711" in message


def test_listeners_on_other_addresses_and_ports_do_not_matter() -> None:
    listeners = (
        Listener("192.0.2.7", 6443, "other 1"),
        Listener("0.0.0.0", 8080, "web 2"),
        Listener("127.0.0.1", 6443, "x 3"),
    )
    assert checks.problems(dataclasses.replace(GOOD, listeners=listeners, node_address="10.246.0.1")) == []


def test_all_problems_are_said_at_once() -> None:
    bad = dataclasses.replace(GOOD, user_id=1, memory_bytes=GIB, listeners=(Listener("::1", 2379, "etcd 9"),))
    assert len(checks.problems(bad)) == 3


def test_listening_sockets_are_read_from_proc() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n"
        "   1: 0100007F:0947 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4243 1\n"
    )
    assert checks.parse_listeners(table) == [("127.0.0.1", 2375, "4242")]
    table6 = table.replace("0100007F:0947 00000000", "00000000000000000000000001000000:192B 00000000")
    assert checks.parse_listeners(table6)[0] == ("::1", 6443, "4242")


def test_total_memory_is_read_from_proc() -> None:
    assert checks.memory_bytes("MemTotal:       8388608 kB\nMemFree: 1 kB\n") == 8 * GIB


def test_a_socket_of_a_process_that_is_ending_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [[Listener("10.246.0.1", 6443, checks.UNSEEN)], []]
    monkeypatch.setattr(checks, "listeners", lambda own: seen.pop(0))
    assert checks.settled_listeners(frozenset(), "10.246.0.1") == []
    assert seen == []


def test_a_socket_that_stays_without_owner_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = Listener("10.246.0.1", 6443, checks.UNSEEN)
    monkeypatch.setattr(checks, "ENDING_SECONDS", 0.2)
    monkeypatch.setattr(checks, "listeners", lambda own: [foreign])
    assert checks.settled_listeners(frozenset(), "10.246.0.1") == [foreign]
