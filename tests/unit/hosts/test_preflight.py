"""The preflight script says everything that is missing, and fails then."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from components.hosts.plan import plan_hosts
from components.hosts.preflight import render_preflight
from tests.harness.commands import Result, run
from tests.unit.hosts.examples import MEMBERS, host, plan, settings


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def fake(folder: Path, name: str, output: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\nprintf '%b' '{output}'\n")
    file.chmod(0o755)


def preflight(folder: Path, name: str) -> Result:
    script = folder.parent / "preflight"
    planned = plan()
    script.write_text(render_preflight(planned, host(planned, name)))
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return run(["bash", script], env=environment)


def test_a_bare_machine_lacks_a_lot_and_hears_of_all_of_it(fakes: Path) -> None:
    told = preflight(fakes, "node-1").failed()
    assert told.status == 1
    for what in (
        "missing: host name node-1",
        "missing: address 192.168.1.11",
        "missing: program keepalived",
        "missing: service virtual-ip-haproxy",
        "missing: kernel parameter net.core.somaxconn",
    ):
        assert what in told.stderr
    count = told.stderr.count("missing: ")
    assert f"{count} things are missing" in told.stderr
    assert all("; " in line for line in told.stderr.splitlines() if line.startswith("missing: ")), told.stderr


@pytest.mark.parametrize(
    ("version", "accepted"),
    [
        ("535.104.05", True),
        ("535.104", True),
        ("550.54.15", True),
        ("535.54.03", False),
        ("470.256.02", False),
    ],
)
def test_nvidia_driver(fakes: Path, version: str, accepted: bool) -> None:
    fake(fakes, "nvidia-smi", f"{version}\\n" * 8)
    told = preflight(fakes, "gpu-1").stderr
    message = f"missing: NVIDIA driver 535.104 or newer: this is {version}; upgrade it"
    assert (message in told) is not accepted
    assert "GPUs: the driver sees" not in told


def test_a_lost_gpu_is_told(fakes: Path) -> None:
    fake(fakes, "nvidia-smi", "550.54.15\\n" * 7)
    assert "missing: 8 GPUs: the driver sees 7; check the cards" in preflight(fakes, "gpu-1").stderr


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gpu-1", "missing: NVIDIA driver 535.104 or newer (nvidia-smi); install it"),
        ("npu-1", "missing: Ascend driver (npu-smi); install it"),
        ("mlu-1", "missing: Cambricon driver (cnmon); install it"),
    ],
)
def test_a_missing_driver_is_told(fakes: Path, name: str, what: str) -> None:
    assert what in preflight(fakes, name).stderr


@pytest.mark.parametrize(
    ("version", "accepted"), [("v2.0.0", True), ("v2.4.2", True), ("1.7.28", False), ("1.6.20~ds1", False)]
)
def test_containerd_is_new_enough(fakes: Path, version: str, accepted: bool) -> None:
    fake(fakes, "containerd", f"containerd containerd.example/v2 {version} abc\\n")
    told = preflight(fakes, "gpu-1").stderr
    assert ("missing: containerd 2.0 or newer" in told) is not accepted


def test_another_version_of_kubernetes_is_told(fakes: Path) -> None:
    fake(fakes, "kubeadm", "v1.35.0\\n")
    fake(fakes, "kubelet", "Kubernetes v1.36.3\\n")
    told = preflight(fakes, "gpu-1").stderr
    assert "missing: kubeadm 1.36.3: this is 1.35.0; install that version" in told
    assert "missing: kubelet" not in told


def test_limits_may_be_higher_and_switches_may_not_differ(fakes: Path) -> None:
    fake(fakes, "sysctl", "9999999999\\n")
    told = preflight(fakes, "gpu-1").stderr
    assert "net.core.somaxconn" not in told
    assert "kernel parameter net.ipv4.ip_forward is 9999999999, not 1; run: sysctl --system" in told


def test_room_for_volumes(fakes: Path, tmp_path: Path) -> None:
    volumes = {str(tmp_path): 1, str(tmp_path / "absent"): 1, "/": 1 << 60}
    one = replace(MEMBERS[1], volumes=volumes)
    planned, problems = plan_hosts(settings(), [one])
    assert planned is not None, problems
    script = tmp_path / "script"
    script.write_text(render_preflight(planned, host(planned, "gpu-1")))
    told = run(["bash", script]).stderr
    assert f"missing: directory {tmp_path}/absent; mount a file system there" in told
    assert f"missing: {1 << 40} MiB at /: its file system has " in told
    assert f"directory {tmp_path};" not in told


def test_it_changes_nothing() -> None:
    planned = plan()
    for one in planned.hosts:
        text = render_preflight(planned, one)
        for line in text.splitlines():
            assert not line.strip().startswith(
                ("modprobe", "swapoff", "systemctl restart", "sysctl -w", "rm ")
            )
