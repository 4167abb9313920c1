"""Whether the cluster is well: what its objects, its health checks and its processes say."""

from __future__ import annotations

import http
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolchain import paths
from toolchain.cluster import addons, commands, kubeadm, layout, supervisor
from toolchain.cluster import state as states
from toolchain.errors import ToolchainError


def answers(host: str, port: int, path: str) -> bool:
    """Whether a health check answers 200.

    Without urllib: it would obey the proxy variables of the environment.
    """
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def unready(cluster: Mapping[str, Any]) -> list[str]:
    """What is missing in a list of nodes, pods, Deployments and DaemonSets; "everything" for an empty one."""
    items = cluster["items"]
    waiting = []
    names = {item["metadata"]["name"] for item in items}
    if layout.NODE not in names:
        return [f"node {layout.NODE}"]
    for item in items:
        kind, name, status = item["kind"], item["metadata"]["name"], item.get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
        if kind == "Node":
            ok = conditions.get("Ready") == "True"
        elif kind == "Pod":
            ok = conditions.get("Ready") == "True" or status.get("phase") == "Succeeded"
            ok = ok and "deletionTimestamp" not in item["metadata"]
        elif kind == "Deployment":
            current = status.get("observedGeneration") == item["metadata"]["generation"]
            ok = current and status.get("availableReplicas", 0) >= item["spec"]["replicas"] == status.get(
                "updatedReplicas", 0
            )
        else:
            current = status.get("observedGeneration") == item["metadata"]["generation"]
            wanted = status.get("desiredNumberScheduled", 0)
            ok = (
                current
                and wanted > 0
                and status.get("numberReady", 0) == wanted == status.get("updatedNumberScheduled", 0)
            )
        if not ok:
            waiting.append(f"{kind.lower()} {name}")
    pods = {item["metadata"]["name"] for item in items if item["kind"] == "Pod"}
    for component in kubeadm.CPU_REQUESTS:
        if f"{component}-{layout.NODE}" not in pods:
            waiting.append(f"pod {component}")
    return waiting


@dataclass(frozen=True)
class Status:
    """What `cluster status` says."""

    running: bool
    ready: bool
    node_address: str
    waiting: tuple[str, ...]
    services: tuple[str, ...]

    def __str__(self) -> str:
        if not self.running:
            return "embedded cluster: down"
        state = "ready" if self.ready else f"not ready: {', '.join(self.waiting)}"
        services = ", ".join(self.services)
        return f"embedded cluster: {state}; node {layout.NODE} {self.node_address}; services {services}"


def status() -> Status:
    """How the cluster is; starts and builds nothing."""
    state, recorded = states.load(), supervisor.recorded()
    if state is None or recorded.supervisor is None:
        return Status(False, False, state.node_address if state else "", (), ())
    waiting = ["API server"]
    if paths.KUBECONFIG.exists() and (paths.BIN / "kubectl").exists():
        try:
            kinds = "nodes,pods,deployments.apps,daemonsets.apps"
            text = commands.kubectl(
                paths.BIN / "kubectl",
                "get",
                kinds,
                f"--namespace={addons.NAMESPACE}",
                "--output=json",
                "--request-timeout=5s",
            )
            waiting = unready(json.loads(text))
        except ToolchainError:
            pass
    return Status(True, not waiting, state.node_address, tuple(waiting), tuple(sorted(recorded.services)))
