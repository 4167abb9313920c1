"""What parts of a stack take of a namespace's quota."""

from __future__ import annotations

from dataclasses import dataclass, fields


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
