"""EKS add-ons: networking, DNS, identities and storage drivers that AWS builds and keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components.eks.roles import ADD_ON_SERVICE_ACCOUNTS, Purpose, Roles
from components.eks.settings import EksAddonVersions

VPC_CNI_CONFIGURATION: Final[Mapping[str, Any]] = {
    # Text, not a truth value: the add-on's schema wants it so.
    "enableNetworkPolicy": "true",
    "env": {
        # Addresses in prefixes of 16, one of them spare: the subnets are planned for that.
        "ENABLE_PREFIX_DELEGATION": "true",
        "WARM_PREFIX_TARGET": "1",
    },
}
"""NetworkPolicies are enforced, and nodes take addresses as the plan assumes."""


def before_nodes(
    name: str,
    versions: EksAddonVersions,
    cluster_name: pulumi.Input[str],
    roles: Roles,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Add-ons without which no node becomes ready."""
    return [
        _addon(name, "eks-pod-identity-agent", versions.eks_pod_identity_agent, cluster_name, opts),
        _addon(name, "kube-proxy", versions.kube_proxy, cluster_name, opts),
        _addon(
            name,
            "vpc-cni",
            versions.vpc_cni,
            cluster_name,
            opts,
            roles=(roles, "vpc-cni"),
            configuration=VPC_CNI_CONFIGURATION,
        ),
    ]


def on_nodes(
    name: str,
    versions: EksAddonVersions,
    cluster_name: pulumi.Input[str],
    roles: Roles,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Add-ons that are ready only once their pods run."""
    return [
        _addon(name, "coredns", versions.coredns, cluster_name, opts, configuration={"replicaCount": 3}),
        _addon(
            name,
            "aws-ebs-csi-driver",
            versions.aws_ebs_csi_driver,
            cluster_name,
            opts,
            roles=(roles, "ebs-csi"),
        ),
        _addon(
            name,
            "aws-efs-csi-driver",
            versions.aws_efs_csi_driver,
            cluster_name,
            opts,
            roles=(roles, "efs-csi"),
        ),
    ]


def _addon(
    name: str,
    addon: str,
    version: str,
    cluster_name: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    *,
    roles: tuple[Roles, Purpose] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> pulumi.Resource:
    associations = None
    if roles is not None:
        all_roles, purpose = roles
        associations = [
            aws.eks.AddonPodIdentityAssociationArgs(
                role_arn=all_roles.arn(purpose), service_account=ADD_ON_SERVICE_ACCOUNTS[purpose]
            )
        ]
    return aws.eks.Addon(
        f"{name}-{addon}",
        cluster_name=cluster_name,
        addon_name=addon,
        addon_version=version,
        configuration_values=json.dumps(configuration, sort_keys=True) if configuration else None,
        pod_identity_associations=associations,
        # What is written here holds, also over what somebody changed by hand.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=opts,
    )
