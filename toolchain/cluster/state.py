"""What the cluster remembers between commands, above all what it changed on the host."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.cluster import layout
from toolchain.errors import ToolchainError


@dataclass
class State:
    """Contents of state.json.

    Host changes are recorded before they are made, so that `down` undoes half an `up`.
    """

    # Ranges of addresses, chosen once: certificates and objects in etcd carry them.
    node_address: str = ""
    pod_range: str = ""
    service_range: str = ""
    # Identity of the mount namespace, such as mnt:[4026532233].
    mount_namespace: str = ""
    cgroup: str = ""
    systemd_unit: str = ""
    # Start of the machine that the next three describe.
    boot: str = ""
    # Paths that were missing before, parents first.
    created_paths: list[str] = field(default_factory=list)
    # Kernel parameter, as a path below /proc/sys, and its value before.
    sysctls: dict[str, str] = field(default_factory=dict)
    nft_tables: list[str] = field(default_factory=list)
    # Digests of what was last handed to kubeadm and to the API server.
    control_plane: str = ""
    addons: str = ""
    # Image reference and the digest of the archive it was imported from.
    images: dict[str, str] = field(default_factory=dict)

    def save(self) -> None:
        """Replace the file atomically."""
        layout.STATE.parent.mkdir(parents=True, exist_ok=True)
        temporary = layout.STATE.with_suffix(".tmp")
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")
        os.replace(temporary, layout.STATE)


def load(path: Path | None = None) -> State | None:
    """The recorded state, None when the cluster has never been started here.

    Raises ToolchainError on a damaged file.
    """
    path = path or layout.STATE
    try:
        return State(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise ToolchainError(f"{path} cannot be read ({error}); run `make down`, then `make up`") from error
