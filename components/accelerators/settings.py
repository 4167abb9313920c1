"""What people write of a node pool's taints, labels and sharing, on whatever cluster it is."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from components.accelerators import shapes
from components.accelerators.shapes import MAX_TIME_SLICES, MIN_TIME_SLICES
from components.common.schema import FrozenModel

LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*)/)?[A-Za-z0-9]([A-Za-z0-9._-]*)$", max_length=317)
]
"""Key of a label or taint: a name of 63 characters, with a DNS domain of 253 before a slash or without."""
LabelText = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", max_length=63)
]
"""Value of a label or taint; may be empty."""


class Taint(FrozenModel):
    """Keeps pods off a node that do not tolerate it."""

    key: LabelKey
    """Key."""
    value: LabelText = ""
    """Value."""
    effect: shapes.Effect = "NoSchedule"
    """What happens to pods that do not tolerate it, in Kubernetes' spelling."""

    def shape(self) -> shapes.Taint:
        """The same as the scheduler sees it."""
        return shapes.Taint(self.key, self.value, self.effect)


class Exclusive(FrozenModel):
    """Each accelerator belongs to one container."""

    kind: Literal["exclusive"]

    def shape(self) -> shapes.Sharing:
        """The same as plain data."""
        return shapes.EXCLUSIVE


class TimeSlicing(FrozenModel):
    """Containers take turns on a GPU. Nothing keeps them from each other's share of its memory."""

    kind: Literal["time-slicing"]
    replicas: Annotated[int, Field(strict=True, ge=MIN_TIME_SLICES, le=MAX_TIME_SLICES)]
    """Containers for each GPU."""

    def shape(self) -> shapes.Sharing:
        """The same as plain data."""
        return shapes.Sharing("time-slicing", replicas=self.replicas)


class Mig(FrozenModel):
    """Each GPU is partitioned in hardware (Multi-Instance GPU), all into instances of one profile."""

    kind: Literal["mig"]
    profile: Annotated[str, Field(pattern=r"^[1-7]g\.[0-9]+gb$", examples=["3g.40gb"])]
    """Profile, e.g. `3g.40gb`; docs/accelerators.md has those of each card."""

    def shape(self) -> shapes.Sharing:
        """The same as plain data."""
        return shapes.Sharing("mig", profile=self.profile)


Sharing: TypeAlias = Annotated[Exclusive | TimeSlicing | Mig, Field(discriminator="kind")]
"""How pods share the accelerators of a pool; `.shape()` gives what the planners take."""
EXCLUSIVE = Exclusive(kind="exclusive")
"""The default of a pool."""
