"""Simulated accelerator nodes: the real scheduler places pods on them, kwok says that they run.

A specification names an accelerator and how many there are, in the ways people write it: `h100x8`, `8×H100`,
`tpu-v5e-2x4`, `TPU v5e 2x4`. A TPU topology of more chips than a host holds makes several nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolchain import artefacts
from toolchain.cluster import addons, layout
from toolchain.errors import ToolchainError

NODE_LABEL = "type"
TAINT = "kwok.x-k8s.io/node"
_ANNOTATION = "kwok.x-k8s.io/node"
_MEMORY_MIB = {"memory": "nvidia.com/gpu.memory", "product": "nvidia.com/gpu.product"}


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVIDIA's feature discovery labels it, and its share of the host it comes in."""

    product: str
    memory_mib: int
    cpu: int
    memory_gib: int


# Products and memory as NVIDIA's gpu-feature-discovery labels them; cpu and memory per GPU of common cloud
# hosts.
GPUS = {
    "l4": Gpu("NVIDIA-L4", 23034, 12, 48),
    "l40s": Gpu("NVIDIA-L40S", 46068, 24, 192),
    "t4": Gpu("Tesla-T4", 15360, 8, 32),
    "a100": Gpu("NVIDIA-A100-SXM4-80GB", 81920, 12, 144),
    "a100-40gb": Gpu("NVIDIA-A100-SXM4-40GB", 40960, 12, 144),
    "a100-80gb": Gpu("NVIDIA-A100-SXM4-80GB", 81920, 12, 144),
    "h100": Gpu("NVIDIA-H100-80GB-HBM3", 81559, 24, 256),
    "h200": Gpu("NVIDIA-H200", 143771, 24, 256),
    "b200": Gpu("NVIDIA-B200", 183359, 24, 256),
}


@dataclass(frozen=True)
class Tpu:
    """A TPU generation: GKE's accelerator label and the topologies that one host holds."""

    accelerator: str
    single_host: frozenset[str]


# cloud.google.com/gke-tpu-accelerator; larger topologies are made of hosts with four chips.
TPUS = {
    "v5e": Tpu("tpu-v5-lite-podslice", frozenset({"1x1", "2x2", "2x4"})),
    "v6e": Tpu("tpu-v6e-slice", frozenset({"1x1", "2x2", "2x4"})),
}
_TPU_HOST_CHIPS = 4


@dataclass(frozen=True)
class Taint:
    """Keeps pods without the matching toleration off a node."""

    key: str
    value: str
    effect: str


FAKE = Taint(TAINT, "fake", "NoSchedule")
"""Keeps pods that have to run for real off a simulated node."""


@dataclass(frozen=True)
class SimulatedNode:
    """One node to register."""

    name: str
    capacity: Mapping[str, str]
    """Quantities by resource; pods may have all of it."""
    labels: Mapping[str, str]
    """Besides those of every simulated node."""
    taints: tuple[Taint, ...] = (FAKE,)
    """Without FAKE, whatever is scheduled while the node is there may end up on it and never run."""


def _host(
    name: str, resource: str, count: int, labels: Mapping[str, str], cpu: int, gib: int
) -> SimulatedNode:
    capacity = {"cpu": str(cpu), "memory": f"{gib}Gi", "ephemeral-storage": "1Ti", "pods": "110"}
    return SimulatedNode(name, capacity | {resource: str(count)}, labels)


def parse(specification: str) -> list[SimulatedNode]:
    """The nodes that a specification stands for, numbered from 0.

    Raises ToolchainError with the known forms.
    """
    text = re.sub(r"[\s_:]+", "-", specification.strip().lower().replace("×", "x"))
    if tpu := re.fullmatch(r"(?:tpu-?)?(v\d+[a-z]*)-(\d+(?:x\d+)+)", text):
        return _tpu_nodes(specification, tpu[1], tpu[2])
    if gpu := re.fullmatch(r"(\d+)-?x-?([a-z][a-z0-9-]*)", text):
        return _gpu_nodes(specification, gpu[2], int(gpu[1]))
    if gpu := re.fullmatch(r"([a-z][a-z0-9-]*?)-?x-?(\d+)", text) or re.fullmatch(
        r"([a-z][a-z0-9-]*?)-(\d+)", text
    ):
        return _gpu_nodes(specification, gpu[1], int(gpu[2]))
    raise _unknown(specification)


def _unknown(specification: str) -> ToolchainError:
    return ToolchainError(
        f"--kwok-node {specification}: unknown; write h100x8 or tpu-v5e-2x4. "
        f"GPUs: {', '.join(sorted(GPUS))}; TPUs: {', '.join(sorted(TPUS))}"
    )


