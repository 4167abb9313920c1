"""Control groups, kernel parameters, the record of changes, and comparing a host before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.cluster import cgroups, host_state, layout, linux, mountns, state, sysctls
from toolchain.cluster.cgroups import Hierarchy, Tree
from toolchain.errors import ToolchainError

V1 = """\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
"""


def test_version_1_hierarchies_are_read_with_their_controllers() -> None:
    found = cgroups.parse_hierarchies(V1)
    assert [(h.mount.name, h.version) for h in found] == [("cpu,cpuacct", 1), ("memory", 1), ("systemd", 1)]
    assert found[0].controllers == {"cpu", "cpuacct"}
    assert cgroups.version(found) == 1
    assert cgroups.missing_controllers(found) == {"cpuset", "pids"}


def _unified(root: Path, controllers: str) -> Hierarchy:
    (root / "cgroup.controllers").write_text(controllers)
    (root / "cgroup.subtree_control").write_text("")
    return cgroups.parse_hierarchies(f"30 25 0:26 / {root} rw - cgroup2 cgroup2 rw")[0]


def test_a_unified_hierarchy_with_controllers_is_version_2(tmp_path: Path) -> None:
    found = [_unified(tmp_path, "cpuset cpu io memory pids")]
    assert cgroups.version(found) == 2
    assert cgroups.missing_controllers(found) == frozenset()


def test_a_hybrid_host_is_version_1(tmp_path: Path) -> None:
    assert cgroups.version([*cgroups.parse_hierarchies(V1), _unified(tmp_path, "")]) == 1


def test_a_tree_is_made_and_removed_in_every_hierarchy(tmp_path: Path) -> None:
    hierarchies = []
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
        hierarchies.append(Hierarchy(tmp_path / name, 1, frozenset({name})))
    tree = Tree("/autoglm-test", tuple(hierarchies))
    tree.create()
    tree.create()
    assert (tmp_path / "memory/autoglm-test/system").is_dir()
    assert tree.exists()
    assert tree.remove() == []
    assert not tree.exists()


def test_a_new_cpuset_group_is_filled_before_processes_come(tmp_path: Path) -> None:
    (tmp_path / "cpuset.cpus").write_text("0-1")
    (tmp_path / "cpuset.mems").write_text("0")
    for group in ("autoglm-test", "autoglm-test/system"):
        (tmp_path / group).mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / group / file).write_text("\n")
    Tree("/autoglm-test", (Hierarchy(tmp_path, 1, frozenset({"cpuset"})),)).create()
    assert (tmp_path / "autoglm-test/system/cpuset.cpus").read_text() == "0-1"


def test_without_the_resource_capability_oom_scores_cannot_be_lowered() -> None:
    assert linux.may_lower_oom_score("CapEff:\t000001ffffffffff\n")
    assert not linux.may_lower_oom_score("CapEff:\t000001fffeffffff\n")


def test_kernel_parameters_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysctls, "SYS", tmp_path)
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/overcommit_memory").write_text("0\n")
    before = sysctls.read(["vm/overcommit_memory", "kernel/absent"])
    assert before == {"vm/overcommit_memory": "0"}
    (tmp_path / "vm/overcommit_memory").write_text("1\n")
    assert sysctls.restore(before) == []
    assert (tmp_path / "vm/overcommit_memory").read_text() == "0"


def test_missing_parents_come_outermost_first(tmp_path: Path) -> None:
    assert mountns.missing_parents(tmp_path / "a/b") == [tmp_path / "a", tmp_path / "a/b"]
    assert mountns.missing_parents(tmp_path) == []


def test_the_record_survives_a_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "STATE", tmp_path / "state.json")
    assert state.load() is None
    recorded = state.State(node_address="10.246.0.1", created_paths=["/etc/kubernetes"])
    recorded.save()
    assert state.load() == recorded


def test_a_damaged_record_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"nodeAddress": 1}')
    with pytest.raises(ToolchainError, match="make down"):
        state.load(tmp_path / "state.json")


def test_a_difference_says_what_came_and_what_went() -> None:
    before = {"links": ["eth0", "lo"], "nft tables": []}
    after = {"links": ["autoglm0", "lo"], "nft tables": []}
    assert host_state.difference(before, after) == {"links": ["- eth0", "+ autoglm0"]}
    assert host_state.difference(before, before) == {}


def test_groups_beside_our_own_are_of_whoever_has_started_us() -> None:
    groups = "4:memory:/sessions/0123\n2:cpu:/\n0::/user.slice/user-0.slice/session-1.scope\n"
    assert cgroups.sessions(groups) == {Path("sessions"), Path("user.slice/user-0.slice")}
    assert cgroups.sessions("4:memory:/alone\n0::/\n") == set()
