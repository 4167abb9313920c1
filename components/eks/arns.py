"""Names of AWS resources that the settings decide, so that a plan knows them without asking AWS."""

from __future__ import annotations

from components.common.accounts import AwsAccount
from components.eks.settings import EksCluster


def account_of(settings: EksCluster) -> AwsAccount:
    """The account and region of a cluster."""
    return AwsAccount(partition=settings.partition, account_id=settings.account_id, region=settings.region)


def arn(account: AwsAccount, service: str, resource: str) -> str:
    """ARN of a regional resource of the account."""
    return f"arn:{account.partition}:{service}:{account.region}:{account.account_id}:{resource}"


def role_arn(account: AwsAccount, name: str) -> str:
    """ARN of a role of the account. IAM knows no regions."""
    return f"arn:{account.partition}:iam::{account.account_id}:role/{name}"


def cluster_arn(settings: EksCluster) -> str:
    """ARN of the cluster."""
    return arn(account_of(settings), "eks", f"cluster/{settings.name}")


def managed_policy(account: AwsAccount, name: str) -> str:
    """ARN of a policy that AWS maintains, e.g. `AmazonEKSClusterPolicy`."""
    return f"arn:{account.partition}:iam::aws:policy/{name}"


def cluster_access_policy(account: AwsAccount, name: str) -> str:
    """ARN of an EKS access policy, e.g. `AmazonEKSClusterAdminPolicy`."""
    return f"arn:{account.partition}:eks::aws:cluster-access-policy/{name}"
