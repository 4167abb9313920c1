"""The EksAddons component: what the cluster needs inside that no EKS add-on brings."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.eks.plan import EksPlan


@dataclass(frozen=True)
class EksAddonsArgs:
    """Inputs of EksAddons."""

    plan: EksPlan
    file_system_id: pulumi.Input[str]
    """File system behind storage class `shared`."""
    device_plugin_image: str | None
    """NVIDIA device plugin, by digest; needed where a pool has NVIDIA accelerators."""


class EksAddons(pulumi.ComponentResource):
    """NVIDIA device plugin, and storage classes `gp3` (default) and `shared`. Needs a Kubernetes provider."""

    shared_storage_class: pulumi.Output[str]
    """Name of the storage class that several nodes may mount."""

    def __init__(self, name: str, args: EksAddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:EksAddons", name, None, opts)
        raise NotImplementedError(args)
