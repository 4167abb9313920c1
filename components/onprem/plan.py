"""From settings of a bare-metal cluster to what is built on it: pure functions, every problem collected."""

from __future__ import annotations

from dataclasses import dataclass

from components.accelerators.shapes import NodePoolShape
from components.common.problems import Problem
from components.onprem.settings import OnpremCluster
from components.virtual_ip.plan import VirtualIpPlan


@dataclass(frozen=True)
class OnpremPlan:
    """What is built on a bare-metal cluster."""

    settings: OnpremCluster
    protect: bool
    pools: tuple[NodePoolShape, ...]
    """The nodes as the scheduler sees them."""
    virtual_ip: VirtualIpPlan
    storage_class: str
    entry_cidrs: tuple[str, ...]
    """Addresses that the proxies call the model servers from: the entry nodes' own."""
    endpoint: str
    """Base URL of the model API."""


def plan_onprem(settings: OnpremCluster, *, protect: bool) -> tuple[OnpremPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the cluster section."""
    raise NotImplementedError
