"""Both ends of a connection: pods, and addresses outside the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from stacks.connectivity.ranges import Ranges

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that the API server gives every namespace."""


class Role(Enum):
    """Why an endpoint is in the matrix."""

    WORKLOAD = "workload"
    """Pods of one pod template among the objects."""
    NEIGHBOUR = "neighbour"
    """A pod without labels in a namespace that is among the objects: what an intruder could start there."""
    ELSEWHERE = "elsewhere"
    """A pod that is not among the objects."""
    OUTSIDE = "outside"
    """Addresses that are no pods."""


@dataclass(frozen=True)
class ContainerPort:
    """A port that a container declares; rules find named ones by it."""

    number: int
    protocol: str = "TCP"
    name: str = ""


@dataclass(frozen=True, eq=False)
class Endpoint:
    """Pods that are alike for all policies, or a set of addresses."""

    name: str
    role: Role
    namespace: str | None = None
    """None outside the cluster."""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ContainerPort, ...] = ()
    host_network: bool = False
    """Whether they use their node's network: policies do not apply to them, selectors do not find them."""
    addresses: Ranges | None = None
    """What they may have; None if unknown."""

    @property
    def isolatable(self) -> bool:
        """Whether policies apply to it."""
        return self.namespace is not None and not self.host_network

    @property
    def ours(self) -> bool:
        """Whether the objects are responsible for it."""
        return self.role in (Role.WORKLOAD, Role.NEIGHBOUR)

    def port_numbers(self, name: str, protocol: str) -> Ranges:
        """Numbers of the container ports of that name."""
        return Ranges.of(
            (port.number, port.number)
            for port in self.ports
            if port.name == name and port.protocol == protocol
        )

    def __str__(self) -> str:
        return self.name
