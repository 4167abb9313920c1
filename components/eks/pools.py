"""Node pools: from settings to groups of nodes. Pure.

A pool is one managed node group over its zones, or one in each zone where its nodes have to be close to each
other. What cannot change in a live group is part of its name: a change of it makes a new group, and the old
one goes when everything else is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from components.accelerators.catalogue import Accelerator, accelerator
from components.accelerators.lookup import UnknownNameError
from components.accelerators.machine_types import MachineType, machine_type
from components.accelerators.shapes import (
    EXCLUSIVE,
    NodePoolShape,
    Sharing,
    Taint,
    accelerator_labels,
    accelerator_taints,
    eks_allocatable,
    schedulable_units,
    sharing_problems,
)
from components.common.labels import NODE_POOL
from components.common.names import bounded_name
from components.common.problems import Problem, below
from components.common.quantities import GIB, format_bytes
from components.eks.bootstrap import Bootstrap, MigLayout
from components.eks.offerings import Offerings
from components.eks.settings import (
    CapacitySource,
    EksCapacityBlock,
    EksCluster,
    EksNetwork,
    EksNodePool,
    EksOnDemand,
    EksReservation,
    EksSpot,
    EksSystemPool,
)

SHARING_LABEL: Final = "autoglm-platform/gpu-sharing"
"""Which configuration of the device plugin runs on the node."""
AUTOSCALER_GPU_LABEL: Final = "k8s.amazonaws.com/accelerator"
"""Tells the cluster autoscaler that GPUs are still to come (kubernetes/autoscaler, notes on AWS)."""
SYSTEM_POOL: Final = "system"
MAX_GROUP_NAME: Final = 63
"""Characters of a node group's name (EKS CreateNodegroup)."""
MIN_DISK: Final = 20 * GIB
"""Smallest root volume: what EKS gives nodes by default (`diskSize` of CreateNodegroup)."""
PREFIX_ADDRESSES: Final = 16
"""The VPC CNI takes addresses for pods in prefixes of /28 (prefix delegation)."""

_TAINT_EFFECTS: Final = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}
ON_DEMAND: Final = EksOnDemand(kind="on-demand")
CapacityType = Literal["ON_DEMAND", "SPOT", "CAPACITY_BLOCK"]


@dataclass(frozen=True)
class NodeGroupPlan:
    """One managed node group and its launch template."""

    name: str
    """Versioned: differs as soon as something differs that a live group cannot change."""
    pool: str
    """Name in the settings."""
    machine: MachineType
    ami_type: str
    zones: tuple[str, ...]
    min_nodes: int
    max_nodes: int
    capacity_type: CapacityType
    reservation_id: str | None
    """On-Demand Capacity Reservation or Capacity Block."""
    disk: int
    """Root volume in bytes."""
    bootstrap: Bootstrap
    efa_interfaces: int
    placement_group: bool
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    release_version: str | None
    allocatable: Mapping[str, int]
    """Of one node."""

    @property
    def api_taints(self) -> tuple[tuple[str, str, str], ...]:
        """Taints as the EKS API spells them: key, value, effect."""
        return tuple((taint.key, taint.value, _TAINT_EFFECTS[taint.effect]) for taint in self.taints)

    @property
    def autoscaler_tags(self) -> dict[str, str]:
        """What the cluster autoscaler must know of a node before the first one is there."""
        prefix = "k8s.io/cluster-autoscaler/node-template"
        tags = {f"{prefix}/label/{key}": value for key, value in self.labels.items()}
        tags |= {f"{prefix}/taint/{taint.key}": f"{taint.value}:{taint.effect}" for taint in self.taints}
        tags |= {
            f"{prefix}/resources/{key}": str(count) for key, count in self.allocatable.items() if "/" in key
        }
        tags[f"{prefix}/resources/ephemeral-storage"] = format_bytes(self.allocatable["ephemeral-storage"])
        return tags


@dataclass(frozen=True)
class PoolPlan:
    """A pool of the settings."""

    shape: NodePoolShape
    sharing: Sharing
    groups: tuple[NodeGroupPlan, ...]
    nodes_per_zone: Mapping[str, int]
    """Most nodes that may be in a zone at once, one more than allowed while a group is being updated."""
    addresses_per_node: int


