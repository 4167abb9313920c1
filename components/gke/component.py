"""The GkePlatform component: everything in the project that one cluster consists of."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.common.outputs import known_after
from components.gke.control_plane import GkeControlPlane, GkeControlPlaneArgs
from components.gke.keys import GkeKeys, GkeKeysArgs
from components.gke.network import GkeNetwork, GkeNetworkArgs
from components.gke.node_identity import GkeNodeIdentity, GkeNodeIdentityArgs
from components.gke.node_pools import GkeNodePools, GkeNodePoolsArgs
from components.gke.plan import GkePlan


@dataclass(frozen=True)
class GkePlatformArgs:
    """Inputs of a GkePlatform."""

    plan: GkePlan


class GkePlatform(pulumi.ComponentResource):
    """Network, keys, nodes' service account, control plane and node pools.

    Needs the provider of Google Cloud for the project.
    """

    name: pulumi.Output[str]
    """Name of the cluster, once it has nodes; known in a preview."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig that asks `gke-gcloud-auth-plugin` for credentials: no secret is in it."""
    node_service_account: pulumi.Output[str]
    """Address of the nodes' service account: what pulls images."""
    disks_key: pulumi.Output[str]
    """Key of persistent disks."""
    shared_storage_key: pulumi.Output[str] | None
    """Key of shared file systems; None where their tier takes none."""

    def __init__(self, name: str, args: GkePlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:gke:GkePlatform", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        network = GkeNetwork(f"{name}-network", GkeNetworkArgs(plan), child)
        keys = GkeKeys(f"{name}-keys", GkeKeysArgs(plan), child)
        identity = GkeNodeIdentity(f"{name}-nodes", GkeNodeIdentityArgs(plan), child)
        control_plane = GkeControlPlane(
            f"{name}-control-plane",
            GkeControlPlaneArgs(
                plan,
                network=network.ready,
                subnetwork=network.subnetwork,
                secrets_key=keys.secrets,
                disks_key=keys.disks,
                service_account=identity.email,
            ),
            child,
        )
        pools = GkeNodePools(
            f"{name}-pools",
            GkeNodePoolsArgs(
                plan, cluster=control_plane.name, disks_key=keys.disks, service_account=identity.email
            ),
            child,
        )
        self.name = known_after(plan.settings.name, *pools.pools)
        self.kubeconfig = control_plane.kubeconfig
        self.node_service_account = identity.email
        self.disks_key = keys.disks
        self.shared_storage_key = keys.files
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})
