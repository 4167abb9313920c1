"""The EksAddons component: what the cluster needs inside that no EKS add-on brings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking, storage

from components.accelerators.shapes import Sharing
from components.common.labels import object_labels, selector_labels
from components.common.outputs import known_after
from components.common.pods import NON_ROOT_ID, requirements
from components.common.quantities import MIB, Resources
from components.eks.arns import account_of, arn
from components.eks.autoscaler import ClusterAutoscaler, ClusterAutoscalerArgs
from components.eks.keys import volumes_alias
from components.eks.plan import EksPlan
from components.eks.pools import SHARING_LABEL, sharing_name

NAMESPACE: Final = "kube-system"
"""Where node-level plugins live; EKS puts its own there."""
DEFAULT_STORAGE_CLASS: Final = "gp3"
SHARED_STORAGE_CLASS: Final = "shared"
DEVICE_PLUGINS: Final = "/var/lib/kubelet/device-plugins"
"""Where the kubelet and its device plugins meet."""
DEVICE_PLUGIN_RESOURCES: Final = Resources(cpu=50, memory=128 * MIB, ephemeral_storage=64 * MIB)

_NAME: Final = "nvidia-device-plugin"
_CONFIG_FILE: Final = "config.json"


def device_plugin_config(sharing: Sharing) -> dict[str, Any]:
    """Configuration of NVIDIA's device plugin (NVIDIA/k8s-device-plugin, api/config/v1)."""
    config: dict[str, Any] = {
        "version": "v1",
        "flags": {"migStrategy": "mixed" if sharing.kind == "mig" else "none", "failOnInitError": True},
    }
    if sharing.kind == "time-slicing":
        config["sharing"] = {
            "timeSlicing": {
                # Two slices are no more than one: whoever asks for two is mistaken.
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": sharing.replicas}],
            }
        }
    return config


@dataclass(frozen=True)
class EksAddonsArgs:
    """Inputs of EksAddons."""

    plan: EksPlan
    file_system_id: pulumi.Input[str]
    """File system behind storage class `shared`."""
    device_plugin_image: str | None
    """NVIDIA device plugin, by digest; needed where a pool has NVIDIA accelerators."""
    autoscaler_image: str | None = None
    """Cluster autoscaler, by digest; without it, nothing changes the size of a pool."""


