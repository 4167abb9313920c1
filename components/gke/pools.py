"""What each node pool becomes. Pure functions, every problem collected."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from components.accelerators.catalogue import Accelerator, accelerator
from components.accelerators.gce import LOCAL_SSD
from components.accelerators.lookup import UnknownNameError
from components.accelerators.machine_types import MachineType, machine_type, with_accelerators
from components.accelerators.shapes import (
    ACCELERATOR_LABEL,
    NodePoolShape,
    Sharing,
    Taint,
    accelerator_labels,
    accelerator_taints,
    gke_allocatable,
    schedulable_units,
    sharing_problems,
)
from components.accelerators.tpu import TopologyError, TpuSlice, slice_on
from components.common.labels import NODE_POOL
from components.common.problems import Problem, below
from components.common.quantities import GIB, format_bytes
from components.gke.settings import CapacitySource, GkeCluster, GkeNodePool, GkeSpot

SYSTEM_POOL: Final = "system"
HYPERDISK_ONLY: Final = (
    "a3-ultragpu-",
    "a4-",
    "a4x-",
    "c4-",
    "c4a-",
    "c4d-",
    "ct6e-",
    "g4-",
    "n4-",
    "tpu7x-",
)
"""Series that boot from no Persistent Disk; https://cloud.google.com/compute/docs/disks/hyperdisks and
https://cloud.google.com/kubernetes-engine/docs/concepts/hyperdisk."""
OWN_NETWORK: Final = ("a3-", "a4-", "a4x-")
"""GPU series whose collective operations go over a network of their own (GPUDirect), not NCCL Fast Socket."""
_SHAPE_DIGITS: Final = 6
_PLATFORM_LABELS: Final = (NODE_POOL, ACCELERATOR_LABEL)
_RESERVED_LABELS: Final = ("kubernetes.io", "k8s.io", "cloud.google.com", "iam.gke.io")


@dataclass(frozen=True)
class PoolPlan:
    """One node pool, checked."""

    key: str
    """Name in the settings."""
    name: str
    """Name in the cluster: another one for each shape, so that a changed pool is made beside the old one."""
    machine: MachineType
    gpu_type: str | None
    """`acceleratorType`; None without GPUs."""
    zones: tuple[str, ...]
    capacity: CapacitySource
    driver: Literal["DEFAULT", "LATEST", "INSTALLATION_DISABLED"]
    sharing: Sharing
    slice: TpuSlice | None
    local_ssds: int
    disk: int
    """Bytes, whole GiB."""
    disk_type: str
    labels: Mapping[str, str]
    """Those that are set; the shape has those of GKE too."""
    taints: tuple[Taint, ...]
    """Those that are set; the shape has those of GKE too."""
    bounds: Literal["total", "zone"]
    min_nodes: int
    max_nodes: int
    """Counted as `bounds` says."""
    initial_nodes: int
    """In each zone, when the pool is made."""
    fixed: bool
    """Whether the number of nodes never changes: a TPU slice of several hosts that is always wanted."""
    max_surge: int
    max_unavailable: int
    fast_socket: bool
    shape: NodePoolShape

    @property
    def scarce(self) -> bool:
        """Whether there may be no further machine of its type: those with accelerators."""
        return self.machine.accelerator is not None

    @property
    def multi_host(self) -> bool:
        """Whether its nodes are one TPU slice."""
        return self.slice is not None and self.slice.multi_host


def plan_pools(cluster: GkeCluster) -> tuple[tuple[PoolPlan, ...], list[Problem]]:
    """All pools, the system pool first, and what is wrong with any; paths are relative to the cluster."""
    problems: list[Problem] = []
    plans = []
    for path, pool in (("systemPool", _system_pool(cluster)), *_numbered(cluster.node_pools)):
        planner = _PoolPlanner(cluster, pool)
        plan = planner.plan()
        problems.extend(below(path, planner.problems))
        if plan is not None:
            plans.append(plan)
    problems.extend(_name_problems(cluster))
    if plans and plans[0].key == SYSTEM_POOL and plans[0].scarce:
        problems.append(
            Problem(
                "systemPool.machineType",
                f"{plans[0].machine.name!r}: has accelerators, so that nothing else would run on its nodes; "
                "choose one without",
            )
        )
    return tuple(plans), problems


def _numbered(pools: Iterable[GkeNodePool]) -> Iterator[tuple[str, GkeNodePool]]:
    for index, pool in enumerate(pools):
        yield f"nodePools[{index}]", pool


