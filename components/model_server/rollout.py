"""How a new version replaces the old one, given the room there is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rollout:
    """Rolling update of a Deployment, in pods."""

    max_surge: int
    max_unavailable: int


def pods_that_fit(room: dict[str, int], one: dict[str, int]) -> int:
    """Pods of size `one` that fit into `room`; a resource that `room` does not name is not limited."""
    fits = [room[name] // amount for name, amount in one.items() if name in room and amount > 0]
    return min(fits, default=2**31)


def plan_rollout(replicas: int, fitting: int) -> Rollout:
    """Create before delete where one pod more than `replicas` fits, else delete before create.

    Without that, a rolling update that needs a spare accelerator nobody has would wait for ever.
    """
    return Rollout(1, 0) if fitting > replicas else Rollout(0, 1)
