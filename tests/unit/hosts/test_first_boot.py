"""cloud-init user-data and the plain script: valid, and the same."""

from __future__ import annotations

import base64
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.hosts.files import files, render_containerd
from components.hosts.first_boot import commands, packages, render_script, render_user_data
from tests.harness.commands import Result, run
from tests.unit.hosts.examples import host, plan
from toolchain import artefacts, debian, golang
from toolchain.errors import ToolchainError
from toolchain.images import rootfs

NAMES = ["node-1", "node-2", "gpu-1", "npu-1", "mlu-1"]
SOURCE = {
    "name": "kubernetes",
    "source": "deb [signed-by=$KEY_FILE] https://packages.example/kubernetes /",
    "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n",
}


@pytest.fixture(scope="module")
def cloud_init() -> Any:
    """Debian's cloud-init with its own Python."""
    try:
        key = debian.key(*debian.package_set("cloud-init"))
        root = artefacts.ensure("cloud-init", key, lambda target: rootfs.unpack("cloud-init", target))
    except ToolchainError as error:
        pytest.skip(f"cloud-init cannot be had: {error}")

    def validate(file: Path) -> Result:
        loader = [root / rootfs.LOADER, "--library-path", root / rootfs.LIBRARIES, root / rootfs.PYTHON, "-S"]
        environment = {
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
            "PATH": os.environ["PATH"],
        }
        command = ["-m", "cloudinit.cmd.main", "schema", "--config-file", file]
        return run([*loader, *command], env=environment)

    return validate


def user_data(name: str, **changes: Any) -> str:
    planned = plan(**changes)
    return render_user_data(planned, host(planned, name))


@pytest.mark.parametrize("name", NAMES)
def test_cloud_init_accepts_it(cloud_init: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / "user-data"
    file.write_text(user_data(name, aptSources=[SOURCE]))
    assert "Valid cloud-config" in cloud_init(file).succeeded().output


def test_cloud_init_refuses_a_broken_one(cloud_init: Any, tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(user_data("node-1").replace("package_update: true", "package_update: [1]"))
    assert "Valid cloud-config" not in cloud_init(file).output


@pytest.mark.parametrize("name", NAMES)
def test_user_data_and_script_do_the_same(name: str) -> None:
    planned = plan()
    script = render_script(planned, host(planned, name))
    written = {
        path: (mode, base64.b64decode(content).decode())
        for path, mode, content in re.findall(r"^put (\S+) (\S+) <<'END'\n(.*?)\nEND$", script, re.M | re.S)
    }
    document = yaml.safe_load(user_data(name))
    assert written == {
        entry["path"]: (entry["permissions"], entry["content"]) for entry in document["write_files"]
    }
    for command in document["runcmd"]:
        assert f"\n{command}\n" in script
    for package in document["packages"]:
        assert f" {package}" in script


@pytest.mark.parametrize("name", NAMES)
def test_the_scripts_are_bash(tmp_path: Path, name: str) -> None:
    planned = plan(aptSources=[SOURCE])
    one = host(planned, name)
    scripts = [render_script(planned, one)] + [
        file.content for file in files(planned, one) if file.content.startswith("#!/usr/bin/env bash")
    ]
    assert len(scripts) == 2
    for index, text in enumerate(scripts):
        file = tmp_path / str(index)
        file.write_text(text)
        run(["bash", "-n", file]).succeeded()


def test_limits_and_kernel_parameters() -> None:
    content = {file.path: file.content for file in files(plan(), host(plan(), "gpu-1"))}
    sysctls = content["/etc/sysctl.d/90-autoglm.conf"]
    assert "net.core.somaxconn = 65535\n" in sysctls
    assert "fs.file-max = 2097152\n" in sysctls
    limits = content["/etc/security/limits.d/90-autoglm.conf"]
    assert (
        limits == "* soft nofile 65536\n* hard nofile 65536\nroot soft nofile 65536\nroot hard nofile 65536\n"
    )
    assert "LimitNOFILE=65536" in content["/etc/systemd/system/containerd.service.d/90-autoglm.conf"]


def test_swap_is_turned_off_for_good_unless_pods_may_use_it() -> None:
    planned = plan()
    off = "\n".join(commands(planned, host(planned, "gpu-1")))
    assert "swapoff --all" in off
    assert "/etc/fstab" in off
    limited = plan(swap="limited")
    assert "swap" not in "\n".join(commands(limited, host(limited, "gpu-1")))


@pytest.mark.parametrize(
    ("name", "runtime", "program"),
    [
        ("gpu-1", "nvidia", "/usr/bin/nvidia-container-runtime"),
        ("npu-1", "ascend", "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime"),
        ("mlu-1", "runc", None),
        ("node-2", "runc", None),
    ],
)
def test_containerd_runs_what_the_accelerator_needs(name: str, runtime: str, program: str | None) -> None:
    document = tomllib.loads(render_containerd(host(plan(), name)))
    containerd = document["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]
    assert containerd["default_runtime_name"] == runtime
    for options in (one["options"] for one in containerd["runtimes"].values()):
        assert options["SystemdCgroup"] is True
    assert containerd["runtimes"][runtime]["options"].get("BinaryName") == program


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpu-1", "npu-1", "node-1"])
def test_containerd_reads_it(tmp_path: Path, name: str) -> None:
    try:
        containerd = golang.ensure_binaries("containerd", link=False)["containerd"]
    except ToolchainError as error:
        pytest.skip(f"containerd cannot be built: {error}")
    file = tmp_path / "config.toml"
    file.write_text(render_containerd(host(plan(), name)))
    dumped = tomllib.loads(run([containerd, "--config", file, "config", "dump"]).succeeded().stdout)
    runtime = dumped["plugins"]["io.containerd.cri.v1.runtime"]
    ours = tomllib.loads(file.read_text())["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]
    assert runtime["containerd"]["default_runtime_name"] == ours["default_runtime_name"]
    for key, value in ours["runtimes"].items():
        assert runtime["containerd"]["runtimes"][key]["options"].items() >= value["options"].items()


def test_the_control_planes_address_is_there_before_kubernetes() -> None:
    planned = plan()
    paths = {file.path for file in files(planned, host(planned, "node-2"))}
    for service in ("firewall", "haproxy", "monitor", "keepalived"):
        assert f"/etc/systemd/system/virtual-ip-{service}.service" in paths
    assert "keepalived" in packages(planned, host(planned, "node-2"))
    assert "keepalived" not in packages(planned, host(planned, "gpu-1"))


def test_systemd_takes_the_address_away_however_keepalived_ends() -> None:
    planned = plan()
    units = {file.path: file.content for file in files(planned, host(planned, "node-1"))}
    unit = units["/etc/systemd/system/virtual-ip-keepalived.service"]
    remove = "-/usr/bin/busybox ip address del 192.168.1.101/24 dev eth0"
    assert f"ExecStopPost={remove}\n" in unit
    assert f"ExecStartPre={remove}\n" in unit


def test_nothing_of_the_settings_is_run_by_a_shell() -> None:
    """Keys of archives are the only free text, and are written as base64."""
    hostile = SOURCE | {"key": SOURCE["key"] + "$(reboot)\nEND\nreboot\n"}
    planned = plan(aptSources=[hostile])
    assert "reboot" not in render_script(planned, host(planned, "gpu-1"))
