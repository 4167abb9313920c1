"""The GkeNodePools component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import container

from components.common.outputs import known_after
from components.common.quantities import GIB
from components.gke.control_plane import CLOUD_SCOPE
from components.gke.plan import GkePlan
from components.gke.pools import PoolPlan
from components.gke.settings import GkeReservation, GkeSpot
from components.gke.tuning import SYSCTLS

POD_PROCESSES: Final = 4096
"""Processes and threads of one pod: an engine has some hundreds, a fork bomb stops here."""
_EFFECTS: Final = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}
"""Of taints, in the spelling of GKE's API."""


@dataclass(frozen=True)
class GkeNodePoolsArgs:
    """Inputs of GkeNodePools."""

    plan: GkePlan
    cluster: pulumi.Input[str]
    """Name of the cluster."""
    disks_key: pulumi.Input[str]
    """Key of the boot disks."""
    service_account: pulumi.Input[str]
    """Address of the nodes' service account."""


class GkeNodePools(pulumi.ComponentResource):
    """All node pools of a cluster.

    A pool is known by its name, and its name has a digest of its shape: a pool whose shape changes is a new
    one, made before the old one is drained (by its pods' disruption budgets) and deleted.
    """

    pools: list[pulumi.Resource]
    """All of them, the system pool first."""
    names: list[pulumi.Output[str]]
    """Their names in the cluster, in the same order; known in a preview."""

    def __init__(self, name: str, args: GkeNodePoolsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:gke:GkeNodePools", name, None, opts)
        self._name = name
        self._args = args
        system, *others = args.plan.node_pools
        first = self._pool(system, after=[])
        # GKE taints accelerators' nodes only where there are others for its own pods.
        self.pools = [first, *(self._pool(pool, after=[first]) for pool in others)]
        self.names = [
            known_after(plan.name, pool) for plan, pool in zip(args.plan.node_pools, self.pools, strict=True)
        ]
        self.register_outputs({"names": self.names})

    def _pool(self, pool: PoolPlan, after: list[pulumi.Resource]) -> container.NodePool:
        settings = self._args.plan.settings
        pinned = settings.release_channel == "UNSPECIFIED"
        return container.NodePool(
            f"{self._name}-{pool.name}",
            name=pool.name,
            project=settings.project,
            location=settings.region,
            cluster=self._args.cluster,
            node_locations=list(pool.zones),
            version=settings.version if pinned else None,
            autoscaling=None if pool.fixed else _autoscaling(pool),
            node_count=pool.max_nodes if pool.fixed else None,
            initial_node_count=None if pool.fixed else pool.initial_nodes,
            max_pods_per_node=settings.max_pods_per_node,
            management=container.NodePoolManagementArgs(auto_repair=True, auto_upgrade=not pinned),
            upgrade_settings=container.NodePoolUpgradeSettingsArgs(
                strategy="SURGE", max_surge=pool.max_surge, max_unavailable=pool.max_unavailable
            ),
            node_drain_configs=[
                container.NodePoolNodeDrainConfigArgs(respect_pdb_during_node_pool_deletion=True)
            ],
            network_config=container.NodePoolNetworkConfigArgs(enable_private_nodes=True),
            placement_policy=_placement(pool),
            node_config=self._node_config(pool),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                # The autoscaler's, once the pool is there; a changed first number would replace the pool.
                ignore_changes=["initialNodeCount"] if pool.fixed else ["initialNodeCount", "nodeCount"],
                # Pods have up to an hour to leave a pool that is deleted.
                custom_timeouts=pulumi.CustomTimeouts(create="45m", update="120m", delete="90m"),
            ),
        )

    def _node_config(self, pool: PoolPlan) -> container.NodePoolNodeConfigArgs:
        return container.NodePoolNodeConfigArgs(
            machine_type=pool.machine.name,
            image_type="COS_CONTAINERD",
            spot=isinstance(pool.capacity, GkeSpot),
            reservation_affinity=_reservation(pool),
            disk_size_gb=pool.disk // GIB,
            disk_type=pool.disk_type,
            boot_disk_kms_key=self._args.disks_key,
            ephemeral_storage_local_ssd_config=(
                container.NodePoolNodeConfigEphemeralStorageLocalSsdConfigArgs(
                    local_ssd_count=pool.local_ssds
                )
                if pool.local_ssds
                else None
            ),
            guest_accelerators=_gpus(pool),
            labels=dict(pool.labels),
            taints=[
                container.NodePoolNodeConfigTaintArgs(
                    key=taint.key, value=taint.value, effect=_EFFECTS[taint.effect]
                )
                for taint in pool.taints
            ],
            resource_labels=self._args.plan.labels,
            tags=[self._args.plan.node_tag],
            gvnic=container.NodePoolNodeConfigGvnicArgs(enabled=True),
            fast_socket=(
                container.NodePoolNodeConfigFastSocketArgs(enabled=True) if pool.fast_socket else None
            ),
            service_account=self._args.service_account,
            oauth_scopes=[CLOUD_SCOPE],
            metadata={"disable-legacy-endpoints": "true", "block-project-ssh-keys": "true"},
            workload_metadata_config=container.NodePoolNodeConfigWorkloadMetadataConfigArgs(
                mode="GKE_METADATA"
            ),
            shielded_instance_config=container.NodePoolNodeConfigShieldedInstanceConfigArgs(
                enable_secure_boot=True, enable_integrity_monitoring=True
            ),
            kubelet_config=container.NodePoolNodeConfigKubeletConfigArgs(
                insecure_kubelet_readonly_port_enabled="FALSE", pod_pids_limit=POD_PROCESSES
            ),
            linux_node_config=container.NodePoolNodeConfigLinuxNodeConfigArgs(
                cgroup_mode="CGROUP_MODE_V2", sysctls=dict(SYSCTLS)
            ),
        )


