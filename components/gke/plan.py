"""From the cluster section to what is built: pure functions, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from components.accelerators.shapes import NodePoolShape
from components.audit.settings import SHORTEST_RETENTION_DAYS
from components.common.labels import PART_OF
from components.common.problems import Problem
from components.common.quantities import GIB
from components.gke.addresses import (
    METADATA_ENDPOINTS,
    RESTRICTED_APIS,
    AddressPlan,
    EgressRule,
    access_problems,
    capacity_problems,
    egress_rules,
    plan_addresses,
)
from components.gke.pools import PoolPlan, plan_pools
from components.gke.settings import FilestoreTier, GkeCluster, GkeMaintenance
from components.gke.workload_identity import principal

SHARED_STORAGE_CLASS: Final = "shared"
FILESTORE_MINIMUM: Final[Mapping[FilestoreTier, int]] = {
    "standard": 1024 * GIB,
    "premium": 2560 * GIB,
    "zonal": 1024 * GIB,
    "enterprise": 1024 * GIB,
}
"""Smallest volume of each tier, in bytes; https://cloud.google.com/filestore/docs/service-tiers."""
FILESTORE_CMEK: Final[frozenset[FilestoreTier]] = frozenset({"zonal", "enterprise"})
"""Tiers that take a key of one's own; https://cloud.google.com/filestore/docs/cmek."""
MAINTENANCE_HOURS: Final = 48
"""That GKE needs in any 32 days;
https://cloud.google.com/kubernetes-engine/docs/concepts/maintenance-windows-and-exclusions."""


@dataclass(frozen=True)
class GkePlan:
    """Everything that the platform on GKE is built from, checked."""

    settings: GkeCluster
    protect: bool
    """Whether what holds data is kept from deletion."""
    addresses: AddressPlan
    node_pools: tuple[PoolPlan, ...]
    """The system pool first."""

    @property
    def pools(self) -> tuple[NodePoolShape, ...]:
        """What the scheduler finds: the system pool first."""
        return tuple(pool.shape for pool in self.node_pools)

    @property
    def node_tag(self) -> str:
        """Network tag of the nodes: what the firewall lets out."""
        return f"{self.settings.name}-node"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of all cloud resources that take any."""
        return {**self.settings.labels, "part-of": PART_OF, "managed-by": "pulumi"}

    @property
    def object_storage_cidrs(self) -> tuple[str, ...]:
        """Where pods reach Cloud Storage and the other APIs of Google, TCP 443."""
        return (str(RESTRICTED_APIS),)

    @property
    def identity_endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where pods get the credentials of their service account: range and TCP port."""
        return METADATA_ENDPOINTS

    @property
    def identity_cidrs(self) -> tuple[str, ...]:
        """The ranges of `identity_endpoints`."""
        return tuple(cidr for cidr, _ in self.identity_endpoints)

    @property
    def egress_cidrs(self) -> tuple[str, ...]:
        """What a pod that reads from object storage has to reach."""
        return (*self.object_storage_cidrs, *self.identity_cidrs)

    @property
    def egress_rules(self) -> tuple[EgressRule, ...]:
        """What may leave the nodes at all."""
        return egress_rules(self.addresses, self.settings.network)

    @property
    def shared_storage_minimum(self) -> int:
        """Bytes of the smallest volume of storage class `shared`."""
        return FILESTORE_MINIMUM[self.settings.shared_storage.tier]

    @property
    def shared_storage_encrypted(self) -> bool:
        """Whether those volumes are encrypted with the cluster's own key, not one of Google's."""
        return self.settings.shared_storage.tier in FILESTORE_CMEK

    def workload_principal(self, namespace: str, service_account: str) -> str:
        """IAM's name of a Kubernetes service account of the cluster."""
        return principal(self.settings.project, self.settings.project_number, namespace, service_account)


def plan_gke(settings: GkeCluster, *, protect: bool) -> tuple[GkePlan | None, list[Problem]]:
    """The plan, or None with every problem; paths are relative to the cluster section."""
    addresses, problems = plan_addresses(settings.network)
    problems.extend(access_problems(settings.network, settings.api))
    problems.extend(_zone_problems(settings))
    problems.extend(_version_problems(settings))
    problems.extend(_maintenance_problems(settings.maintenance))
    problems.extend(_log_problems(settings))
    pools, pool_problems = plan_pools(settings)
    problems.extend(pool_problems)
    if problems or addresses is None:
        return None, problems
    problems.extend(capacity_problems(addresses, _most_nodes(pools), settings.max_pods_per_node))
    if problems:
        return None, problems
    return GkePlan(settings, protect, addresses, pools), []


def _most_nodes(pools: tuple[PoolPlan, ...]) -> int:
    """Nodes that there can be at once: all pools full, each in a surge, and the largest being replaced."""
    full = sum(pool.shape.max_nodes + pool.max_surge for pool in pools)
    return full + max(pool.shape.max_nodes for pool in pools)


def _log_problems(settings: GkeCluster) -> Iterator[Problem]:
    days = settings.log_retention_days
    if days is not None and days < SHORTEST_RETENTION_DAYS:
        yield Problem(
            "logRetentionDays",
            f"{days}: the audit log must outlast half a year; write {SHORTEST_RETENTION_DAYS} or more, or "
            "null if the project's administrators see to it",
        )


def _zone_problems(settings: GkeCluster) -> Iterator[Problem]:
    zones = settings.network.zones
    for index, zone in enumerate(zones):
        if zone.rpartition("-")[0] != settings.region:
            yield Problem(
                f"network.zones[{index}]",
                f"{zone!r}: not in region {settings.region}; choose zones of it or another region",
            )
        elif zones.index(zone) != index:
            yield Problem(f"network.zones[{index}]", f"{zone!r}: given twice; remove one")


def _version_problems(settings: GkeCluster) -> Iterator[Problem]:
    if settings.release_channel == "UNSPECIFIED" and "-gke." not in (settings.version or ""):
        given = f"{settings.version!r}" if settings.version else "missing"
        yield Problem(
            "version",
            f"{given}: without a release channel it must be exact; write one of `gcloud container "
            "get-server-config`, such as 1.36.3-gke.1000000, or choose a releaseChannel",
        )


def _maintenance_problems(maintenance: GkeMaintenance) -> Iterator[Problem]:
    # Of 32 days in a row, four whole weeks are certain.
    hours = 4 * len(set(maintenance.days)) * maintenance.hours
    if hours < MAINTENANCE_HOURS:
        yield Problem(
            "maintenance.hours",
            f"{maintenance.hours}: on {', '.join(maintenance.days)} that is {hours} hours in four weeks, GKE "
            f"needs {MAINTENANCE_HOURS}; add days or hours",
        )
