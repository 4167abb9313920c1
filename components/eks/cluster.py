"""The control plane: EKS cluster, who administers it, and its logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.outputs import known_after
from components.eks.arns import account_of, cluster_access_policy
from components.eks.settings import EksCluster

LOG_TYPES: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
"""All that there are (EKS LogType)."""
ADMIN_POLICY: Final = "AmazonEKSClusterAdminPolicy"
"""EKS access policy, equal to Kubernetes' cluster-admin."""


def control_plane_log_group(cluster: str) -> str:
    """Log group that EKS writes to."""
    return f"/aws/eks/{cluster}/cluster"


def kubeconfig(name: str, region: str, endpoint: str, certificate_authority: str) -> str:
    """Kubeconfig without credentials: `aws eks get-token` gets them when they are needed."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {"server": endpoint, "certificate-authority-data": certificate_authority},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1beta1",
                            "command": "aws",
                            "args": ["eks", "get-token", "--cluster-name", name, "--region", region],
                            "interactiveMode": "Never",
                        }
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


@dataclass(frozen=True)
class ControlPlaneArgs:
    """Inputs of a ControlPlane."""

    cluster: EksCluster
    role_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    secrets_key: pulumi.Input[str]
    """ARN of the key for Kubernetes secrets."""
    logs_key: pulumi.Input[str]
    """ARN of the key for the log group."""
    protect: bool


class ControlPlane(pulumi.ComponentResource):
    """EKS cluster that nobody reaches but the VPC, its named peers, and named public ranges if any."""

    name: pulumi.Output[str]
    """Known in a preview."""
    endpoint: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:ControlPlane", name, None, opts)
        settings, account = args.cluster, account_of(args.cluster)
        kept = pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect)
        # Made before EKS does it, without encryption and for ever.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=control_plane_log_group(settings.name),
            retention_in_days=settings.log_retention_days,
            kms_key_id=args.logs_key,
            deletion_protection_enabled=args.protect,
            opts=kept,
        )
        public = [str(cidr) for cidr in settings.api.public_cidrs]
        cluster = aws.eks.Cluster(
            name,
            name=settings.name,
            version=settings.version,
            role_arn=args.role_arn,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=args.subnet_ids,
                security_group_ids=[args.security_group_id],
                endpoint_private_access=True,
                endpoint_public_access=bool(public),
                public_access_cidrs=public or None,
            ),
            kubernetes_network_config=aws.eks.ClusterKubernetesNetworkConfigArgs(
                ip_family="ipv4", service_ipv4_cidr=str(settings.network.service_cidr)
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            # The add-ons are managed, each in its pinned version.
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=LOG_TYPES,
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=args.secrets_key),
                resources=["secrets"],
            ),
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type=settings.support_type),
            deletion_protection=args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=[logs]),
        )
        self.name = known_after(settings.name, cluster)
        self.endpoint = cluster.endpoint
        admissions = [
            self._administrator(name, role, cluster_access_policy(account, ADMIN_POLICY))
            for role in settings.admin_role_arns
        ]
        # Whoever uses it has to be let in first.
        self.kubeconfig = pulumi.Output.all(
            cluster.endpoint, cluster.certificate_authority.data, *[item.id for item in admissions]
        ).apply(lambda known: kubeconfig(settings.name, settings.region, known[0], known[1]))
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})

    def _administrator(self, name: str, role: str, policy: str) -> aws.eks.AccessPolicyAssociation:
        short = role.rsplit("/", 1)[-1]
        child = pulumi.ResourceOptions(parent=self)
        entry = aws.eks.AccessEntry(
            f"{name}-admin-{short}", cluster_name=self.name, principal_arn=role, type="STANDARD", opts=child
        )
        return aws.eks.AccessPolicyAssociation(
            f"{name}-admin-{short}",
            cluster_name=self.name,
            principal_arn=known_after(role, entry),
            policy_arn=policy,
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=child,
        )
