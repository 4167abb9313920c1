"""The real scheduler's answer to the planner's question: how many of these pods find a node?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.accelerators.shapes import NodePoolShape
from components.common.labels import NODE_POOL
from stacks import placement
from tests.e2e.simulated.nodes import quantity
from tests.harness import kube
from toolchain.cluster import layout

NAMESPACE = "simulated-pods"


@dataclass(frozen=True)
class Answer:
    """What the scheduler has decided about identical pods."""

    bound: int
    refused: tuple[str, ...]
    """Its reason for each pod that it found no node for."""
    pools: frozenset[str]
    """Where the others are."""


@contextmanager
def namespace() -> Iterator[None]:
    """A namespace without quota for bare pods."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE},
    }
    kube.apply(body).succeeded()
    try:
        yield
    finally:
        kube.kubectl("delete", "namespace", NAMESPACE, "--wait=false").succeeded()


def schedule(asked: Sequence[tuple[placement.Pods, int]], pools: Sequence[NodePoolShape]) -> list[Answer]:
    """Apply so many of each of the pods, all at once, and wait until the scheduler has decided on each."""
    sets = [_replica_set(f"pods-{index}", pods, count, pools) for index, (pods, count) in enumerate(asked)]
    kube.apply(*sets).succeeded()
    try:
        decided = kube.wait_until(
            "the scheduler has decided", lambda: _decisions([count for _, count in asked]), 60, pause=0.5
        )
        return decided
    finally:
        kube.kubectl("delete", "replicasets", "--all", "--namespace", NAMESPACE).succeeded()
        # Only what is gone leaves its room to the next ones.
        kube.wait_until(
            "the pods are gone", lambda: not kube.items("pods", "--namespace", NAMESPACE), 60, 0.5
        )


def _replica_set(
    name: str, pods: placement.Pods, count: int, pools: Sequence[NodePoolShape]
) -> dict[str, Any]:
    requests = {
        # Each pod counts as one; nobody asks for it.
        resource: quantity(resource, amount)
        for resource, amount in pods.amounts.items()
        if resource != "pods"
    }
    limits = {resource: amount for resource, amount in requests.items() if "/" in resource}
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "pod",
                "image": layout.PAUSE_IMAGE,
                "resources": {"requests": requests, "limits": limits},
            }
        ],
    }
    if pods.pool is not None:
        (pool,) = placement.candidates(pods, pools)
        spec["nodeSelector"] = {NODE_POOL: pool.name}
        spec["tolerations"] = [
            {"key": taint.key, "value": taint.value, "effect": taint.effect}
            for taint in placement.tolerated(pool)
        ]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _decisions(counts: Sequence[int]) -> list[Answer] | None:
    """The scheduler's answers; None while it has not answered for every pod."""
    pools = {
        node["metadata"]["name"]: node["metadata"]["labels"].get(NODE_POOL, "")
        for node in kube.items("nodes")
    }
    pods = kube.items("pods", "--namespace", NAMESPACE)
    answers = []
    for index, count in enumerate(counts):
        bound, refused = [], []
        for pod in pods:
            if pod["metadata"]["labels"]["app"] != f"pods-{index}":
                continue
            conditions = {item["type"]: item for item in pod["status"].get("conditions", [])}
            scheduled = conditions.get("PodScheduled", {})
            if node := pod["spec"].get("nodeName"):
                bound.append(pools[node])
            elif scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
                refused.append(scheduled["message"])
        if len(bound) + len(refused) != count:
            return None
        answers.append(Answer(len(bound), tuple(refused), frozenset(bound)))
    return answers
