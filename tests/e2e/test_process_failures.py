"""kill -9 of a process of the cluster, then `make up`: everything is as before."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.conftest import Deployment
from tests.harness import kube
from tests.harness.api import Client
from tests.harness.commands import make
from tests.harness.engine import Engine
from tests.harness.published import MODEL
from toolchain.cluster import layout, processes


def _processes(name: str) -> list[int]:
    """Processes of the embedded cluster with this name."""
    found = []
    for pid in processes.running():
        try:
            groups = (processes.PROC / str(pid) / "cgroup").read_text()
        except OSError:
            continue
        # The kernel keeps 15 characters of a name.
        if processes.name(pid) == name[:15] and layout.cgroup_name() in groups:
            found.append(pid)
    return found


@pytest.mark.parametrize("name", ["kubelet", "containerd", "kube-apiserver", "etcd"])
def test_cluster_survives_kill_9(name: str, deployment: Deployment, engine: Engine) -> None:
    killed = _processes(name)
    assert killed, f"{name} does not run"
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    make("up", timeout=600).succeeded()
    kube.wait_until(f"{name} runs again", lambda: _processes(name), 30)
    assert not set(_processes(name)) & set(killed)
    kube.wait_until("all pods running", lambda: not kube.unready_pods(), 120)
    engine.run("preview", "--expect-no-changes").succeeded()
    endpoint = engine.run("stack", "output", "endpoint").succeeded().stdout.strip()
    assert Client(endpoint, MODEL).chat().status == 200
