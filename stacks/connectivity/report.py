"""The matrix for reviewers: who reaches whom, sources down and targets across."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.eks.plan import EksPlan
from components.gke.plan import GkePlan
from components.onprem.plan import OnpremPlan
from stacks.connectivity.cluster import Cluster
from stacks.connectivity.matrix import Row, rows
from stacks.connectivity.objects import Object
from stacks.connectivity.policies import PROTOCOLS
from stacks.connectivity.surroundings import Surroundings
from stacks.plan import PlatformPlan


@dataclass(frozen=True)
class Connectivity:
    """Who reaches whom."""

    heading: tuple[str, ...]
    """Between the corner and the last column the numbers of those that somebody reaches."""
    grid: tuple[tuple[str, ...], ...]
    """For each endpoint its number, the ports that it reaches of each of the heading, and its name. Endpoints
    that reach and are reached alike share a row; those without any traffic have none."""
    sentences: tuple[str, ...]
    """What the grid leaves out."""
    rows: tuple[Row, ...]
    """Everything that gets through, endpoint by endpoint."""
    not_isolated: tuple[str, ...]
    """Workloads that no policy applies to, with the direction."""


def objects_of(resources: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Object]:
    """Kubernetes objects from names and inputs of Pulumi's resources; names that the engine will make up are
    the resources' own."""
    return [
        {**inputs, "metadata": {"name": name, **(inputs.get("metadata") or {})}}
        for name, inputs in resources
        if isinstance(inputs.get("kind"), str)
    ]


def connectivity(
    resources: Iterable[tuple[str, Mapping[str, Any]]], plan: PlatformPlan | None
) -> Connectivity:
    """The report on a stack's Kubernetes resources, given by name and inputs; the plan knows the networks."""
    return report(Cluster(objects_of(resources), surroundings_of(plan) if plan else None))


def surroundings_of(plan: PlatformPlan) -> Surroundings:
    """What a plan knows of its cluster's networks."""
    services: dict[str, tuple[str, ...]] = {}
    if storage := plan.cluster.object_storage:
        services["object storage and cloud APIs"] = storage.cidrs
        # Where the metadata service itself hands out credentials, it keeps its own name.
        identity = tuple(
            cidr for cidr, _ in storage.identity_endpoints if not cidr.startswith("169.254.169.")
        )
        if identity:
            services["pod identity agent"] = identity
    match plan.cluster.below:
        case EksPlan() as eks:
            api = (
                f"{eks.settings.network.service_cidr[1]}/32",
                *(str(zone.control_plane) for zone in eks.subnets),
            )
            nodes = tuple(str(zone.nodes) for zone in eks.subnets)
            # Nodes and pods share the subnets.
            return Surroundings(pods=nodes, nodes=nodes, kubernetes_api=api, services=services)
        case GkePlan() as gke:
            return Surroundings(pods=(str(gke.settings.network.pod_cidr),), services=services)
        case OnpremPlan() as onprem:
            hosts = onprem.settings.hosts
            return Surroundings(
                pods=(str(hosts.pod_cidr),) if hosts else (),
                # Only the proxies use their node's network.
                nodes=onprem.entry_cidrs,
                services=services,
            )
        case _:
            return Surroundings(services=services)


def report(cluster: Cluster) -> Connectivity:
    """The report on a cluster."""
    found = rows(cluster)
    cells = _cells(found)
    groups = _alike(cluster, cells)
    not_isolated = tuple(
        f"{endpoint} ({direction})"
        for endpoint in cluster.objects.workloads
        for direction in ("ingress", "egress")
        if endpoint.isolatable and not cluster.isolated(endpoint, direction)
    )
    reached = [group for group in groups if any((source[0], group[0]) in cells for source in groups)]
    number = {group[0]: str(position) for position, group in enumerate(groups, 1)}
    return Connectivity(
        heading=("from \\ to", *(number[group[0]] for group in reached), "who"),
        grid=tuple(
            (
                number[group[0]],
                *(cells.get((group[0], target[0]), "—") for target in reached),
                ", ".join(group),
            )
            for group in groups
        ),
        sentences=tuple(_sentences(cluster, cells, not_isolated)),
        rows=found,
        not_isolated=not_isolated,
    )


def _cells(found: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Ports by source and target: `8000`, `53/TCP+UDP`, `any`; TCP goes without saying."""
    protocols: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in found:
        if row.exempt:
            continue
        ports = f"{row.ports} (part)" if row.partly else row.ports
        protocols.setdefault((row.source, row.target), {}).setdefault(ports, []).append(row.protocol)
    return {
        pair: "; ".join(_with_protocols(ports, names) for ports, names in by_ports.items())
        for pair, by_ports in protocols.items()
    }


def _with_protocols(ports: str, protocols: Sequence[str]) -> str:
    if protocols == ["TCP"] or len(protocols) == len(PROTOCOLS):
        return f"{ports} TCP" if protocols == ["TCP"] and ports.startswith("any") else ports
    return f"{ports} {'+'.join(protocols)}"


def _alike(cluster: Cluster, cells: Mapping[tuple[str, str], str]) -> list[list[str]]:
    """Endpoints in their order, those together that reach and are reached alike; idle ones left out."""
    going: dict[str, set[tuple[str, str]]] = {}
    coming: dict[str, set[tuple[str, str]]] = {}
    for (source, target), ports in cells.items():
        going.setdefault(source, set()).add((target, ports))
        coming.setdefault(target, set()).add((source, ports))
    groups: dict[tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]], list[str]] = {}
    for name in map(str, cluster.endpoints):
        key = (frozenset(going.get(name, ())), frozenset(coming.get(name, ())))
        if key != (frozenset(), frozenset()):
            groups.setdefault(key, []).append(name)
    return list(groups.values())


def _sentences(
    cluster: Cluster, cells: Mapping[tuple[str, str], str], not_isolated: Sequence[str]
) -> Iterator[str]:
    workloads = [one for one in cluster.objects.workloads if one.isolatable]
    if not_isolated:
        yield f"NOT ISOLATED by any policy: {', '.join(not_isolated)}."
    elif workloads:
        yield f"Policies isolate all {len(workloads)} workloads in both directions."
    exempt = [str(one) for one in cluster.objects.workloads if one.host_network]
    if exempt:
        yield f"On their node's network, where policies do not apply: {', '.join(exempt)}."
    busy = {name for pair in cells for name in pair} | set(exempt)
    idle = [str(one) for one in cluster.endpoints if str(one) not in busy]
    if idle:
        yield f"Neither reach a workload nor are reached by one: {', '.join(idle)}."
    if any("(part)" in ports for ports in cells.values()):
        yield "(part): only some of the addresses that one of the ends may have."
