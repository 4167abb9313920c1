"""The EksPlatform component: everything in the account that one cluster consists of."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.eks.identity import PodIdentitySpec
from components.eks.plan import EksPlan


@dataclass(frozen=True)
class EksPlatformArgs:
    """Inputs of an EksPlatform."""

    plan: EksPlan
    identities: tuple[PodIdentitySpec, ...] = ()
    """Service accounts that get a role of their own."""
    buckets: tuple[str, ...] = ()
    """Names of the buckets that the S3 endpoint lets through, besides what nodes need to start."""


class EksPlatform(pulumi.ComponentResource):
    """Network, keys, cluster, node pools, add-ons, pod identities and the shared file system."""

    name: pulumi.Output[str]
    """Name of the cluster; known in a preview."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig that asks `aws eks get-token` for credentials."""
    file_system_id: pulumi.Output[str]
    """File system of storage class `shared`."""

    def __init__(self, name: str, args: EksPlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:EksPlatform", name, None, opts)
        raise NotImplementedError(args)
