"""Amounts and names that several sections share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.common.quantities import Bytes, Millicores, Resources
from components.common.schema import FrozenModel

ExtendedResource = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*)$")
]


class ResourceAmounts(FrozenModel):
    """What one container gets: requests and limits alike."""

    cpu: Millicores
    """CPU, e.g. `1200m` or `2`."""
    memory: Bytes
    """Memory, e.g. `6Gi`."""
    ephemeral_storage: Bytes
    """Node-local disk: logs, writable layer and scratch space."""

    def resources(self) -> Resources:
        """The same as the components take it."""
        return Resources(self.cpu, self.memory, self.ephemeral_storage)
