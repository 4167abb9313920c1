"""The EksPlatform component: everything in the account that one cluster consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.common.outputs import known_after
from components.eks import managed_addons
from components.eks.autoscaler import autoscaler_identity
from components.eks.cluster import ControlPlane, ControlPlaneArgs, control_plane_log_group
from components.eks.endpoints import Endpoints, EndpointsArgs
from components.eks.file_system import SharedFileSystem, SharedFileSystemArgs
from components.eks.identity import PodIdentity, PodIdentityArgs, PodIdentitySpec
from components.eks.keys import EncryptionKeys, EncryptionKeysArgs
from components.eks.network import Network, NetworkArgs, flow_log_group
from components.eks.node_groups import NodeGroup, NodeGroupArgs
from components.eks.plan import EksPlan
from components.eks.roles import Roles, RolesArgs


@dataclass(frozen=True)
class EksPlatformArgs:
    """Inputs of an EksPlatform."""

    plan: EksPlan
    identities: Sequence[PodIdentitySpec] = ()
    """Service accounts that get a role of their own."""
    buckets: Sequence[str] = ()
    """Names of the buckets that the S3 endpoint lets through, besides what nodes need to start."""


class EksPlatform(pulumi.ComponentResource):
    """Network, keys, cluster, node pools, add-ons, pod identities and the shared file system."""

    name: pulumi.Output[str]
    """Name of the cluster, once it has nodes and add-ons; known in a preview."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig that asks `aws eks get-token` for credentials."""
    file_system_id: pulumi.Output[str]
    """File system of storage class `shared`."""

    def __init__(self, name: str, args: EksPlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:EksPlatform", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        plan, settings = args.plan, args.plan.settings

        roles = Roles(f"{name}-roles", RolesArgs(settings), child)
        keys = EncryptionKeys(
            f"{name}-keys",
            EncryptionKeysArgs(
                cluster=settings,
                roles=roles,
                log_groups=(control_plane_log_group(settings.name), flow_log_group(settings.name)),
                protect=plan.protect,
            ),
            child,
        )
        network = Network(f"{name}-network", NetworkArgs(plan=plan, logs_key=keys.logs), child)
        endpoints = Endpoints(
            f"{name}-endpoints",
            EndpointsArgs(
                cluster=settings,
                vpc_id=network.vpc_id,
                subnet_ids=list(network.endpoint_subnets.values()),
                security_group_id=network.endpoints_group,
                buckets=args.buckets,
            ),
            child,
        )
        files = SharedFileSystem(
            f"{name}-files",
            SharedFileSystemArgs(
                cluster=settings,
                subnets=network.endpoint_subnets,
                security_group_id=network.files_group,
                key=keys.files,
                protect=plan.protect,
            ),
            child,
        )
        control_plane = ControlPlane(
            f"{name}-control-plane",
            ControlPlaneArgs(
                cluster=settings,
                role_arn=roles.arn("cluster"),
                subnet_ids=list(network.control_plane_subnets.values()),
                security_group_id=network.control_plane_group,
                secrets_key=keys.secrets,
                logs_key=keys.logs,
                protect=plan.protect,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[network]),
        )
        versions = settings.addons
        first = managed_addons.before_nodes(
            f"{name}-addon", versions, control_plane.name, roles, pulumi.ResourceOptions(parent=self)
        )
        # The groups' components wait, not what is in them: the engine goes through a parent's dependencies
        # once, and through a resource's own once for every path to it (docs/decisions/0014).
        joinable = pulumi.ResourceOptions(parent=self, depends_on=[control_plane, endpoints, network, *first])
        groups = [
            NodeGroup(
                f"{name}-{group.name}",
                NodeGroupArgs(
                    cluster=settings,
                    cluster_name=control_plane.name,
                    group=group,
                    role_arn=roles.arn("node"),
                    subnets=network.node_subnets,
                    security_group_id=network.nodes_group,
                    volumes_key=keys.volumes,
                ),
                joinable,
            )
            for group in plan.node_groups
        ]
        system = groups[0]
        then = managed_addons.on_nodes(
            f"{name}-addon",
            versions,
            known_after(settings.name, system),
            roles,
            pulumi.ResourceOptions(parent=self),
        )
        identities = [
            PodIdentity(
                f"{name}-{spec.name}",
                PodIdentityArgs(cluster=settings, cluster_name=control_plane.name, spec=spec),
                child,
            )
            for spec in (autoscaler_identity(settings), *args.identities)
        ]
        self.name = known_after(settings.name, *groups, *then, *identities)
        self.kubeconfig = control_plane.kubeconfig
        self.file_system_id = files.file_system_id
        self.register_outputs(
            {"name": self.name, "kubeconfig": self.kubeconfig, "fileSystemId": self.file_system_id}
        )
