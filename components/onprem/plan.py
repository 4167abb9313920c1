"""From settings of a bare-metal cluster to what is built on it: pure functions, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from components.accelerators.catalogue import PRESENT, Accelerator, accelerator
from components.accelerators.lookup import UnknownNameError
from components.accelerators.shapes import ACCELERATOR_LABEL, NodePoolShape, Taint
from components.common.labels import NODE_POOL
from components.common.problems import Problem, below
from components.hosts.plan import HostsPlan, PoolMember, plan_hosts
from components.hosts.reservations import allocatable
from components.onprem.settings import OnpremCluster, OnpremNodePool
from components.virtual_ip.plan import VirtualIpPlan, plan_virtual_ip, shared_segment_problems
from components.virtual_ip.settings import ModelApi, VirtualIp

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
_VENDORS: Final = ("NVIDIA", "Huawei", "Cambricon")
"""Whose accelerators are sold as cards for one's own machines."""


@dataclass(frozen=True)
class OnpremPlan:
    """What is built on a bare-metal cluster."""

    settings: OnpremCluster
    protect: bool
    pools: tuple[NodePoolShape, ...]
    """The nodes as the scheduler sees them."""
    virtual_ip: VirtualIpPlan
    hosts: HostsPlan | None
    """The machines; None for a cluster that was made otherwise."""

    @property
    def storage_class(self) -> str:
        """Class of volumes on the nodes' disks."""
        return self.settings.storage.class_name

    @property
    def entry_cidrs(self) -> tuple[str, ...]:
        """Addresses that the proxies call the model servers from: the entry nodes' own."""
        return tuple(f"{member.address}/32" for member in self.virtual_ip.members)

    @property
    def endpoint(self) -> str:
        """Base URL of the model API."""
        frontend = self.settings.virtual_ip.frontend
        scheme = "https" if isinstance(frontend, ModelApi) and frontend.tls_secret_name else "http"
        return f"{scheme}://{self.virtual_ip.authority}"


