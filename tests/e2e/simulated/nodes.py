"""Simulated nodes in the shape of a plan's node pools, at their largest size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from components.accelerators.shapes import NodePoolShape
from stacks.placement import NODE_AGENTS
from tests.harness import kube
from toolchain import cluster
from toolchain.cluster import kwok, layout

SIMULATED = "autoglm-platform.test/simulated"
"""Label of the nodes, and of the volumes on them."""
ZONE = "topology.kubernetes.io/zone"
AGENTS = "simulated-agents"
"""Namespace of what stands for the cloud's DaemonSets."""
_SYSTEM = "kube-system"


def quantity(resource: str, amount: int) -> str:
    """An amount of the planner's, in base units, for Kubernetes."""
    return f"{amount}m" if resource == "cpu" else str(amount)


def pool_nodes(pool: NodePoolShape) -> list[kwok.SimulatedNode]:
    """As many nodes as the pool may have, zone after zone."""
    return [
        kwok.SimulatedNode(
            name=f"{pool.name}-{index}",
            capacity={name: quantity(name, amount) for name, amount in pool.allocatable.items()},
            labels={**pool.labels, ZONE: pool.zones[index % len(pool.zones)], SIMULATED: "node"},
            taints=tuple(kwok.Taint(taint.key, taint.value, taint.effect) for taint in pool.taints),
        )
        for index in range(pool.max_nodes)
    ]


@contextmanager
def simulator() -> Iterator[None]:
    """Whatever simulations leave is removed at the end: afterwards the cluster is as it was."""
    had_kwok = kube.kubectl("get", "deployment", "kwok", "--namespace", _SYSTEM).status == 0
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": AGENTS}}).succeeded()
    try:
        yield
    finally:
        kube.kubectl("delete", "namespace", AGENTS, "--wait=false").succeeded()
        if not had_kwok:
            kube.kubectl(
                *("delete", "--namespace", _SYSTEM, "--ignore-not-found"),
                *("deployment/kwok", "configmap/kwok-stages", "serviceaccount/kwok"),
                *("clusterrole/kwok", "clusterrolebinding/kwok"),
            ).succeeded()


@contextmanager
def simulated_nodes(pools: Sequence[NodePoolShape]) -> Iterator[None]:
    """The pools' nodes, and none but them for new pods; within a `simulator`."""
    remove()
    nodes = [node for pool in pools for node in pool_nodes(pool)]
    try:
        _hold_agents()
        cluster.up(nodes)
        _suspend_cron_jobs(True)
        kube.kubectl("cordon", layout.NODE).succeeded()
        kube.wait_until("simulated nodes are ready", lambda: _all_ready(len(nodes)), 60)
        kube.apply(*_agents()).succeeded()
        yield
    finally:
        remove()


def remove() -> None:
    """Remove simulated nodes with all that is on them, and let the real one take pods again."""
    names = {node["metadata"]["name"] for node in kube.items("nodes", "-l", SIMULATED)}
    if names:
        kube.kubectl("delete", "nodes", "-l", SIMULATED).succeeded()
        on_nodes: dict[str, list[str]] = {}
        for pod in kube.items("pods", "--all-namespaces"):
            if pod["spec"].get("nodeName") in names:
                metadata = pod["metadata"]
                on_nodes.setdefault(metadata["namespace"], []).append(metadata["name"])
        for namespace, pods in on_nodes.items():
            # Without their node nobody confirms that they have ended.
            kube.kubectl(
                *("delete", "pods", *pods, "--namespace", namespace),
                *("--force", "--grace-period=0", "--ignore-not-found"),
            ).succeeded()
    kube.kubectl("uncordon", layout.NODE).succeeded()
    _suspend_cron_jobs(False)
    _release_agents()


def _all_ready(count: int) -> bool:
    """Ready, with the embedded cluster's own DaemonSets on them, which take their share first."""
    nodes = [node for node in kube.items("nodes", "-l", SIMULATED) if _condition(node, "Ready") == "True"]
    on_nodes = [
        pod
        for pod in kube.items("pods", "--namespace", _SYSTEM)
        if pod["spec"].get("nodeName") in {node["metadata"]["name"] for node in nodes}
    ]
    tainted_away = any(
        taint["key"].startswith("node.kubernetes.io/")
        for node in nodes
        for taint in node["spec"].get("taints", [])
    )
    daemon_sets = [
        item
        for item in kube.items("daemonsets", "--namespace", _SYSTEM)
        if "kubernetes.io/hostname" not in item["spec"]["template"]["spec"].get("nodeSelector", {})
    ]
    return len(nodes) == count and not tainted_away and len(on_nodes) == count * len(daemon_sets)


def _hold_agents() -> None:
    """No more pods of stack dev's DaemonSets: its quota lets them onto some of the simulated nodes only."""
    namespaces = {item["metadata"]["namespace"] for item in kube.items("daemonsets", "--all-namespaces")}
    kube.apply(
        *(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": AGENTS, "namespace": namespace, "labels": {SIMULATED: "quota"}},
                "spec": {"hard": {"pods": "0"}},
            }
            for namespace in sorted(namespaces - {_SYSTEM})
        )
    ).succeeded()


def _release_agents() -> None:
    for quota in kube.items("resourcequotas", "--all-namespaces", "-l", SIMULATED):
        metadata = quota["metadata"]
        kube.kubectl(
            *("delete", "resourcequota", metadata["name"], "--namespace", metadata["namespace"])
        ).succeeded()


def _suspend_cron_jobs(suspend: bool) -> None:
    """Those of stack dev: their pods would take room on simulated nodes, and end nowhere."""
    for job in kube.items("cronjobs", "--all-namespaces"):
        kube.kubectl(
            *("patch", "cronjob", job["metadata"]["name"], "--namespace", job["metadata"]["namespace"]),
            *("--type=merge", "--patch", f'{{"spec":{{"suspend":{str(suspend).lower()}}}}}'),
        ).succeeded()


def _condition(item: Mapping[str, Any], kind: str) -> str | None:
    found = [c["status"] for c in item["status"].get("conditions", []) if c["type"] == kind]
    return found[0] if found else None


def _agents() -> list[dict[str, Any]]:
    """What the planner leaves for DaemonSets on each node, less what those that are there ask for."""
    taken: dict[str, dict[str, int]] = {}
    for pod in kube.items("pods", "--namespace", _SYSTEM):
        for container in pod["spec"]["containers"]:
            on_node = taken.setdefault(pod["spec"].get("nodeName", ""), {})
            for resource, amount in container.get("resources", {}).get("requests", {}).items():
                on_node[resource] = on_node.get(resource, 0) + amount_of(resource, amount)
    objects: list[dict[str, Any]] = []
    for node in kube.items("nodes", "-l", SIMULATED):
        name = node["metadata"]["name"]
        requests = {
            resource: quantity(resource, amount - taken.get(name, {}).get(resource, 0))
            for resource, amount in NODE_AGENTS.items()
            if resource != "pods"
        }
        container = {"name": "agent", "image": layout.PAUSE_IMAGE, "resources": {"requests": requests}}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": AGENTS},
                "spec": {
                    "nodeName": name,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [container],
                },
            }
        )
    return objects


_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def amount_of(resource: str, text: str) -> int:
    """A quantity as the API server writes it, in the planner's base units."""
    if resource.endswith("cpu"):
        return int(text[:-1]) if text.endswith("m") else int(text) * 1000
    return int(text[:-2]) * _UNITS[text[-2:]] if text[-2:] in _UNITS else int(text)
