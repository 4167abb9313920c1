"""The services of AWS that nodes and pods reach over interface endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ACTION_PREFIXES: Final[Mapping[str, str]] = {
    "ec2": "ec2",
    "ecr.api": "ecr",
    "ecr.dkr": "ecr",
    "sts": "sts",
    "logs": "logs",
    "eks": "eks",
    "eks-auth": "eks-auth",
    "elasticloadbalancing": "elasticloadbalancing",
    "autoscaling": "autoscaling",
    "kms": "kms",
    "elasticfilesystem": "elasticfilesystem",
}
"""Name of the endpoint service, and the prefix of the service's IAM actions.

Nodes need ec2, ecr, s3, sts and eks to start (EKS user guide, private clusters); pod identities eks-auth; the
storage drivers ec2 and elasticfilesystem; the cluster autoscaler autoscaling and eks.
"""
STORAGE: Final = "s3"
"""The endpoint of S3, which also brings the layers of images from ECR."""
ENDPOINT_SERVICES: Final = (*ACTION_PREFIXES, STORAGE)
"""All of them."""
