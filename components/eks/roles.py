"""IAM roles of the cluster itself: control plane, nodes, and the EKS add-ons that act on AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pulumi
import pulumi_aws as aws

from components.common.names import bounded_name
from components.common.outputs import known_after
from components.eks.arns import account_of, cluster_arn, managed_policy, role_arn
from components.eks.documents import service_trust
from components.eks.identity import MAX_ROLE_NAME, pod_trust
from components.eks.settings import EksCluster

Purpose = Literal["cluster", "node", "vpc-cni", "ebs-csi", "efs-csi"]

ADD_ON_SERVICE_ACCOUNTS: Final[dict[Purpose, str]] = {
    "vpc-cni": "aws-node",
    "ebs-csi": "ebs-csi-controller-sa",
    "efs-csi": "efs-csi-controller-sa",
}
"""Service accounts in kube-system under which the add-ons call AWS."""
# Of AWS, because they follow what new versions of control plane, nodes and drivers call.
_POLICIES: Final[dict[Purpose, Sequence[str]]] = {
    "cluster": ("AmazonEKSClusterPolicy",),
    "node": ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"),
    "vpc-cni": ("AmazonEKS_CNI_Policy",),
    "ebs-csi": ("service-role/AmazonEBSCSIDriverPolicy",),
    "efs-csi": ("service-role/AmazonEFSCSIDriverPolicy",),
}


@dataclass(frozen=True)
class RoleNames:
    """Names of the roles, which the settings decide."""

    cluster: EksCluster

    def name(self, purpose: Purpose) -> str:
        """Name of a role."""
        return bounded_name(self.cluster.name, purpose, limit=MAX_ROLE_NAME)

    def arn(self, purpose: Purpose) -> str:
        """ARN of a role."""
        return role_arn(account_of(self.cluster), self.name(purpose))

    def trust(self, purpose: Purpose) -> str:
        """Who takes on a role."""
        if purpose == "cluster":
            return service_trust("eks.amazonaws.com", self.cluster.account_id, cluster_arn(self.cluster))
        if purpose == "node":
            return service_trust("ec2.amazonaws.com", self.cluster.account_id)
        return pod_trust(self.cluster, "kube-system", ADD_ON_SERVICE_ACCOUNTS[purpose])


@dataclass(frozen=True)
class RolesArgs:
    """Inputs of Roles."""

    cluster: EksCluster


class Roles(pulumi.ComponentResource):
    """The roles, each with the policies that AWS maintains for it."""

    names: RoleNames
    """Names and ARNs, plain."""

    def __init__(self, name: str, args: RolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:Roles", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = account_of(args.cluster)
        self.names = RoleNames(args.cluster)
        self._complete: dict[Purpose, pulumi.Output[str]] = {}
        for purpose, policies in _POLICIES.items():
            role = aws.iam.Role(
                f"{name}-{purpose}",
                name=self.names.name(purpose),
                description=f"{purpose} of cluster {args.cluster.name}",
                assume_role_policy=self.names.trust(purpose),
                opts=child,
            )
            attachments = [
                aws.iam.RolePolicyAttachment(
                    f"{name}-{purpose}-{policy.rsplit('/', 1)[-1]}",
                    role=role.name,
                    policy_arn=managed_policy(account, policy),
                    opts=child,
                )
                for policy in policies
            ]
            self._complete[purpose] = known_after(self.names.arn(purpose), role, *attachments)
        self.register_outputs({})

    def arn(self, purpose: Purpose) -> pulumi.Output[str]:
        """ARN of a role, for those who need it with its policies; known in a preview."""
        return self._complete[purpose]
