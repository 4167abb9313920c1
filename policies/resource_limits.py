"""Rules on what a workload may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from policies.kubernetes import Container, Pod, is_positive
from policies.resource import Resource, each_container, each_pod
from policies.rule import Rule
from policies.values import UNKNOWN, child, elements, integer, quantity, safe_key, show

Properties = Mapping[str, object]
Section = Literal["requests", "limits"]


def _stated(section: Section, resource: str) -> Callable[[Container], list[str]]:
    """A check that an amount is stated, a quantity above zero and, for a limit, not below the request."""

    def check(container: Container) -> list[str]:
        value = container.amount(section, resource)
        if value is UNKNOWN:
            return []
        path = f".resources.{section}.{resource}"
        if not is_positive(value):
            return [f"{path}: {show(value)}"]
        if section == "limits":
            limit, request = quantity(value), quantity(container.amount("requests", resource))
            if limit is not None and request is not None and request > limit:
                return [f"{path}: {show(value)}, below the request"]
        return []

    return check


def _memory_guaranteed(container: Container) -> list[str]:
    if not container.pod.serving or container.role == "ephemeral":
        return []
    limit, request = container.amount("limits", "memory"), container.amount("requests", "memory")
    if UNKNOWN in (limit, request) or quantity(limit) is None or quantity(limit) == quantity(request):
        return []
    return [f".resources.requests.memory: {show(request)}, the limit {show(limit)}"]


def _accelerators_equal(container: Container) -> list[str]:
    found: list[str] = []
    for name in sorted(container.extended_resources()):
        limit, request = container.amount("limits", name), container.amount("requests", name)
        if UNKNOWN in (limit, request):
            continue
        if limit is None:
            found.append(f".resources.limits.{safe_key(name)}: is missing")
        elif request is not None and (quantity(request) is None or quantity(request) != quantity(limit)):
            found.append(f".resources.requests.{safe_key(name)}: {show(request)}, the limit {show(limit)}")
    return found


def _accelerators_whole(container: Container) -> list[str]:
    found: list[str] = []
    for name in sorted(container.extended_resources()):
        for section in ("requests", "limits"):
            value = child(container.body, "resources", section, name)
            amount = quantity(value)
            if value is None or value is UNKNOWN:
                continue
            if amount is None or amount < 0 or amount != amount.to_integral_value():
                found.append(f".resources.{section}.{safe_key(name)}: {show(value)}")
    return found


def _memory_backed(volume: Mapping[str, object]) -> bool:
    return child(volume, "emptyDir", "medium") == "Memory"


def _empty_dir_sizes(pod: Pod) -> list[str]:
    found: list[str] = []
    for index, volume in elements(pod.spec.get("volumes")):
        empty_dir = child(volume, "emptyDir")
        limit = child(empty_dir, "sizeLimit")
        if empty_dir is None or limit is UNKNOWN or is_positive(limit):
            continue
        found.append(f".volumes[{index}].emptyDir.sizeLimit: {show(limit)}")
    return found


def _memory_volumes(container: Container) -> list[str]:
    """Pages of a memory-backed volume are charged to the containers that write them."""
    limit = quantity(container.amount("limits", "memory"))
    if limit is None:
        return []
    mounted = {
        child(mount, "name") for _, mount in elements(container.body.get("volumeMounts")) if _hashable(mount)
    }
    sizes = [
        quantity(child(volume, "emptyDir", "sizeLimit"))
        for _, volume in container.pod.volumes()
        if _memory_backed(volume) and isinstance(volume.get("name"), str) and volume.get("name") in mounted
    ]
    total = sum(size for size in sizes if size is not None)
    return (
        [f".resources.limits.memory: is not above its memory-backed volumes' {total:f} bytes"]
        if (sizes and total >= limit)
        else []
    )


def _hashable(mount: object) -> bool:
    return isinstance(child(mount, "name"), str)


def _job_deadlines(resource: Resource) -> list[str]:
    found: list[str] = []
    for job in resource.of_kind("Job", "CronJob"):
        keys = ("spec",) if job.kind == "Job" else ("spec", "jobTemplate", "spec")
        value = child(job.body, *keys, "activeDeadlineSeconds")
        if value is UNKNOWN or (value is None and job.partial):
            continue
        if (integer(value) or 0) <= 0:
            found.append(f"{job} {job.at(*keys, 'activeDeadlineSeconds')}: {show(value)}")
    return found


RULES: Final = (
    Rule(
        id="container-cpu-request",
        severity="high",
        title="Every container requests CPU",
        rationale=(
            "The scheduler places by requests; without one a pod lands on a full node and starves or is "
            "starved."
        ),
        fix="set resources.requests.cpu, such as 500m",
        judge=each_container(_stated("requests", "cpu")),
    ),
    Rule(
        id="container-memory-request",
        severity="high",
        title="Every container requests memory",
        rationale="A pod without request is the first to be killed when the node runs short.",
        fix="set resources.requests.memory, such as 512Mi",
        judge=each_container(_stated("requests", "memory")),
    ),
    Rule(
        id="container-cpu-limit",
        severity="high",
        title="Every container has a CPU limit",
        rationale="Without one, one tenant's burst becomes every other tenant's latency.",
        fix="set resources.limits.cpu, at least the request",
        judge=each_container(_stated("limits", "cpu")),
    ),
    Rule(
        id="container-memory-limit",
        severity="critical",
        title="Every container has a memory limit",
        rationale="Without one, a leak takes the node down with everything on it.",
        fix="set resources.limits.memory, at least the request",
        judge=each_container(_stated("limits", "memory")),
    ),
    Rule(
        id="container-ephemeral-storage-limit",
        severity="high",
        title="Every container has a limit on node-local storage",
        rationale="Logs and scratch files of one pod fill the node's disk, and the kubelet evicts everybody.",
        fix="set resources.limits.ephemeral-storage, such as 1Gi",
        judge=each_container(_stated("limits", "ephemeral-storage")),
    ),
    Rule(
        id="serving-memory-guaranteed",
        severity="high",
        title="Serving containers request all the memory that they may use",
        rationale=(
            "Memory above the request is lent: when the node runs short, the server is killed mid-answer."
        ),
        fix="set resources.requests.memory to the limit",
        judge=each_container(_memory_guaranteed),
    ),
    Rule(
        id="accelerator-request-equals-limit",
        severity="critical",
        title="Accelerators: request and limit are equal",
        rationale=(
            "GPUs, TPUs and NPUs cannot be overcommitted; the API server refuses it halfway through an "
            "update."
        ),
        fix="write the same number in requests and limits",
        judge=each_container(_accelerators_equal),
    ),
    Rule(
        id="accelerator-whole",
        severity="high",
        title="Accelerators are counted in whole devices",
        rationale=(
            "Fractions do not exist in the device plugin's API; shares are MIG profiles with names of "
            "their own."
        ),
        fix="write a whole number",
        judge=each_container(_accelerators_whole),
    ),
    Rule(
        id="empty-dir-size-limit",
        severity="high",
        title="Every emptyDir has a size limit",
        rationale="Without one it grows to the node's whole disk or, in memory, to the pod's whole memory.",
        fix="set emptyDir.sizeLimit, such as 1Gi",
        judge=each_pod(_empty_dir_sizes),
    ),
    Rule(
        id="memory-volume-fits",
        severity="high",
        title="Memory-backed volumes fit into the container's memory limit",
        rationale=(
            "/dev/shm counts against the limit: a full volume kills the server instead of returning an error."
        ),
        fix="raise the memory limit or lower emptyDir.sizeLimit",
        judge=each_container(_memory_volumes),
    ),
    Rule(
        id="job-deadline",
        severity="medium",
        title="Every Job has a deadline",
        rationale="A hanging Job holds its share of the quota, or its accelerators, for good.",
        fix="set activeDeadlineSeconds",
        judge=_job_deadlines,
    ),
)
"""Rules on resource limits."""
