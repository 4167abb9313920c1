"""What a stack may cost a month, from its plan alone: before anything is registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from components.accelerators.catalogue import Cloud
from components.eks.keys import KEY_PURPOSES
from components.eks.plan import EksPlan
from components.gke.plan import GkePlan
from components.load_balancer.plan import EntryPlan
from components.object_storage.plan import BucketsPlan
from stacks.clusters import ClusterPlan
from stacks.cost.estimate import CostEstimate, PricedItem, PricedPool, estimate
from stacks.cost.prices import load_prices
from stacks.model_plan import ModelPlan
from stacks.settings import Settings
from stacks.settings.images import RegistryImages
from stacks.summary.pools import Pool, pools

_GB: Final = 10**9
"""What clouds bill storage by."""
_CONTROL_PLANE: Final[Mapping[Cloud, tuple[str, str]]] = {
    "aws": ("EKS control plane", "eks-control-plane"),
    "gcp": ("GKE control plane", "gke-control-plane"),
}
_KEYS: Final[Mapping[Cloud, tuple[str, str]]] = {
    "aws": ("KMS keys", "kms-key"),
    "gcp": ("Cloud KMS key versions", "kms-key-version"),
}
_LOAD_BALANCER: Final[Mapping[Cloud, str]] = {"aws": "network-load-balancer", "gcp": "forwarding-rule"}
_SHARED_STORAGE: Final[Mapping[Cloud, str]] = {"aws": "efs-standard", "gcp": "filestore"}
_OBJECT_STORAGE: Final[Mapping[Cloud, str]] = {"aws": "s3-standard", "gcp": "gcs-standard"}
