"""Whose cloud account something is planned for. Plain values: a plan asks no cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AwsAccount:
    """An AWS account in one region."""

    partition: str
    """`aws`, `aws-cn` or `aws-us-gov`."""
    account_id: str
    """12 digits."""
    region: str

    @property
    def root_arn(self) -> str:
        """The account itself, as policies name it."""
        return f"arn:{self.partition}:iam::{self.account_id}:root"

    @property
    def dns_suffix(self) -> str:
        """End of the host names of AWS services (`partitions.json` of botocore)."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    @property
    def ecr_host(self) -> str:
        """Host name of the account's container registry."""
        return f"{self.account_id}.dkr.ecr.{self.region}.{self.dns_suffix}"


@dataclass(frozen=True)
class GcpProject:
    """A Google Cloud project, and the region that is used of it."""

    project: str
    """Project id."""
    number: str
    """Project number."""
    region: str

    @property
    def artifact_registry_host(self) -> str:
        """Host name of the project's container registry in the region."""
        return f"{self.region}-docker.pkg.dev"
