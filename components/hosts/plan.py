"""From settings to the machines, each with its role: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, Literal

from components.accelerators.catalogue import Accelerator
from components.accelerators.shapes import Taint
from components.common.cidr import NamedRange, overlaps
from components.common.problems import Problem, below
from components.hosts.settings import ExternalEtcd, Hosts
from components.virtual_ip.plan import VirtualIpPlan, plan_virtual_ip
from components.virtual_ip.settings import KubernetesApi

Role = Literal["first-control-plane", "control-plane", "worker"]
DEFAULT_CPU: Final = 4000
"""Millicores of a control-plane node that is in no pool, for its kubelet's reservation."""
_LEAST_MEMBERS: Final = 3


@dataclass(frozen=True)
class PoolMember:
    """A machine of a node pool."""

    name: str
    address: IPv4Address
    cpu: int
    """Millicores."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    accelerator: Accelerator | None = None
    accelerator_count: int = 0
    volumes: Mapping[str, int] = field(default_factory=dict)
    """Directories that become persistent volumes, and their sizes in bytes."""


@dataclass(frozen=True)
class Host:
    """A machine with its role in the cluster."""

    name: str
    address: IPv4Address
    role: Role
    pool: PoolMember | None
    """None for a control-plane node that runs no workload."""

    @property
    def control_plane(self) -> bool:
        """Whether it runs the control plane."""
        return self.role != "worker"

    @property
    def cpu(self) -> int:
        """Millicores."""
        return self.pool.cpu if self.pool else DEFAULT_CPU

    @property
    def accelerator(self) -> Accelerator | None:
        """Its accelerators' model."""
        return self.pool.accelerator if self.pool else None


@dataclass(frozen=True)
class HostsPlan:
    """All machines of a cluster, checked."""

    settings: Hosts
    hosts: tuple[Host, ...]
    virtual_ip: VirtualIpPlan
    endpoint: str
    """`host:port` of the API for everyone, behind the virtual IP."""


def plan_hosts(
    settings: Hosts, pool_members: Sequence[PoolMember] = ()
) -> tuple[HostsPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the hosts' section."""
    control_plane = settings.control_plane
    virtual_ip, found = plan_virtual_ip(control_plane.virtual_ip)
    problems = list(below("controlPlane.virtualIp", found))
    problems += _member_counts(settings)
    problems += _control_plane_nodes(settings)
    problems += _entry_is_control_plane(settings)
    problems += _addresses_agree(settings, pool_members)
    ranges = [NamedRange("podCidr", settings.pod_cidr), NamedRange("serviceCidr", settings.service_cidr)]
    if virtual_ip is not None:
        ranges.append(NamedRange("controlPlane.virtualIp.address", virtual_ip.address.network))
    problems += overlaps(ranges)
    if problems or virtual_ip is None:
        return None, problems
    host = control_plane.endpoint_name or str(virtual_ip.address.ip)
    endpoint = f"{host}:{control_plane.virtual_ip.frontend.port}"
    return HostsPlan(settings, tuple(_hosts(settings, pool_members)), virtual_ip, endpoint), []


def _hosts(settings: Hosts, pool_members: Sequence[PoolMember]) -> Iterator[Host]:
    pools = {member.name: member for member in pool_members}
    for index, node in enumerate(settings.control_plane.nodes):
        role: Role = "control-plane" if index else "first-control-plane"
        yield Host(node.name, node.address, role, pools.pop(node.name, None))
    for member in pools.values():
        yield Host(member.name, member.address, "worker", member)


def _member_counts(settings: Hosts) -> Iterator[Problem]:
    control_plane = settings.control_plane
    counts = [("controlPlane.nodes", len(control_plane.nodes), "control-plane nodes")]
    if isinstance(control_plane.etcd, ExternalEtcd):
        counts.append(("controlPlane.etcd.endpoints", len(control_plane.etcd.endpoints), "etcd members"))
    for path, count, what in counts:
        if count < _LEAST_MEMBERS:
            yield Problem(path, f"{count} {what}: the loss of one stops the cluster; give three or five")
        elif count % 2 == 0:
            yield Problem(
                path,
                f"{count} {what}: an even number bears no more losses than {count - 1}; add or remove one",
            )


def _control_plane_nodes(settings: Hosts) -> Iterator[Problem]:
    for key in ("name", "address"):
        seen: dict[str, int] = {}
        for index, node in enumerate(settings.control_plane.nodes):
            value = str(getattr(node, key))
            earlier = seen.setdefault(value, index)
            if earlier != index:
                yield Problem(
                    f"controlPlane.nodes[{index}].{key}",
                    f"{value}: controlPlane.nodes[{earlier}].{key} is the same; correct one",
                )


def _entry_is_control_plane(settings: Hosts) -> Iterator[Problem]:
    control_plane = settings.control_plane
    nodes = {(node.name, node.address) for node in control_plane.nodes}
    for index, entry in enumerate(control_plane.virtual_ip.nodes):
        if (entry.name, entry.address) not in nodes:
            yield Problem(
                f"controlPlane.virtualIp.nodes[{index}]",
                f"{entry.name} ({entry.address}): not one of controlPlane.nodes; the API's address belongs "
                "on the nodes that run it: use the same names and addresses",
            )
    if not isinstance(control_plane.virtual_ip.frontend, KubernetesApi):
        yield Problem(
            "controlPlane.virtualIp.frontend.kind",
            f"{control_plane.virtual_ip.frontend.kind}: this address is for the API; write kubernetes-api",
        )


def _addresses_agree(settings: Hosts, pool_members: Sequence[PoolMember]) -> Iterator[Problem]:
    pools = {member.name: member for member in pool_members}
    for index, node in enumerate(settings.control_plane.nodes):
        member = pools.get(node.name)
        if member is not None and member.address != node.address:
            yield Problem(
                f"controlPlane.nodes[{index}].address",
                f"{node.address}: nodePools have {member.address} for {node.name}; correct one",
            )
