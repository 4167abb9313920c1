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


def _static_pod(component: str) -> str:
    """Directory of a control plane pod's control groups.

    The kubelet calls it after the hash of the pod's manifest. Tenants run programs of the same names: the
    platform's own etcd has three members.
    """
    (pod,) = kube.items(
        "pods", "--namespace", "kube-system", "-l", f"component={component},tier=control-plane"
    )
    return f"/pod{pod['metadata']['annotations']['kubernetes.io/config.hash']}/"


def _processes(name: str, group: str) -> list[int]:
    """Processes of the embedded cluster with this name, in control groups below `group`."""
    found = []
    for pid in processes.running():
        try:
            groups = (processes.PROC / str(pid) / "cgroup").read_text()
        except OSError:
            continue
        # The kernel keeps 15 characters of a name.
        in_cluster = layout.cgroup_name() in groups and group in groups
        if processes.name(pid) == name[:15] and in_cluster:
            found.append(pid)
    return found


STATIC_PODS = ("kube-apiserver", "etcd")


@pytest.mark.parametrize("name", ["kubelet", "containerd", *STATIC_PODS])
def test_cluster_survives_kill_9(name: str, deployment: Deployment, engine: Engine) -> None:
    group = _static_pod(name) if name in STATIC_PODS else ""
    killed = _processes(name, group)
    assert len(killed) == 1, f"{len(killed)} processes {name}"
    os.kill(killed[0], signal.SIGKILL)
    make("up", timeout=600).succeeded()
    kube.wait_until(f"{name} runs again", lambda: _processes(name, group), 30)
    assert killed[0] not in _processes(name, group)
    kube.wait_until("all pods running", lambda: not kube.unready_pods(), 120)
    engine.run("preview", "--expect-no-changes").succeeded()
    endpoint = engine.run("stack", "output", "endpoint").succeeded().stdout.strip()
    assert Client(endpoint, MODEL).chat().status == 200