class EksAddons(pulumi.ComponentResource):
    """Device plugin, cluster autoscaler, storage classes `gp3` (default) and `shared`.

    Needs a Kubernetes provider.
    """

    shared_storage_class: pulumi.Output[str]
    """Name of the storage class whose volumes several nodes may mount; known in a preview."""

    def __init__(self, name: str, args: EksAddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:EksAddons", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._default_storage_class()
        self.shared_storage_class = known_after(SHARED_STORAGE_CLASS, self._shared_storage_class())
        sharings = {sharing_name(sharing): sharing for sharing in args.plan.gpu_sharings}
        if sharings:
            if args.device_plugin_image is None:
                raise ValueError("device_plugin_image: missing, but there are pools with GPUs")
            self._device_plugin_network_policy()
            account = self._device_plugin_account()
            for key, sharing in sharings.items():
                self._device_plugin(key, sharing, args.device_plugin_image, account)
        if args.autoscaler_image is not None:
            ClusterAutoscaler(
                f"{name}-autoscaler",
                ClusterAutoscalerArgs(plan=args.plan, image=args.autoscaler_image),
                self._child,
            )
        self.register_outputs({"sharedStorageClass": self.shared_storage_class})

    def _default_storage_class(self) -> storage.v1.StorageClass:
        settings = self._args.plan.settings
        return storage.v1.StorageClass(
            f"{self._name}-{DEFAULT_STORAGE_CLASS}",
            metadata=meta.v1.ObjectMetaArgs(
                name=DEFAULT_STORAGE_CLASS,
                labels=object_labels("storage-class", DEFAULT_STORAGE_CLASS, component="storage"),
                annotations={"storageclass.kubernetes.io/is-default-class": "true"},
            ),
            provisioner="ebs.csi.aws.com",
            parameters={
                "type": "gp3",
                "encrypted": "true",
                "kmsKeyId": arn(account_of(settings), "kms", volumes_alias(settings)),
            },
            # A volume is made in the zone of the pod that needs it.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            reclaim_policy=self._reclaim_policy,
            opts=self._child,
        )

    def _shared_storage_class(self) -> storage.v1.StorageClass:
        return storage.v1.StorageClass(
            f"{self._name}-{SHARED_STORAGE_CLASS}",
            metadata=meta.v1.ObjectMetaArgs(
                name=SHARED_STORAGE_CLASS,
                labels=object_labels("storage-class", SHARED_STORAGE_CLASS, component="storage"),
            ),
            provisioner="efs.csi.aws.com",
            parameters={
                # Each volume is an access point: a directory of its own, under one user for all who mount it.
                "provisioningMode": "efs-ap",
                "fileSystemId": self._args.file_system_id,
                "directoryPerms": "0700",
                "uid": str(NON_ROOT_ID),
                "gid": str(NON_ROOT_ID),
                "basePath": "/volumes",
                "subPathPattern": "${.PVC.namespace}/${.PVC.name}",
                "ensureUniqueDirectory": "true",
            },
            mount_options=["tls"],
            volume_binding_mode="Immediate",
            reclaim_policy=self._reclaim_policy,
            opts=self._child,
        )

    @property
    def _reclaim_policy(self) -> str:
        return "Retain" if self._args.plan.protect else "Delete"

    def _labels(self, instance: str) -> dict[str, str]:
        return object_labels(_NAME, instance, component="device-plugin")

    def _device_plugin_account(self) -> pulumi.Output[str]:
        account = core.v1.ServiceAccount(
            f"{self._name}-device-plugin",
            metadata=meta.v1.ObjectMetaArgs(name=_NAME, namespace=NAMESPACE, labels=self._labels("all")),
            automount_service_account_token=False,
            opts=self._child,
        )
        return known_after(_NAME, account)

    def _device_plugin_network_policy(self) -> None:
        """It talks to the kubelet over a socket, and to nobody else."""
        networking.v1.NetworkPolicy(
            f"{self._name}-device-plugin",
            metadata=meta.v1.ObjectMetaArgs(name=_NAME, namespace=NAMESPACE, labels=self._labels("all")),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(match_labels={"app.kubernetes.io/name": _NAME}),
                policy_types=["Ingress", "Egress"],
            ),
            opts=self._child,
        )

    def _device_plugin(self, key: str, sharing: Sharing, image: str, account: pulumi.Input[str]) -> None:
        """One DaemonSet for each way to share GPUs, on the nodes that are labelled with it."""
        object_name = f"{_NAME}-{key}"
        config = json.dumps(device_plugin_config(sharing), sort_keys=True)
        config_map = core.v1.ConfigMap(
            f"{self._name}-device-plugin-{key}",
            metadata=meta.v1.ObjectMetaArgs(name=object_name, namespace=NAMESPACE, labels=self._labels(key)),
            data={_CONFIG_FILE: config},
            opts=self._child,
        )
        selector = selector_labels(_NAME, key)
        apps.v1.DaemonSet(
            f"{self._name}-device-plugin-{key}",
            metadata=meta.v1.ObjectMetaArgs(name=object_name, namespace=NAMESPACE, labels=self._labels(key)),
            spec=apps.v1.DaemonSetSpecArgs(
                selector=meta.v1.LabelSelectorArgs(match_labels=selector),
                update_strategy=apps.v1.DaemonSetUpdateStrategyArgs(type="RollingUpdate"),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=self._labels(key),
                        # Read at start only: a changed configuration needs new pods.
                        annotations={
                            "autoglm-platform/config-sha256": hashlib.sha256(config.encode()).hexdigest()
                        },
                    ),
                    spec=self._device_plugin_pod(
                        sharing, image, account, known_after(object_name, config_map)
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create="5m", update="10m", delete="5m")
            ),
        )

    def _device_plugin_pod(
        self, sharing: Sharing, image: str, account: pulumi.Input[str], config_map: pulumi.Input[str]
    ) -> core.v1.PodSpecArgs:
        return core.v1.PodSpecArgs(
            service_account_name=account,
            automount_service_account_token=False,
            enable_service_links=False,
            priority_class_name="system-node-critical",
            node_selector={SHARING_LABEL: sharing_name(sharing)},
            # Whatever keeps others off the node, its GPUs have to be offered.
            tolerations=[core.v1.TolerationArgs(operator="Exists")],
            security_context=core.v1.PodSecurityContextArgs(
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault")
            ),
            containers=[
                core.v1.ContainerArgs(
                    name=_NAME,
                    image=image,
                    command=["nvidia-device-plugin"],
                    args=[f"--config-file=/config/{_CONFIG_FILE}"],
                    env=[
                        core.v1.EnvVarArgs(name=key, value=value)
                        for key, value in _environment(sharing).items()
                    ],
                    resources=requirements(DEVICE_PLUGIN_RESOURCES),
                    security_context=_security_context(sharing),
                    volume_mounts=[
                        core.v1.VolumeMountArgs(name="device-plugins", mount_path=DEVICE_PLUGINS),
                        core.v1.VolumeMountArgs(name="config", mount_path="/config", read_only=True),
                    ],
                )
            ],
            volumes=[
                core.v1.VolumeArgs(
                    name="device-plugins",
                    host_path=core.v1.HostPathVolumeSourceArgs(path=DEVICE_PLUGINS, type="Directory"),
                ),
                core.v1.VolumeArgs(
                    name="config", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config_map)
                ),
            ],
        )


def _environment(sharing: Sharing) -> Mapping[str, str]:
    environment = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "utility"}
    if sharing.kind == "mig":
        environment["NVIDIA_MIG_MONITOR_DEVICES"] = "all"
    return environment


def _security_context(sharing: Sharing) -> core.v1.SecurityContextArgs:
    """As little as NVIDIA's chart gives it. The kubelet's socket belongs to root, so it is root."""
    if sharing.kind == "mig":
        # To watch MIG instances the driver wants this capability, with which Kubernetes takes no
        # `allowPrivilegeEscalation: false`.
        return core.v1.SecurityContextArgs(
            read_only_root_filesystem=True,
            capabilities=core.v1.CapabilitiesArgs(drop=["ALL"], add=["SYS_ADMIN"]),
        )
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
    )