def _system_pool(cluster: GkeCluster) -> GkeNodePool:
    system = cluster.system_pool
    return GkeNodePool.model_validate(
        {
            "name": SYSTEM_POOL,
            "machineType": system.machine_type,
            "minNodes": system.min_nodes,
            "maxNodes": system.max_nodes,
            "disk": system.disk,
        }
    )


def _name_problems(cluster: GkeCluster) -> Iterator[Problem]:
    names = [pool.name for pool in cluster.node_pools]
    for index, name in enumerate(names):
        if name == SYSTEM_POOL:
            yield Problem(f"nodePools[{index}].name", f"{name!r}: that is the system pool's; choose another")
        elif (first := names.index(name)) != index:
            yield Problem(
                f"nodePools[{index}].name", f"{name!r}: already that of nodePools[{first}]; choose another"
            )


class _PoolPlanner:
    """Plans one pool and notes what is wrong with it; paths are relative to the pool."""

    def __init__(self, cluster: GkeCluster, pool: GkeNodePool) -> None:
        self.problems: list[Problem] = []
        self._cluster = cluster
        self._pool = pool

    def plan(self) -> PoolPlan | None:
        """The pool's plan; None if there are problems."""
        pool = self._pool
        zones = self._zones()
        self._check_nodes()
        self._check_labels()
        self._check_taints()
        self._check_disk()
        machine = self._machine()
        if machine is None:
            return None
        card = accelerator(machine.accelerator) if machine.accelerator else None
        sharing = self._sharing(machine)
        tpu = self._slice(machine, card, zones)
        self._check_gpu_settings(card)
        local_ssds = self._local_ssds(machine)
        disk_type = self._disk_type(machine)
        max_surge, max_unavailable = self._upgrade(card)
        if self.problems:
            return None
        fast_socket = self._fast_socket(machine, card)
        gpu_type = machine.gke_accelerator
        labels = {**pool.labels, NODE_POOL: pool.name}
        if card is not None:
            labels[ACCELERATOR_LABEL] = card.name
        taints = tuple(taint.shape() for taint in pool.taints)
        fixed = tpu is not None and tpu.multi_host and pool.min_nodes == tpu.hosts
        digest = _digest(
            {
                "machineType": machine.name,
                "gpu": [gpu_type, machine.accelerator_count, pool.driver] if gpu_type else None,
                "sharing": [sharing.kind, sharing.replicas, sharing.profile],
                "topology": [tpu.topology, zones, fixed] if tpu else None,
                "capacity": pool.capacity.model_dump(mode="json"),
                "disk": [pool.disk, disk_type, local_ssds],
                "taints": sorted([taint.key, taint.value, taint.effect] for taint in taints),
                "maxPods": self._cluster.max_pods_per_node,
                "fastSocket": fast_socket,
            }
        )
        name = f"{pool.name}-{digest}"
        factor = len(zones) if pool.bounds == "zone" else 1
        shape = NodePoolShape(
            name=pool.name,
            labels=labels
            | self._own_labels(name, machine, local_ssds)
            | accelerator_labels(machine, sharing, tpu),
            taints=(*taints, *_own_taints(machine)),
            allocatable=gke_allocatable(machine, pool.disk, sharing, local_ssds)
            | {"pods": self._cluster.max_pods_per_node},
            accelerator=machine.accelerator,
            accelerator_memory=_unit_memory(machine, sharing),
            min_nodes=pool.min_nodes * factor,
            max_nodes=pool.max_nodes * factor,
            zones=zones,
            machine_type=machine.name,
        )
        return PoolPlan(
            key=pool.name,
            name=name,
            machine=machine,
            gpu_type=gpu_type,
            zones=zones,
            capacity=pool.capacity,
            driver=pool.driver,
            sharing=sharing,
            slice=tpu,
            local_ssds=local_ssds,
            disk=pool.disk,
            disk_type=disk_type,
            labels=labels,
            taints=taints,
            bounds=pool.bounds,
            min_nodes=pool.min_nodes,
            max_nodes=pool.max_nodes,
            initial_nodes=_initial_nodes(pool, len(zones)),
            fixed=fixed,
            max_surge=max_surge,
            max_unavailable=max_unavailable,
            fast_socket=fast_socket,
            shape=shape,
        )

    def _problem(self, key: str, message: str) -> None:
        self.problems.append(Problem(key, message))

    def _zones(self) -> tuple[str, ...]:
        known = self._cluster.network.zones
        for index, zone in enumerate(self._pool.zones):
            if zone not in known:
                self._problem(
                    f"zones[{index}]", f"{zone!r}: not among network.zones; use {', '.join(known)} or add it"
                )
            elif self._pool.zones.index(zone) != index:
                self._problem(f"zones[{index}]", f"{zone!r}: given twice; remove one")
        return self._pool.zones or known

    def _check_nodes(self) -> None:
        pool = self._pool
        if pool.min_nodes > pool.max_nodes:
            self._problem(
                "minNodes", f"{pool.min_nodes} > maxNodes {pool.max_nodes}; lower minNodes or raise maxNodes"
            )

    def _check_labels(self) -> None:
        for key in self._pool.labels:
            prefix = key.rpartition("/")[0]
            reserved = key in _PLATFORM_LABELS or any(
                prefix == domain or prefix.endswith(f".{domain}") for domain in _RESERVED_LABELS
            )
            if reserved:
                self._problem(f"labels.{key}", "set by GKE or the platform itself; choose a key of your own")

    def _check_taints(self) -> None:
        seen: set[tuple[str, str]] = set()
        for index, taint in enumerate(self._pool.taints):
            if taint.key in ("nvidia.com/gpu", "google.com/tpu"):
                self._problem(
                    f"taints[{index}].key",
                    f"{taint.key!r}: GKE sets it on nodes with accelerators; remove it here",
                )
            if (taint.key, taint.effect) in seen:
                self._problem(
                    f"taints[{index}]", f"{taint.key} {taint.effect}: given twice; remove one of them"
                )
            seen.add((taint.key, taint.effect))

    def _check_disk(self) -> None:
        disk = self._pool.disk
        if disk % GIB or disk < 50 * GIB:
            self._problem("disk", f"{format_bytes(disk)}: write whole GiB, at least 50Gi")

    def _machine(self) -> MachineType | None:
        pool = self._pool
        try:
            machine = machine_type("gcp", pool.machine_type)
        except UnknownNameError as error:
            self._problem("machineType", str(error))
            return None
        if pool.gpu is not None:
            if machine.accelerator is not None:
                self._problem(
                    "gpu", f"{pool.gpu!r}: {machine.name} comes with {machine.accelerator}; remove gpu"
                )
                return None
            try:
                return with_accelerators(machine, accelerator(pool.gpu).name, pool.gpus or 1)
            except UnknownNameError as error:
                self._problem("gpu", str(error))
            except ValueError as error:
                self._problem("gpus", str(error))
            return None
        if pool.gpus is not None and pool.gpus != machine.accelerator_count:
            self._problem(
                "gpus",
                f"{pool.gpus}: {machine.name} has {machine.accelerator_count}; remove gpus, or choose a "
                f"machine type with {pool.gpus}",
            )
        return machine

    def _sharing(self, machine: MachineType) -> Sharing:
        sharing = self._pool.sharing.shape()
        self.problems.extend(below("sharing", sharing_problems(machine, sharing)))
        return sharing

    def _slice(
        self, machine: MachineType, card: Accelerator | None, zones: tuple[str, ...]
    ) -> TpuSlice | None:
        pool = self._pool
        if card is None or card.kind != "tpu":
            if pool.topology is not None:
                self._problem("topology", f"{pool.topology!r}: {machine.name} has no TPU; remove it")
            return None
        if pool.topology is None:
            self._problem("topology", f"missing: {machine.name} is part of a TPU slice; write its topology")
            return None
        try:
            found = slice_on(machine.name, pool.topology)
        except TopologyError as error:
            self._problem("topology", str(error))
            return None
        if found.multi_host:
            self._check_hosts(found, zones)
        return found

    def _check_hosts(self, tpu: TpuSlice, zones: tuple[str, ...]) -> None:
        """Nodes of a multi-host slice come and go together."""
        pool = self._pool
        if pool.max_nodes != tpu.hosts:
            self._problem(
                "maxNodes",
                f"{pool.max_nodes}: a slice of {tpu.topology} is {tpu.hosts} hosts of {tpu.machine_type}, "
                f"all in one pool; write {tpu.hosts}, and a further pool for each further slice",
            )
        if pool.min_nodes not in (0, tpu.hosts):
            self._problem("minNodes", f"{pool.min_nodes}: a slice exists as a whole; write 0 or {tpu.hosts}")
        if len(zones) != 1:
            self._problem(
                "zones", f"{', '.join(zones)}: a slice of several hosts lies in one zone; name that one"
            )

    def _check_gpu_settings(self, card: Accelerator | None) -> None:
        pool = self._pool
        if card is not None and card.kind == "gpu":
            return
        if pool.driver != "DEFAULT":
            self._problem("driver", f"{pool.driver!r}: {pool.machine_type} has no GPU; remove it")
        if pool.fast_socket:
            self._problem("fastSocket", f"true: {pool.machine_type} has no GPU; remove it")

    def _local_ssds(self, machine: MachineType) -> int:
        """Local SSDs that hold ephemeral storage: those of the machine type, or as many as are asked for."""
        asked = self._pool.local_ssds
        brought = machine.instance_store // LOCAL_SSD
        if asked is not None and brought and asked != brought:
            self._problem("localSsds", f"{asked}: {machine.name} comes with {brought}; remove localSsds")
        return brought or asked or 0

    def _disk_type(self, machine: MachineType) -> str:
        asked = self._pool.disk_type
        hyperdisk = machine.name.startswith(HYPERDISK_ONLY)
        if asked is not None and hyperdisk and not asked.startswith("hyperdisk-"):
            self._problem(
                "diskType", f"{asked!r}: {machine.name} boots from Hyperdisk only; write hyperdisk-balanced"
            )
        return asked or ("hyperdisk-balanced" if hyperdisk else "pd-balanced")

    def _upgrade(self, card: Accelerator | None) -> tuple[int, int]:
        upgrade = self._pool.upgrade
        if upgrade is None:
            return (1, 0) if card is None else (0, 1)
        if upgrade.max_surge == 0 and upgrade.max_unavailable == 0:
            self._problem("upgrade", "maxSurge 0 and maxUnavailable 0: no node could go; raise one of them")
        if card is not None and card.kind == "tpu" and upgrade.max_surge > 0:
            self._problem(
                "upgrade.maxSurge",
                f"{upgrade.max_surge}: a slice has no spare hosts; write 0, and maxUnavailable 1 or more",
            )
        return upgrade.max_surge, upgrade.max_unavailable

    def _fast_socket(self, machine: MachineType, card: Accelerator | None) -> bool:
        if card is None or card.kind != "gpu":
            return False
        if self._pool.fast_socket is not None:
            return self._pool.fast_socket
        return machine.accelerator_count > 1 and not machine.name.startswith(OWN_NETWORK)

    def _own_labels(self, name: str, machine: MachineType, local_ssds: int) -> dict[str, str]:
        """Labels that GKE and the kubelet put on any node; zones differ from node to node."""
        labels = {
            "cloud.google.com/gke-nodepool": name,
            "cloud.google.com/machine-family": machine.name.partition("-")[0],
            "iam.gke.io/gke-metadata-server-enabled": "true",
            "kubernetes.io/arch": "arm64" if machine.architecture == "arm64" else "amd64",
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": machine.name,
            "topology.kubernetes.io/region": self._cluster.region,
        }
        if isinstance(self._pool.capacity, GkeSpot):
            labels["cloud.google.com/gke-spot"] = "true"
        if local_ssds:
            labels["cloud.google.com/gke-ephemeral-storage-local-ssd"] = "true"
        return labels


def _own_taints(machine: MachineType) -> tuple[Taint, ...]:
    """Taints that GKE itself puts on nodes with accelerators and on Arm nodes."""
    arm = (Taint("kubernetes.io/arch", "arm64", "NoSchedule"),) if machine.architecture == "arm64" else ()
    return (*accelerator_taints(machine), *arm)


def _unit_memory(machine: MachineType, sharing: Sharing) -> int | None:
    units = schedulable_units("gcp", machine, sharing)
    return units.memory if units else None


def _initial_nodes(pool: GkeNodePool, zones: int) -> int:
    """Nodes in each zone to begin with: enough for the minimum, never more than the maximum in all."""
    if pool.bounds == "zone":
        return pool.min_nodes
    enough = math.ceil(pool.min_nodes / zones)
    return enough if enough * zones <= pool.max_nodes else pool.min_nodes // zones


def _digest(shape: Mapping[str, Any]) -> str:
    """Of everything whose change would make GKE replace the nodes: what the pool's name changes with.

    Labels, bounds, zones, surge and kernel settings are not in it: those change in place.
    """
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_SHAPE_DIGITS]