def _gpu_nodes(specification: str, name: str, count: int) -> list[SimulatedNode]:
    gpu = GPUS.get(name)
    if gpu is None:
        raise _unknown(specification)
    if not 1 <= count <= 16:
        raise ToolchainError(f"--kwok-node {specification}: {count} GPUs on one node; give 1 to 16")
    labels = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(count),
        _MEMORY_MIB["product"]: gpu.product,
        _MEMORY_MIB["memory"]: str(gpu.memory_mib),
    }
    return [
        _host(
            f"kwok-{name}x{count}-0", "nvidia.com/gpu", count, labels, gpu.cpu * count, gpu.memory_gib * count
        )
    ]


def _tpu_nodes(specification: str, generation: str, topology: str) -> list[SimulatedNode]:
    tpu = TPUS.get(generation)
    if tpu is None:
        raise _unknown(specification)
    chips = math.prod(int(side) for side in topology.split("x"))
    if topology in tpu.single_host:
        hosts, per_host = 1, chips
    elif chips % _TPU_HOST_CHIPS == 0 and chips <= 256 and topology.count("x") == 1:
        hosts, per_host = chips // _TPU_HOST_CHIPS, _TPU_HOST_CHIPS
    else:
        raise ToolchainError(
            f"--kwok-node {specification}: topology {topology} is none of TPU {generation}; "
            f"give {', '.join(sorted(tpu.single_host))}, 4x4, 4x8, 8x8, 8x16 or 16x16"
        )
    labels = {
        "cloud.google.com/gke-tpu-accelerator": tpu.accelerator,
        "cloud.google.com/gke-tpu-topology": topology,
        "cloud.google.com/gke-accelerator-count": str(per_host),
    }
    return [
        _host(
            f"kwok-tpu-{generation}-{topology}-{i}",
            "google.com/tpu",
            per_host,
            labels,
            24 * per_host,
            48 * per_host,
        )
        for i in range(hosts)
    ]


def expand(specifications: Sequence[str | SimulatedNode]) -> list[SimulatedNode]:
    """The nodes of several specifications; a repeated one gives further nodes of its kind."""
    seen: dict[str, int] = {}
    nodes = []
    for specification in specifications:
        if isinstance(specification, SimulatedNode):
            nodes.append(specification)
            continue
        for node in parse(specification):
            prefix = node.name.rpartition("-")[0]
            number = seen.get(prefix, 0)
            seen[prefix] = number + 1
            nodes.append(replace(node, name=f"{prefix}-{number}"))
    return nodes


def node_manifest(node: SimulatedNode) -> addons.Manifest:
    """The Node object, with the capacity that kwok reports for it."""
    capacity = dict(node.capacity)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "annotations": {_ANNOTATION: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/agent": "",
                NODE_LABEL: "kwok",
                **node.labels,
            },
        },
        "spec": {"taints": [vars(taint).copy() for taint in node.taints]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def controller(stages: str) -> list[addons.Manifest]:
    """kwok as a Deployment; `stages` are its life cycles of nodes and pods, documents of one YAML file."""
    name = "kwok"
    every = ["get", "list", "watch", "patch", "update", "create", "delete"]
    rules = [
        addons.rule("", ["nodes", "pods", "nodes/status", "pods/status", "events"], every),
        addons.rule("coordination.k8s.io", ["leases"], every),
    ]
    container = {
        "name": name,
        "image": layout.KWOK_IMAGE,
        "imagePullPolicy": "Never",
        "args": [
            "--config=/etc/kwok/stages.yaml",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
            "--node-lease-duration-seconds=40",
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}, "limits": {"memory": "300Mi"}},
        "volumeMounts": [{"name": "stages", "mountPath": "/etc/kwok"}],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "securityContext": {
            "runAsUser": 65532,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    template = addons.pod_template(
        name,
        {
            "serviceAccountName": name,
            "nodeSelector": {"kubernetes.io/hostname": layout.NODE},
            "containers": [container],
            "volumes": [{"name": "stages", "configMap": {"name": "kwok-stages"}}],
        },
    )
    template["metadata"]["annotations"] = {"autoglm.dev/stages": artefacts.digest(stages)}
    selector = {"matchLabels": {"app.kubernetes.io/name": name}}
    return [
        addons.manifest("v1", "ConfigMap", "kwok-stages", data={"stages.yaml": stages}),
        *addons.account(name, rules),
        addons.manifest(
            "apps/v1", "Deployment", name, spec={"replicas": 1, "selector": selector, "template": template}
        ),
    ]


def manifests(nodes: Iterable[SimulatedNode], stages: str) -> list[dict[str, Any]]:
    """The controller and its nodes."""
    return [*controller(stages), *map(node_manifest, nodes)]
