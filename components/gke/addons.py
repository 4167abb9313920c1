"""The GkeAddons component: what the cluster needs inside that GKE does not bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import meta, storage

from components.common.labels import object_labels
from components.common.outputs import known_after
from components.gke.plan import SHARED_STORAGE_CLASS, GkePlan

BALANCED_STORAGE_CLASS: Final = "balanced"


@dataclass(frozen=True)
class GkeAddonsArgs:
    """Inputs of GkeAddons."""

    plan: GkePlan
    disks_key: pulumi.Input[str]
    """Key of persistent disks."""
    shared_storage_key: pulumi.Input[str] | None
    """Key of shared file systems; None where their tier takes none."""


class GkeAddons(pulumi.ComponentResource):
    """Storage classes `shared` (Filestore) and `balanced` (persistent disk). Needs a Kubernetes provider.

    GPU drivers, their device plugin and that of TPUs come with GKE.
    """

    shared_storage_class: pulumi.Output[str]
    """Name of the storage class that several nodes may mount."""
    storage_class: pulumi.Output[str]
    """Name of the storage class of disks."""

    def __init__(self, name: str, args: GkeAddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:gke:GkeAddons", name, None, opts)
        plan = args.plan
        settings = plan.settings
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels("storage", settings.name, component="storage")
        # What holds data outlives the claim by which it was asked for.
        reclaim = "Retain" if plan.protect else "Delete"

        parameters: dict[str, pulumi.Input[str]] = {
            "tier": settings.shared_storage.tier,
            "network": settings.name,
            "connect-mode": "DIRECT_PEERING",
            "reserved-ipv4-cidr": str(plan.addresses.file_stores),
        }
        if args.shared_storage_key is not None:
            parameters["instance-encryption-kms-key"] = args.shared_storage_key
        shared = storage.v1.StorageClass(
            f"{name}-shared",
            metadata=meta.v1.ObjectMetaArgs(name=SHARED_STORAGE_CLASS, labels=labels),
            provisioner="filestore.csi.storage.gke.io",
            parameters=parameters,
            reclaim_policy=reclaim,
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=child,
        )
        balanced = storage.v1.StorageClass(
            f"{name}-balanced",
            metadata=meta.v1.ObjectMetaArgs(name=BALANCED_STORAGE_CLASS, labels=labels),
            provisioner="pd.csi.storage.gke.io",
            parameters={"type": "pd-balanced", "disk-encryption-kms-key": args.disks_key},
            reclaim_policy=reclaim,
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=child,
        )
        self.shared_storage_class = known_after(SHARED_STORAGE_CLASS, shared)
        self.storage_class = known_after(BALANCED_STORAGE_CLASS, balanced)
        self.register_outputs(
            {"sharedStorageClass": self.shared_storage_class, "storageClass": self.storage_class}
        )
