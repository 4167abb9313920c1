"""From the cluster section to what is built: pure functions, every problem collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from components.accelerators.shapes import NodePoolShape, Sharing
from components.common.problems import Problem, below
from components.eks.cidr import ZoneSubnets, plan_subnets, range_problems, usable_addresses
from components.eks.offerings import load_offerings
from components.eks.pools import NodeGroupPlan, PoolPlan, plan_pool, plan_system_pool
from components.eks.services import ENDPOINT_SERVICES
from components.eks.settings import EksCluster

POD_IDENTITY: Final = ("169.254.170.23/32", 80)
"""Where the EKS Pod Identity Agent answers on each node (IPv4), and on which TCP port."""
MIN_AUDIT_RETENTION_DAYS: Final = 200
"""Six calendar months can be 184 days; the rest is for whoever notices late."""


@dataclass(frozen=True)
class EksPlan:
    """Everything that the platform on EKS is built from, checked."""

    settings: EksCluster
    protect: bool
    """Whether what holds data is kept from deletion."""
    subnets: tuple[ZoneSubnets, ...]
    """By zone, in the order of the settings."""
    node_groups: tuple[NodeGroupPlan, ...]
    """System pool first."""
    pools: tuple[NodePoolShape, ...]
    """What the scheduler finds, one for each pool of the settings: the system pool first."""
    gpu_sharings: tuple[Sharing, ...]
    """All ways in which GPUs are shared."""

    @property
    def interface_endpoints(self) -> int:
        """Number of interface endpoints, each of them in each zone; AWS charges by the pair."""
        return len(ENDPOINT_SERVICES) * len(self.subnets)

    @property
    def nat_gateways(self) -> int:
        """Number of NAT gateways."""
        nat = self.settings.network.nat
        if nat is None:
            return 0
        return 1 if nat.gateways == "single" else len(self.subnets)

    @property
    def object_storage_cidrs(self) -> tuple[str, ...]:
        """Where pods reach S3, TCP 443: the subnets of the interface endpoints."""
        return tuple(str(zone.endpoints) for zone in self.subnets)

    @property
    def identity_endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where pods get the credentials of their role: network and TCP port."""
        return (POD_IDENTITY,)


def plan_eks(settings: EksCluster, *, protect: bool) -> tuple[EksPlan | None, list[Problem]]:
    """The plan, or None with every problem; paths are relative to the cluster section."""
    problems = [
        *_place_problems(settings),
        *_role_problems(settings),
        *_tag_problems(settings),
        *_version_problems(settings),
        *range_problems(settings.network, settings.api),
    ]
    names = Counter(pool.name for pool in settings.node_pools)
    system, found = plan_system_pool(settings)
    problems += found
    pools = [system] if system else []
    offerings = load_offerings()
    for index, pool in enumerate(settings.node_pools):
        planned, found = plan_pool(settings, pool, offerings)
        if names[pool.name] > 1 and [other.name for other in settings.node_pools].index(pool.name) != index:
            found.append(Problem("name", f"{pool.name!r}: another pool has it already; choose another"))
        problems += below(f"nodePools[{index}]", found)
        if planned is not None:
            pools.append(planned)
    if problems:
        return None, problems
    network = settings.network
    subnets = plan_subnets(
        network.cidr, network.zones, public=network.public_subnets or network.nat is not None
    )
    if problems := list(_room_problems(subnets, pools)):
        return None, problems
    return (
        EksPlan(
            settings=settings,
            protect=protect,
            subnets=subnets,
            node_groups=tuple(group for pool in pools for group in pool.groups),
            pools=tuple(pool.shape for pool in pools),
            gpu_sharings=tuple(
                dict.fromkeys(pool.sharing for pool in pools if pool.shape.accelerator is not None)
            ),
        ),
        [],
    )


def _place_problems(settings: EksCluster) -> Iterator[Problem]:
    region, network = settings.region, settings.network
    if region.startswith("cn-"):
        yield Problem(
            "region", f"{region!r}: AWS China has other names and rules throughout; choose another region"
        )
    for index, zone in enumerate(network.zones):
        if zone[:-1] != region:
            yield Problem(
                f"network.zones[{index}]", f"{zone!r}: not of region {region}; choose one of its zones"
            )
        if network.zones.index(zone) != index:
            yield Problem(f"network.zones[{index}]", f"{zone!r}: listed twice; remove one")
    for zone in network.zone_ids:
        if zone not in network.zones:
            yield Problem(
                f"network.zoneIds.{zone}", "not among network.zones; remove it or add the zone there"
            )
    if len(set(network.zone_ids.values())) != len(network.zone_ids):
        yield Problem("network.zoneIds", "two zones have the same id; correct them")


def _tag_problems(settings: EksCluster) -> Iterator[Problem]:
    for key in settings.tags:
        if key.lower().startswith("aws:") or key == "Name":
            yield Problem(f"tags.{key}", "set by AWS or the platform; choose another key")


def _role_problems(settings: EksCluster) -> Iterator[Problem]:
    if not settings.key_administrators:
        yield Problem(
            "keyAdministrators",
            "[]: a key without an owner can be neither changed nor deleted; name the role that runs "
            "`pulumi up`",
        )
    for key, roles in (
        ("keyAdministrators", settings.key_administrators),
        ("adminRoleArns", settings.admin_role_arns),
    ):
        for index, role in enumerate(roles):
            account = role.split(":")[4]
            if account != settings.account_id:
                yield Problem(
                    f"{key}[{index}]",
                    f"{role!r}: not of accountId {settings.account_id}, but of {account}; name one that is",
                )
            if roles.index(role) != index:
                yield Problem(f"{key}[{index}]", f"{role!r}: listed twice; remove one")


def _version_problems(settings: EksCluster) -> Iterator[Problem]:
    proxy = settings.addons.kube_proxy
    if not proxy.startswith(f"v{settings.version}."):
        yield Problem(
            "addons.kubeProxy",
            f"{proxy!r}: the cluster is {settings.version}, and kube-proxy must be of the same minor "
            "version; change one of them",
        )
    if settings.log_retention_days < MIN_AUDIT_RETENTION_DAYS:
        yield Problem(
            "logRetentionDays",
            f"{settings.log_retention_days}: the audit log must outlast half a year; write 365 or more",
        )


def _room_problems(subnets: Sequence[ZoneSubnets], pools: Sequence[PoolPlan]) -> Iterator[Problem]:
    """Subnets that are too small for all the nodes and pods that the pools may have."""
    for zone in subnets:
        needed = sum(pool.nodes_per_zone.get(zone.zone, 0) * pool.addresses_per_node for pool in pools)
        usable = usable_addresses(zone.nodes)
        if needed > usable:
            yield Problem(
                "network.cidr",
                f"{zone.nodes} for the nodes of {zone.zone} has {usable} addresses, the pools may need "
                f"{needed}; choose a wider range, or lower maxNodes or maxPods of the pools",
            )
            return
