"""From the settings of a virtual IP to what keepalived and haproxy are told."""

from __future__ import annotations

from dataclasses import dataclass

from components.common.problems import Problem
from components.virtual_ip.settings import VirtualIp


@dataclass(frozen=True)
class VirtualIpPlan:
    """A virtual IP, checked."""

    settings: VirtualIp


def plan_virtual_ip(settings: VirtualIp) -> tuple[VirtualIpPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the virtual IP's section."""
    raise NotImplementedError
