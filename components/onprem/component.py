"""The OnpremPlatform component: what a bare-metal cluster needs beneath the models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core, meta, storage

from components.common.labels import object_labels
from components.common.names import SHORT_DIGEST, bounded_name
from components.common.outputs import known_after
from components.common.quantities import format_bytes
from components.onprem.plan import OnpremPlan
from components.onprem.settings import LocalVolume
from components.virtual_ip.component import VirtualIp, VirtualIpArgs

_NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True)
class OnpremPlatformArgs:
    """Inputs of an OnpremPlatform."""

    plan: OnpremPlan
    pod_security_version: str
    """Kubernetes minor version of the pod security standards, e.g. `v1.36`."""
    virtual_ip_image: pulumi.Input[str]
    """Image `virtual-ip`, by digest."""
    upstream: str
    """`host:port` of the model servers' Service, by its full DNS name."""


class OnpremPlatform(pulumi.ComponentResource):
    """Local storage, and the virtual IP with its proxies."""

    endpoint: pulumi.Output[str]
    """Base URL of the model API."""
    storage_class: pulumi.Output[str]
    """Class of volumes on the nodes' disks."""

    def __init__(
        self, name: str, args: OnpremPlatformArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:onprem:OnpremPlatform", name, None, opts)
        plan = args.plan
        local = _local_storage(name, plan, self)
        self.storage_class = known_after(plan.storage_class, *local)
        virtual_ip = VirtualIp(
            f"{name}-virtual-ip",
            VirtualIpArgs(
                plan=plan.virtual_ip,
                namespace=plan.settings.entry_namespace,
                pod_security_version=args.pod_security_version,
                image=args.virtual_ip_image,
                upstream=args.upstream,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.endpoint = known_after(plan.endpoint, virtual_ip)
        self.register_outputs({"endpoint": self.endpoint, "storageClass": self.storage_class})


def _local_storage(name: str, plan: OnpremPlan, parent: pulumi.Resource) -> list[pulumi.Resource]:
    settings = plan.settings.storage
    if not settings.volumes:
        return []
    labels = object_labels("local-storage", settings.class_name, component="storage")
    made: list[pulumi.Resource] = [
        storage.v1.StorageClass(
            f"{name}-storage-class",
            metadata=meta.v1.ObjectMetaArgs(
                name=settings.class_name,
                labels=labels,
                annotations={
                    "storageclass.kubernetes.io/is-default-class": "true" if settings.default else "false"
                },
            ),
            provisioner=_NO_PROVISIONER,
            # A claim is bound on the node where its pod is placed, not the other way round.
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Retain",
            opts=pulumi.ResourceOptions(parent=parent),
        )
    ]
    for volume in settings.volumes:
        made.append(_volume(name, plan, volume, labels, parent))
    return made


def _volume(
    name: str, plan: OnpremPlan, volume: LocalVolume, labels: dict[str, str], parent: pulumi.Resource
) -> core.v1.PersistentVolume:
    digest = hashlib.sha256(f"{volume.node}:{volume.path}".encode()).hexdigest()[:SHORT_DIGEST]
    object_name = bounded_name("local", volume.node.replace(".", "-"), digest)
    return core.v1.PersistentVolume(
        f"{name}-{object_name}",
        metadata=meta.v1.ObjectMetaArgs(name=object_name, labels=labels),
        spec=core.v1.PersistentVolumeSpecArgs(
            capacity={"storage": format_bytes(volume.size)},
            access_modes=["ReadWriteOnce"],
            persistent_volume_reclaim_policy="Retain",
            storage_class_name=plan.storage_class,
            volume_mode="Filesystem",
            local=core.v1.LocalVolumeSourceArgs(path=volume.path),
            node_affinity=core.v1.VolumeNodeAffinityArgs(
                required=core.v1.NodeSelectorArgs(
                    node_selector_terms=[
                        core.v1.NodeSelectorTermArgs(
                            match_expressions=[
                                core.v1.NodeSelectorRequirementArgs(
                                    key="kubernetes.io/hostname", operator="In", values=[volume.node]
                                )
                            ]
                        )
                    ]
                )
            ),
        ),
        opts=pulumi.ResourceOptions(parent=parent, protect=plan.protect, retain_on_delete=plan.protect),
    )
