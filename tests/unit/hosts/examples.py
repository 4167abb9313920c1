"""Machines of a small cluster that tests change one thing in."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from components.accelerators.catalogue import accelerator
from components.accelerators.shapes import Taint
from components.hosts.plan import Host, HostsPlan, PoolMember, plan_hosts
from components.hosts.settings import Hosts

NODES = [{"name": f"node-{number}", "address": f"192.168.1.1{number}"} for number in (1, 2, 3)]
VIRTUAL_IP: dict[str, Any] = {
    "instance": "VI_API",
    "address": "192.168.1.101/24",
    "routerId": 52,
    "nodes": NODES,
    "frontend": {"kind": "kubernetes-api"},
}


def settings(control_plane: dict[str, Any] | None = None, **changes: Any) -> Hosts:
    document = {
        "kubernetesVersion": "1.36.3",
        "controlPlane": {"nodes": NODES, "virtualIp": VIRTUAL_IP} | (control_plane or {}),
    }
    return Hosts.model_validate(document | changes)


def member(name: str, address: str, card: str | None = None, count: int = 8) -> PoolMember:
    found = accelerator(card) if card else None
    return PoolMember(
        name=name,
        address=IPv4Address(address),
        cpu=64_000,
        labels={"autoglm-platform/node-pool": name.partition("-")[0]},
        taints=(Taint(found.taint_key, "present", "NoSchedule"),) if found else (),
        accelerator=found,
        accelerator_count=count if found else 0,
    )


MEMBERS = (
    member("node-1", "192.168.1.11"),
    member("gpu-1", "192.168.1.21", "H100-80"),
    member("npu-1", "192.168.1.31", "Ascend-910B"),
    member("mlu-1", "192.168.1.41", "MLU370-X8"),
)


def plan(control_plane: dict[str, Any] | None = None, **changes: Any) -> HostsPlan:
    planned, problems = plan_hosts(settings(control_plane, **changes), MEMBERS)
    assert planned is not None, problems
    return planned


def host(planned: HostsPlan, name: str) -> Host:
    return next(one for one in planned.hosts if one.name == name)


def refused(control_plane: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """Problems as `path: message`."""
    planned, problems = plan_hosts(settings(control_plane, **changes), MEMBERS)
    assert planned is None
    return [f"{problem.path}: {problem.message}" for problem in problems]