def plan_onprem(settings: OnpremCluster, *, protect: bool) -> tuple[OnpremPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the cluster section.

    `protect`: what holds data is kept from deletion.
    """
    virtual_ip, found = plan_virtual_ip(settings.virtual_ip)
    problems = list(below("virtualIp", found))
    problems += _frontend(settings)
    problems += _nodes(settings)
    problems += _accelerators(settings)
    problems += _volumes(settings)
    problems += _entry_nodes(settings)
    hosts: HostsPlan | None = None
    virtual_ips: list[tuple[str, VirtualIp]] = [("virtualIp", settings.virtual_ip)]
    if settings.hosts is not None:
        virtual_ips.insert(0, ("hosts.controlPlane.virtualIp", settings.hosts.control_plane.virtual_ip))
        hosts, found = plan_hosts(settings.hosts, list(_members(settings)))
        problems += below("hosts", found)
    problems += shared_segment_problems(virtual_ips)
    problems += _node_with_virtual_address(settings, virtual_ips)
    if problems or virtual_ip is None:
        return None, problems
    pools = tuple(_shape(pool) for pool in settings.node_pools)
    return OnpremPlan(settings, protect, pools, virtual_ip, hosts), []


def _card(pool: OnpremNodePool) -> Accelerator | None:
    """None without accelerators, and for a name that `_accelerators` has told about."""
    try:
        return accelerator(pool.hardware.accelerator) if pool.hardware.accelerator else None
    except UnknownNameError:
        return None


def _labels(pool: OnpremNodePool) -> dict[str, str]:
    card = _card(pool)
    own = {NODE_POOL: pool.name, ZONE_LABEL: pool.zone} | ({ACCELERATOR_LABEL: card.name} if card else {})
    return {**pool.labels, **own}


def _taints(pool: OnpremNodePool) -> tuple[Taint, ...]:
    card = _card(pool)
    # Pods that need no accelerator would fill the nodes that have them.
    own = (Taint(card.taint_key, PRESENT, "NoSchedule"),) if card else ()
    return own + tuple(taint.shape() for taint in pool.taints)


def _shape(pool: OnpremNodePool) -> NodePoolShape:
    card, hardware = _card(pool), pool.hardware
    amounts = allocatable(hardware.cpu, hardware.memory, hardware.disk)
    if card is not None:
        amounts[card.resource] = hardware.accelerator_count
    return NodePoolShape(
        name=pool.name,
        labels=_labels(pool),
        taints=_taints(pool),
        allocatable=amounts,
        accelerator=card.name if card else None,
        accelerator_memory=card.usable_memory if card else None,
        min_nodes=len(pool.nodes),
        max_nodes=len(pool.nodes),
        zones=(pool.zone,),
        machine_type=pool.name,
    )


def _members(settings: OnpremCluster) -> Iterator[PoolMember]:
    for pool in settings.node_pools:
        card = _card(pool)
        for node in pool.nodes:
            yield PoolMember(
                name=node.name,
                address=node.address,
                cpu=pool.hardware.cpu,
                labels=_labels(pool),
                taints=_taints(pool),
                accelerator=card,
                accelerator_count=pool.hardware.accelerator_count if card else 0,
                volumes={one.path: one.size for one in settings.storage.volumes if one.node == node.name},
            )


def _frontend(settings: OnpremCluster) -> Iterator[Problem]:
    kind = settings.virtual_ip.frontend.kind
    if kind != "model-api":
        yield Problem(
            "virtualIp.frontend.kind",
            f"{kind}: this address is for the models; write model-api (the Kubernetes API's address is "
            "hosts.controlPlane.virtualIp)",
        )


def _nodes(settings: OnpremCluster) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for number, pool in enumerate(settings.node_pools):
        path = f"nodePools[{number}]"
        earlier = seen.setdefault(f"pool {pool.name}", f"{path}.name")
        if earlier != f"{path}.name":
            yield Problem(f"{path}.name", f"{pool.name}: {earlier} is the same; rename one")
        for index, node in enumerate(pool.nodes):
            for key, value in (("name", node.name), ("address", str(node.address))):
                here = f"{path}.nodes[{index}].{key}"
                earlier = seen.setdefault(f"{key} {value}", here)
                if earlier != here:
                    yield Problem(here, f"{value}: {earlier} is the same; correct one")


def _accelerators(settings: OnpremCluster) -> Iterator[Problem]:
    for number, pool in enumerate(settings.node_pools):
        name = pool.hardware.accelerator
        if name is None:
            continue
        path = f"nodePools[{number}].hardware.accelerator"
        try:
            card = accelerator(name)
        except UnknownNameError as error:
            yield Problem(path, f"{error}; write one of these")
            continue
        if card.vendor not in _VENDORS:
            yield Problem(
                path, f"{name}: only {card.vendor}'s own cloud has it; choose a card of {', '.join(_VENDORS)}"
            )


def _volumes(settings: OnpremCluster) -> Iterator[Problem]:
    names = {node.name for pool in settings.node_pools for node in pool.nodes}
    seen: dict[tuple[str, str], int] = {}
    for index, volume in enumerate(settings.storage.volumes):
        path = f"storage.volumes[{index}]"
        if volume.node not in names:
            yield Problem(f"{path}.node", f"{volume.node}: in none of nodePools; write the name of a node")
        earlier = seen.setdefault((volume.node, volume.path), index)
        if earlier != index:
            yield Problem(
                f"{path}.path",
                f"{volume.path}: storage.volumes[{earlier}] is the same on {volume.node}; give each its own",
            )


def _entry_nodes(settings: OnpremCluster) -> Iterator[Problem]:
    known: dict[str, IPv4Address] = {
        node.name: node.address for pool in settings.node_pools for node in pool.nodes
    }
    if settings.hosts is not None:
        known |= {node.name: node.address for node in settings.hosts.control_plane.nodes}
    for index, node in enumerate(settings.virtual_ip.nodes):
        path = f"virtualIp.nodes[{index}]"
        if node.name not in known:
            yield Problem(
                f"{path}.name", f"{node.name}: in none of nodePools; an entry node is a node of the cluster"
            )
        elif known[node.name] != node.address:
            yield Problem(
                f"{path}.address",
                f"{node.address}: the cluster's {node.name} has {known[node.name]}; correct one",
            )


def _node_with_virtual_address(
    settings: OnpremCluster, virtual_ips: Sequence[tuple[str, VirtualIp]]
) -> Iterator[Problem]:
    for path, virtual_ip in virtual_ips:
        for number, pool in enumerate(settings.node_pools):
            for index, node in enumerate(pool.nodes):
                if str(node.address) == virtual_ip.address.partition("/")[0]:
                    yield Problem(
                        f"nodePools[{number}].nodes[{index}].address",
                        f"{node.address}: is {path}.address; a node cannot have it as its own: correct one",
                    )