def plan_system_pool(cluster: EksCluster) -> tuple[PoolPlan | None, list[Problem]]:
    """The system pool; paths as in the cluster section."""
    pool, zones = cluster.system_pool, cluster.network.zones
    problems = []
    if pool.min_nodes < len(zones):
        problems.append(
            Problem(
                "minNodes",
                f"{pool.min_nodes}: {len(zones)} zones need a node each; write {len(zones)} or more",
            )
        )
    problems += _size_problems(pool.min_nodes, pool.max_nodes)
    machine = _machine(pool.machine_type, problems)
    if machine is not None:
        problems += _common_problems(pool, machine, cluster.version)
        if machine.accelerator is not None:
            problems.append(
                Problem(
                    "machineType",
                    f"{machine.name!r}: has accelerators; choose one without for the system pool",
                )
            )
    if problems or machine is None:
        return None, list(below("systemPool", problems))
    request = _Request(
        name=SYSTEM_POOL,
        machine=machine,
        zones=zones,
        min_nodes=pool.min_nodes,
        max_nodes=pool.max_nodes,
        disk=pool.disk,
        max_pods=pool.max_pods,
        release_version=pool.release_version,
    )
    return request.plan(cluster), []


def plan_pool(
    cluster: EksCluster, pool: EksNodePool, offerings: Offerings
) -> tuple[PoolPlan | None, list[Problem]]:
    """A further pool; paths relative to it."""
    problems = _size_problems(pool.min_nodes, pool.max_nodes)
    if pool.name == SYSTEM_POOL:
        problems.append(Problem("name", f"{pool.name!r}: that is the system pool; choose another"))
    problems += _label_problems(pool)
    machine = _machine(pool.machine_type, problems)
    if machine is None:
        return None, problems
    problems += _common_problems(pool, machine, cluster.version)
    zones = _zones(cluster, pool, machine, offerings, problems)
    sharing = pool.sharing.shape()
    problems += below("sharing", sharing_problems(machine, sharing))
    card = accelerator(machine.accelerator) if machine.accelerator else None
    if card is not None and card.resource != "nvidia.com/gpu":
        problems.append(
            Problem(
                "machineType",
                f"{machine.name!r}: the platform installs no device plugin for {card.resource} on EKS; "
                "choose a type with NVIDIA GPUs",
            )
        )
    if pool.efa and machine.efa_interfaces == 0:
        problems.append(
            Problem(
                "efa", f"true: {machine.name} has no Elastic Fabric Adapter; remove it or choose another type"
            )
        )
    if problems:
        return None, problems
    request = _Request(
        name=pool.name,
        machine=machine,
        zones=zones,
        min_nodes=pool.min_nodes,
        max_nodes=pool.max_nodes,
        disk=pool.disk,
        max_pods=pool.max_pods,
        release_version=pool.release_version,
        card=card,
        sharing=sharing,
        capacity=pool.capacity,
        efa=pool.efa,
        labels=pool.labels,
        taints=tuple(taint.shape() for taint in pool.taints),
    )
    return request.plan(cluster), []


