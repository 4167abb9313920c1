"""What the containers of monitoring ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.common.quantities import MIB, format_bytes, format_millicores


@dataclass(frozen=True)
class Share:
    """Memory is what is asked for and no more; CPU may be exceeded while the node has some left: a query or
    the replay of a log is short and heavy, and the rest of the time there is little to do."""

    cpu: int
    """Thousandths of a CPU that are asked for."""
    memory: int
    """Bytes."""
    cpu_limit: int
    """Thousandths of a CPU."""
    ephemeral_storage: int = 64 * MIB
    """Bytes."""

    def document(self) -> dict[str, Any]:
        """As an object has it."""
        rest = {
            "memory": format_bytes(self.memory),
            "ephemeral-storage": format_bytes(self.ephemeral_storage),
        }
        return {
            "requests": {"cpu": format_millicores(self.cpu), **rest},
            "limits": {"cpu": format_millicores(self.cpu_limit), **rest},
        }
