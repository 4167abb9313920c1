"""What a stack may cost a month, from its plan alone: before anything is registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from components.accelerators.catalogue import Cloud
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
_EKS_KEYS: Final = 4
"""Of a cluster on EKS: secrets, logs, volumes, files (components/eks/keys.py)."""
_GKE_KEYS: Final = 2
"""Of a cluster on GKE: secrets, disks (components/gke/keys.py); a third one where files have their own."""
_BUCKET_KEYS: Final = 2
"""Models and audit have a key each (components/object_storage)."""


def planned_cost(
    settings: Settings,
    cluster: ClusterPlan,
    *,
    models: Sequence[ModelPlan],
    buckets: BucketsPlan | None,
    entry: EntryPlan | None,
) -> CostEstimate | None:
    """The estimate; None outside the clouds.

    Data that moves is left out: nobody knows it beforehand. So are volumes that workloads claim, but for the
    models' own.
    """
    planned = pools(cluster)
    if not planned:
        return None
    items = list(_items(settings, cluster, planned, models, buckets, entry))
    return estimate([_priced(pool) for pool in planned], items, load_prices())


def _priced(pool: Pool) -> PricedPool:
    shape = pool.shape
    return PricedPool(
        shape.name, pool.cloud, pool.region, pool.machine, shape.min_nodes, shape.max_nodes, pool.capacity
    )


def _items(
    settings: Settings,
    cluster: ClusterPlan,
    planned: Sequence[Pool],
    models: Sequence[ModelPlan],
    buckets: BucketsPlan | None,
    entry: EntryPlan | None,
) -> Iterator[PricedItem]:
    cloud, region = planned[0].cloud, planned[0].region

    def item(kind: tuple[str, str], number: Decimal | int, most: Decimal | int | None = None) -> PricedItem:
        return PricedItem(kind[0], cloud, region, kind[1], number, most)

    yield item(_CONTROL_PLANE[cloud], 1)
    yield item(_KEYS[cloud], _keys(settings, cluster, buckets))
    if isinstance(cluster.below, EksPlan):
        if cluster.below.nat_gateways:
            yield item(("NAT gateways", "nat-gateway"), cluster.below.nat_gateways)
        yield item(("VPC interface endpoints", "interface-endpoint"), cluster.below.interface_endpoints)
    if entry is not None:
        yield item(("Load balancer", _LOAD_BALANCER[cloud]), 1)
    for key in sorted({pool.disk_price for pool in planned}):
        alike = [pool for pool in planned if pool.disk_price == key]
        least = sum(pool.disk * pool.shape.min_nodes for pool in alike)
        most = sum(pool.disk * pool.shape.max_nodes for pool in alike)
        yield item((f"Node disks, {key}", key), _gb(least), _gb(most))
    # What is stored is billed, not what may be.
    stored = sum((model.model.storage.size for model in models), 0)
    yield item(("Model storage of the cluster", _SHARED_STORAGE[cloud]), 0, _gb(stored))
    if buckets is not None:
        weights = sum(model.weights_bytes for model in models)
        yield item(("Weights in the model bucket", _OBJECT_STORAGE[cloud]), _gb(weights))


def _keys(settings: Settings, cluster: ClusterPlan, buckets: BucketsPlan | None) -> int:
    number = _BUCKET_KEYS if buckets is not None else 0
    if isinstance(settings.images, RegistryImages) and settings.images.repositories is not None:
        number += 1
    if isinstance(cluster.below, GkePlan):
        return number + _GKE_KEYS + cluster.below.shared_storage_encrypted
    return number + _EKS_KEYS


def _gb(size: int) -> Decimal:
    return Decimal(round(size / _GB))
