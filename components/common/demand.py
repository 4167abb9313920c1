"""What parts of a stack take of a namespace's quota."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol


class Held(Protocol):
    """What a container asks for and is held to."""

    @property
    def cpu(self) -> int:
        """Thousandths of a CPU."""

    @property
    def memory(self) -> int:
        """Bytes."""

    @property
    def ephemeral_storage(self) -> int:
        """Bytes."""


@dataclass(frozen=True)
class Demand:
    """Most that something asks for at once. Demands of several add up; one is multiplied by its number."""

    cpu: int = 0
    """Thousandths of a CPU that are asked for."""
    cpu_limits: int = 0
    """Thousandths of a CPU that may be used."""
    memory: int = 0
    """Bytes, requests and limits alike."""
    ephemeral_storage: int = 0
    """Bytes, requests and limits alike."""
    storage: int = 0
    """Bytes of persistent volumes."""
    claims: int = 0
    """Volume claims."""
    pods: int = 0
    """Pods that have not ended."""
    jobs: int = 0
    """Jobs, ended ones that are kept included."""

    def __add__(self, other: Demand) -> Demand:
        return Demand(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Demand)))

    def __mul__(self, number: int) -> Demand:
        return Demand(*(getattr(self, one.name) * number for one in fields(Demand)))


def pod_demand(container: Held, *, storage: int = 0, jobs: int = 0) -> Demand:
    """Of a pod with one container, whose requests equal its limits.

    :param storage: bytes of its persistent volume; 0: it has none.
    :param jobs: Jobs that it is of, ended ones that are kept included.
    """
    return Demand(
        cpu=container.cpu,
        cpu_limits=container.cpu,
        memory=container.memory,
        ephemeral_storage=container.ephemeral_storage,
        storage=storage,
        claims=1 if storage else 0,
        pods=1,
        jobs=jobs,
    )
