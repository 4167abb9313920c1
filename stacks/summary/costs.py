"""What a preview may cost a month: node pools from the plan, everything else from what is registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from components.accelerators.catalogue import Cloud
from stacks.cost.estimate import CostEstimate, PricedItem, PricedPool, estimate
from stacks.cost.prices import load_prices
from stacks.plan import PlatformPlan
from stacks.summary.events import Resource
from stacks.summary.pools import Pool, pools

_GB: Final = 10**9
"""What clouds bill storage by."""

_COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "aws:ec2/natGateway:NatGateway": ("NAT gateways", "nat-gateway"),
    "aws:eks/cluster:Cluster": ("EKS control plane", "eks-control-plane"),
    "aws:kms/key:Key": ("KMS keys", "kms-key"),
    "gcp:container/cluster:Cluster": ("GKE control plane", "gke-control-plane"),
    "gcp:kms/cryptoKey:CryptoKey": ("Cloud KMS key versions", "kms-key-version"),
}
"""Resources that cost by their number: what they are called, and their key in the price table."""

_LOAD_BALANCER: Final[Mapping[Cloud, str]] = {"aws": "network-load-balancer", "gcp": "forwarding-rule"}
_SHARED_STORAGE: Final[Mapping[Cloud, str]] = {"aws": "efs-standard", "gcp": "filestore"}
_OBJECT_STORAGE: Final[Mapping[Cloud, str]] = {"aws": "s3-standard", "gcp": "gcs-standard"}


def cost(plan: PlatformPlan, resources: Iterable[Resource]) -> CostEstimate | None:
    """The estimate; None outside the clouds. Data that moves is left out: nobody knows it beforehand."""
    planned = pools(plan.cluster)
    if not planned:
        return None
    kept = [one for one in resources if one.operation != "delete"]
    return estimate([_priced(pool) for pool in planned], list(_items(plan, planned, kept)), load_prices())


def _priced(pool: Pool) -> PricedPool:
    shape = pool.shape
    return PricedPool(
        shape.name, pool.cloud, pool.region, pool.machine, shape.min_nodes, shape.max_nodes, pool.capacity
    )


def _items(
    plan: PlatformPlan, planned: Sequence[Pool], resources: Sequence[Resource]
) -> Iterator[PricedItem]:
    cloud, region = planned[0].cloud, planned[0].region
    for token, (name, key) in _COUNTED.items():
        if number := sum(one.type == token for one in resources):
            yield PricedItem(name, cloud, region, key, number)
    if number := sum(_zones(one) for one in resources):
        yield PricedItem("VPC interface endpoints", cloud, region, "interface-endpoint", number)
    if number := sum(_is_load_balancer(one) for one in resources):
        yield PricedItem("Load balancer", cloud, region, _LOAD_BALANCER[cloud], number)
    yield from _disks(planned)
    stored = sum((model.model.storage.size for model in plan.models), 0)
    # What is stored is billed, not what may be.
    yield PricedItem("Model storage of the cluster", cloud, region, _SHARED_STORAGE[cloud], 0, _gb(stored))
    if plan.buckets is not None:
        weights = sum(model.weights_bytes for model in plan.models)
        yield PricedItem("Weights in the model bucket", cloud, region, _OBJECT_STORAGE[cloud], _gb(weights))


def _disks(planned: Sequence[Pool]) -> Iterator[PricedItem]:
    """Boot disks of all nodes, by kind."""
    for key in sorted({pool.disk_price for pool in planned}):
        alike = [pool for pool in planned if pool.disk_price == key]
        least = sum(pool.disk * pool.shape.min_nodes for pool in alike)
        most = sum(pool.disk * pool.shape.max_nodes for pool in alike)
        yield PricedItem(f"Node disks, {key}", alike[0].cloud, alike[0].region, key, _gb(least), _gb(most))


def _gb(size: int) -> Decimal:
    return Decimal(round(size / _GB))


def _zones(resource: Resource) -> int:
    """Zones that an interface endpoint is in: it is billed in each."""
    if resource.type != "aws:ec2/vpcEndpoint:VpcEndpoint":
        return 0
    subnets: Any = resource.inputs.get("subnetIds")
    interface = resource.inputs.get("vpcEndpointType") == "Interface"
    return len(subnets) if interface and isinstance(subnets, list) else int(interface)


def _is_load_balancer(resource: Resource) -> bool:
    spec: Any = resource.inputs.get("spec")
    return (
        resource.type == "kubernetes:core/v1:Service"
        and isinstance(spec, Mapping)
        and spec.get("type") == "LoadBalancer"
    )
