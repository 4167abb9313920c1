"""The command that writes what the machines boot from."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from stacks.hosts import plan_machines, write
from stacks.problems import SettingsError
from tests.unit.stack_graphs import raw_stack

FILE = "Pulumi.onprem.yaml"


def raw() -> dict[str, Any]:
    return copy.deepcopy(raw_stack("onprem"))


def test_two_files_for_each_machine(tmp_path: Path) -> None:
    written = write(plan_machines(raw(), FILE), tmp_path)
    names = [node["name"] for pool in raw()["cluster"]["nodePools"] for node in pool["nodes"]]
    assert sorted(file.name for file in written) == sorted(
        f"{name}.{suffix}" for name in names for suffix in ("sh", "user-data")
    )
    assert (tmp_path / "node-1.user-data").read_text().startswith("#cloud-config\n")
    assert (tmp_path / "node-1.sh").stat().st_mode & 0o111


def test_the_example_has_room_for_its_volumes(tmp_path: Path) -> None:
    write(plan_machines(raw(), FILE), tmp_path)
    script = (tmp_path / "gpu-1.sh").read_text()
    assert "\ninstall -d -m 0750 /var/lib/autoglm/volumes/weights-1\n" in script


def test_problems_name_the_file_and_the_whole_path() -> None:
    changed = raw()
    changed["cluster"]["hosts"]["controlPlane"]["virtualIp"]["routerId"] = 0
    with pytest.raises(
        SettingsError, match=r"^Pulumi.onprem.yaml: cluster.hosts.controlPlane.virtualIp.routerId: 0: "
    ):
        plan_machines(changed, FILE)


def test_a_cluster_without_machines_is_refused() -> None:
    changed = raw()
    del changed["cluster"]["hosts"]
    with pytest.raises(SettingsError, match=r"cluster\.kind: onprem: describes no machines"):
        plan_machines(changed, FILE)