@dataclass(frozen=True)
class _Request:
    """A pool whose settings are in order."""

    name: str
    machine: MachineType
    zones: tuple[str, ...]
    min_nodes: int
    max_nodes: int
    disk: int
    max_pods: int
    release_version: str | None
    card: Accelerator | None = None
    sharing: Sharing = EXCLUSIVE
    capacity: CapacitySource = ON_DEMAND
    efa: bool = False
    labels: Mapping[str, str] | None = None
    taints: tuple[Taint, ...] = ()

    def plan(self, cluster: EksCluster) -> PoolPlan:
        labels, taints = self._labels(), self._taints()
        allocatable = eks_allocatable(self.machine, self._pod_disk(), self.sharing, self.max_pods)
        placements = [(zone,) for zone in self.zones] if self.efa else [self.zones]
        units = schedulable_units("aws", self.machine, self.sharing)
        groups = tuple(self._group(cluster, zones, labels, taints, allocatable) for zones in placements)
        return PoolPlan(
            shape=NodePoolShape(
                name=self.name,
                labels=labels | self._well_known_labels(cluster),
                taints=taints,
                allocatable=allocatable,
                accelerator=self.machine.accelerator,
                accelerator_memory=units.memory if units else None,
                min_nodes=self.min_nodes * len(groups),
                max_nodes=self.max_nodes * len(groups),
                zones=self.zones,
                machine_type=self.machine.name,
            ),
            sharing=self.sharing,
            groups=groups,
            # In the worst case all of a group's nodes are in one zone, because others have failed.
            nodes_per_zone=dict.fromkeys(self.zones, self.max_nodes + 1),
            addresses_per_node=addresses_per_node(self.machine, self.max_pods),
        )

    def _group(
        self,
        cluster: EksCluster,
        zones: tuple[str, ...],
        labels: Mapping[str, str],
        taints: tuple[Taint, ...],
        allocatable: Mapping[str, int],
    ) -> NodeGroupPlan:
        capacity_type: CapacityType = "ON_DEMAND"
        if isinstance(self.capacity, EksSpot):
            capacity_type = "SPOT"
        elif isinstance(self.capacity, EksCapacityBlock):
            capacity_type = "CAPACITY_BLOCK"
        reserved = isinstance(self.capacity, EksReservation | EksCapacityBlock)
        reservation_id = (
            self.capacity.id if isinstance(self.capacity, EksReservation | EksCapacityBlock) else None
        )
        mig = None
        if self.sharing.kind == "mig" and self.card is not None and self.sharing.profile is not None:
            mig = MigLayout(self.sharing.profile, self.card.mig_profiles[self.sharing.profile].max_instances)
        ami_type = _ami_type(self.machine, self.card)
        version = _digest(
            {
                "machine": self.machine.name,
                "ami": ami_type,
                "zones": sorted(zones),
                "capacity": [capacity_type, reservation_id],
                "taints": sorted([taint.key, taint.value, taint.effect] for taint in taints),
                "sharing": [self.sharing.kind, self.sharing.replicas, self.sharing.profile],
                "efa": self.efa,
            }
        )
        place = [zones[0][-1]] if self.efa else []
        return NodeGroupPlan(
            name=bounded_name(self.name, *place, version, limit=MAX_GROUP_NAME),
            pool=self.name,
            machine=self.machine,
            ami_type=ami_type,
            zones=zones,
            min_nodes=self.min_nodes,
            max_nodes=self.max_nodes,
            capacity_type=capacity_type,
            reservation_id=reservation_id,
            disk=self.disk,
            bootstrap=Bootstrap(self.max_pods, self.machine.instance_store > 0, mig),
            efa_interfaces=self.machine.efa_interfaces if self.efa else 0,
            placement_group=self.efa and self.machine.placement_group and not reserved,
            labels=labels,
            taints=taints,
            release_version=self.release_version,
            allocatable=allocatable,
        )

    def _labels(self) -> dict[str, str]:
        labels = {NODE_POOL: self.name, **(self.labels or {})}
        if self.card is not None:
            labels |= accelerator_labels(self.machine, self.sharing)
            labels |= {"nvidia.com/gpu.present": "true", SHARING_LABEL: sharing_name(self.sharing)}
            if self.sharing.kind != "mig":
                # A node so labelled counts as one being started until it offers whole GPUs.
                labels[AUTOSCALER_GPU_LABEL] = self.card.name
        return labels

    def _well_known_labels(self, cluster: EksCluster) -> dict[str, str]:
        """What kubelet and the cloud controller add (Kubernetes reference, well-known labels)."""
        return {
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64" if self.machine.architecture == "x86_64" else "arm64",
            "node.kubernetes.io/instance-type": self.machine.name,
            "topology.kubernetes.io/region": cluster.region,
        }

    def _taints(self) -> tuple[Taint, ...]:
        own = accelerator_taints(self.machine)
        return (*own, *(taint for taint in self.taints if taint not in own))

    def _pod_disk(self) -> int:
        return self.machine.instance_store or self.disk


def sharing_name(sharing: Sharing) -> str:
    """Name of a configuration of the device plugin: a label's value and part of object names."""
    if sharing.kind == "time-slicing":
        return f"time-slicing-{sharing.replicas}"
    return sharing.kind


