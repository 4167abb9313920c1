"""EKS Pod Identity: one role for each service account that needs anything of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.names import bounded_name
from components.common.outputs import known_after
from components.eks.arns import account_of, cluster_arn, role_arn
from components.eks.documents import Statement as Statement
from components.eks.documents import policy_document
from components.eks.settings import EksCluster

MAX_ROLE_NAME: Final = 64
"""Characters of a role's name (IAM CreateRole)."""


@dataclass(frozen=True)
class PodIdentitySpec:
    """A service account, and what its pods may do."""

    name: str
    """Short name of the workload; part of the role's name."""
    namespace: str
    service_account: str
    statements: Sequence[Statement]


@dataclass(frozen=True)
class PodIdentityArgs:
    """Inputs of a PodIdentity."""

    cluster: EksCluster
    cluster_name: pulumi.Input[str]
    """Name of the cluster, once it is there."""
    spec: PodIdentitySpec


class PodIdentity(pulumi.ComponentResource):
    """Role, policy and the association that gives them to the pods of one service account."""

    role_arn: pulumi.Output[str]
    """ARN of the role; known in a preview."""

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, spec = args.cluster, args.spec
        role_name = bounded_name(settings.name, spec.name, limit=MAX_ROLE_NAME)
        role = aws.iam.Role(
            f"{name}-role",
            name=role_name,
            description=f"Pods of {spec.namespace}/{spec.service_account} in cluster {settings.name}",
            assume_role_policy=pod_trust(settings, spec.namespace, spec.service_account),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-policy",
            name=spec.name,
            role=role.name,
            policy=policy_document(*spec.statements),
            opts=child,
        )
        # Pods that start once the association is there must find the permissions in place.
        arn = known_after(role_arn(account_of(settings), role_name), role, policy)
        aws.eks.PodIdentityAssociation(
            f"{name}-association",
            cluster_name=args.cluster_name,
            namespace=spec.namespace,
            service_account=spec.service_account,
            role_arn=arn,
            opts=child,
        )
        self.role_arn = arn
        self.register_outputs({"roleArn": arn})


def pod_trust(settings: EksCluster, namespace: str, service_account: str) -> str:
    """Trust policy for the pods of one service account of one cluster, by the session tags that EKS sets."""
    return policy_document(
        Statement(
            "AssumedByPods",
            ("sts:AssumeRole", "sts:TagSession"),
            principals={"Service": ("pods.eks.amazonaws.com",)},
            conditions={
                "StringEquals": {
                    "aws:SourceAccount": settings.account_id,
                    "aws:RequestTag/eks-cluster-arn": cluster_arn(settings),
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        )
    )