def _autoscaling(pool: PoolPlan) -> container.NodePoolAutoscalingArgs:
    # Scarce and spare machines are taken where there are any; others are spread.
    policy = "ANY" if pool.scarce or isinstance(pool.capacity, GkeSpot) else "BALANCED"
    if pool.bounds == "zone":
        return container.NodePoolAutoscalingArgs(
            min_node_count=pool.min_nodes, max_node_count=pool.max_nodes, location_policy=policy
        )
    return container.NodePoolAutoscalingArgs(
        total_min_node_count=pool.min_nodes, total_max_node_count=pool.max_nodes, location_policy=policy
    )


def _placement(pool: PoolPlan) -> container.NodePoolPlacementPolicyArgs | None:
    """Hosts of one TPU slice lie together; of a single host the machine type says everything."""
    if pool.slice is None or not pool.slice.multi_host:
        return None
    return container.NodePoolPlacementPolicyArgs(type="COMPACT", tpu_topology=pool.slice.topology)


def _reservation(pool: PoolPlan) -> container.NodePoolNodeConfigReservationAffinityArgs:
    if isinstance(pool.capacity, GkeReservation):
        return container.NodePoolNodeConfigReservationAffinityArgs(
            consume_reservation_type="SPECIFIC_RESERVATION",
            key="compute.googleapis.com/reservation-name",
            values=[pool.capacity.name],
        )
    # Others must not use up what was reserved for somebody else.
    return container.NodePoolNodeConfigReservationAffinityArgs(consume_reservation_type="NO_RESERVATION")


def _gpus(pool: PoolPlan) -> list[container.NodePoolNodeConfigGuestAcceleratorArgs] | None:
    if pool.gpu_type is None:
        return None
    sharing = pool.sharing
    return [
        container.NodePoolNodeConfigGuestAcceleratorArgs(
            type=pool.gpu_type,
            count=pool.machine.accelerator_count,
            gpu_driver_installation_config=(
                container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(
                    gpu_driver_version=pool.driver
                )
            ),
            gpu_partition_size=sharing.profile if sharing.kind == "mig" else None,
            gpu_sharing_config=(
                container.NodePoolNodeConfigGuestAcceleratorGpuSharingConfigArgs(
                    gpu_sharing_strategy="TIME_SHARING", max_shared_clients_per_gpu=sharing.replicas
                )
                if sharing.kind == "time-slicing"
                else None
            ),
        )
    ]
