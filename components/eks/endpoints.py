"""Interface endpoints: nodes and pods reach the services of AWS without any way to the internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.accounts import AwsAccount
from components.eks.arns import account_of
from components.eks.documents import Statement, policy_document
from components.eks.services import ACTION_PREFIXES, STORAGE
from components.eks.settings import EksCluster

_BUCKET_ACTIONS: Final = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
_OBJECT_ACTIONS: Final = (
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


def service_policy(account: AwsAccount, prefix: str) -> str:
    """Lets only the account's own identities through the endpoint, each within its own policies."""
    return policy_document(
        Statement(
            "OwnAccount",
            (f"{prefix}:*",),
            ("*",),
            {"StringEquals": {"aws:PrincipalAccount": account.account_id}},
            "*",
        )
    )


def storage_policy(account: AwsAccount, buckets: Sequence[str]) -> str:
    """Lets the account's own identities reach these buckets, and everybody the layers of images in ECR."""
    # Layers are fetched by links that ECR signs as itself (ECR user guide, Amazon S3 gateway endpoint).
    layers = f"arn:{account.partition}:s3:::prod-{account.region}-starport-layer-bucket/*"
    statements = [Statement("ImageLayers", ("s3:GetObject",), (layers,), principals="*")]
    if buckets:
        own = {"StringEquals": {"aws:PrincipalAccount": account.account_id}}
        arns = [f"arn:{account.partition}:s3:::{bucket}" for bucket in buckets]
        statements += [
            Statement("Buckets", _BUCKET_ACTIONS, arns, own, "*"),
            Statement("Objects", _OBJECT_ACTIONS, [f"{arn}/*" for arn in arns], own, "*"),
        ]
    return policy_document(*statements)


@dataclass(frozen=True)
class EndpointsArgs:
    """Inputs of Endpoints."""

    cluster: EksCluster
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """One in each zone."""
    security_group_id: pulumi.Input[str]
    buckets: Sequence[str]
    """Buckets that may be reached."""


class Endpoints(pulumi.ComponentResource):
    """One endpoint for each service, under the service's own name."""

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:Endpoints", name, None, opts)
        account = account_of(args.cluster)
        policies = {service: service_policy(account, prefix) for service, prefix in ACTION_PREFIXES.items()}
        policies[STORAGE] = storage_policy(account, args.buckets)
        for service, policy in policies.items():
            aws.ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc_id,
                vpc_endpoint_type="Interface",
                service_name=f"com.amazonaws.{account.region}.{service}",
                subnet_ids=args.subnet_ids,
                security_group_ids=[args.security_group_id],
                private_dns_enabled=True,
                # The other setting answers only resolvers outside the VPC, and needs a gateway endpoint.
                dns_options=aws.ec2.VpcEndpointDnsOptionsArgs(
                    private_dns_only_for_inbound_resolver_endpoint=False
                )
                if service == STORAGE
                else None,
                policy=policy,
                tags={"Name": f"{args.cluster.name}-{service}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