def addresses_per_node(machine: MachineType, max_pods: int) -> int:
    """Addresses that a node takes from its subnet: prefixes, a spare one, and one for each interface."""
    prefixes = -(-max_pods // PREFIX_ADDRESSES) + 1
    interfaces = -(-prefixes // (machine.addresses_per_interface - 1))
    return prefixes * PREFIX_ADDRESSES + interfaces


def most_pods(machine: MachineType) -> int:
    """Pods that a machine has addresses for: prefixes in all slots, but the interfaces' own."""
    return machine.network_interfaces * (machine.addresses_per_interface - 1) * PREFIX_ADDRESSES


def _digest(replacing: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(replacing, sort_keys=True).encode()).hexdigest()[:8]


def _ami_type(machine: MachineType, card: Accelerator | None) -> str:
    """AMI type of the EKS API (AMITypes) for Amazon Linux 2023."""
    architecture = {"x86_64": "x86_64", "arm64": "ARM_64"}[machine.architecture]
    return f"AL2023_{architecture}_{'STANDARD' if card is None else 'NVIDIA'}"


def _machine(name: str, problems: list[Problem]) -> MachineType | None:
    try:
        return machine_type("aws", name)
    except UnknownNameError as error:
        problems.append(Problem("machineType", str(error)))
        return None


def _size_problems(min_nodes: int, max_nodes: int) -> list[Problem]:
    if min_nodes <= max_nodes:
        return []
    return [Problem("minNodes", f"{min_nodes} > maxNodes {max_nodes}; lower minNodes or raise maxNodes")]


def _common_problems(
    pool: EksSystemPool | EksNodePool, machine: MachineType, version: str
) -> Iterator[Problem]:
    if pool.max_pods > most_pods(machine):
        yield Problem(
            "maxPods", f"{pool.max_pods}: {machine.name} has addresses for {most_pods(machine)}; lower it"
        )
    if pool.disk < MIN_DISK or pool.disk % GIB:
        yield Problem(
            "disk", f"{format_bytes(pool.disk)}: whole Gi, {format_bytes(MIN_DISK)} at least; correct it"
        )
    if pool.release_version is not None and not pool.release_version.startswith(f"{version}."):
        yield Problem(
            "releaseVersion", f"{pool.release_version!r}: not of Kubernetes {version}; choose a release of it"
        )


def _label_problems(pool: EksNodePool) -> Iterator[Problem]:
    for key in pool.labels:
        prefix = key.split("/")[0] if "/" in key else ""
        if key in (NODE_POOL, SHARING_LABEL) or any(
            prefix == owned or prefix.endswith(f".{owned}")
            for owned in ("kubernetes.io", "k8s.io", "amazonaws.com")
        ):
            yield Problem(
                f"labels.{key}", "set by the platform, Kubernetes or EKS; choose a name of your own"
            )
    seen: list[tuple[str, str]] = []
    for index, taint in enumerate(pool.taints):
        identity = (taint.key, taint.effect)
        if identity in seen:
            yield Problem(f"taints[{index}]", f"{taint.key}:{taint.effect} is there already; remove one")
        seen.append(identity)


def _zones(
    cluster: EksCluster,
    pool: EksNodePool,
    machine: MachineType,
    offerings: Offerings,
    problems: list[Problem],
) -> tuple[str, ...]:
    """Zones of the pool: those stated, that of a reservation, or those that are known to offer the type."""
    network = cluster.network
    for index, zone in enumerate(pool.zones):
        if zone not in network.zones:
            problems.append(
                Problem(
                    f"zones[{index}]", f"{zone!r}: not among network.zones; add it there or choose another"
                )
            )
    if isinstance(pool.capacity, EksReservation | EksCapacityBlock):
        zone = pool.capacity.zone
        if zone not in network.zones:
            problems.append(
                Problem(
                    "capacity.zone",
                    f"{zone!r}: not among network.zones; the nodes need a subnet there, add it",
                )
            )
        elif pool.zones and pool.zones != (zone,):
            problems.append(
                Problem("zones", f"{', '.join(pool.zones)}: the reserved capacity is in {zone}; remove zones")
            )
        return (zone,)
    if pool.zones:
        return pool.zones
    if offerings.everywhere(machine.name, cluster.region):
        return network.zones
    return _offered_zones(cluster.region, network, machine, offerings, problems)


def _offered_zones(
    region: str, network: EksNetwork, machine: MachineType, offerings: Offerings, problems: list[Problem]
) -> tuple[str, ...]:
    offered = offerings.zone_ids(machine.name, region) or ()
    if not offered:
        regions = ", ".join(offerings.regions(machine.name) or ())
        problems.append(
            Problem(
                "machineType",
                f"{machine.name!r}: known to be offered in {regions}, not in {region}; choose another type "
                "or region, or list the zones if AWS offers it by now",
            )
        )
        return ()
    if set(network.zones) <= network.zone_ids.keys():
        zones = tuple(zone for zone in network.zones if network.zone_ids[zone] in offered)
        if zones:
            return zones
    problems.append(
        Problem(
            "zones",
            f"none: {machine.name} is known to be offered in {', '.join(offered)} of {region} only; list the "
            "zones with these ids, or give all of network.zoneIds",
        )
    )
    return ()
