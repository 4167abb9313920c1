"""Logs of a stack: which nodes write them, where the store's pods find room, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from components.audit.plan import NAME as COLLECTOR
from components.audit.plan import RECORD_BYTES, RECORDS_PORT, AuditPlan, receiver_url
from components.common.labels import selector_labels
from components.common.names import AGENTS_NAMESPACE
from components.common.problems import Problem, below
from components.common.quantities import format_bytes, format_millicores
from components.logging.plan import OPERATOR_NAMESPACE, LoggingPlan, TrailReceiver, plan_logging
from components.logging.settings import HotTier, Logging, WarmTier
from components.monitoring.durations import DAY
from components.operators.settings import EckChart
from stacks.clusters import ClusterPlan
from stacks.observability.access import access_logs
from stacks.placement import describe, excess, open_pools
from stacks.settings import Settings

SECTION: Final = "logging"
AUDIT_CONTAINER: Final = "collector"
"""Of the audit trail's pods: its lines are records and stay as they are."""


def plan_stack_logging(
    settings: Settings, cluster: ClusterPlan, images: Mapping[str, str], *, audit: AuditPlan | None
) -> tuple[LoggingPlan | None, list[Problem]]:
    """The plan, or None where the section is absent; problems with the paths of the whole file.

    :param audit: None where its section is absent, or its problems have been found already.
    """
    section = settings.logging
    if section is None:
        return None, []
    trail = audit.settings if audit is not None else None
    plan, problems = plan_logging(
        section,
        nodes=cluster.nodes,
        images=images,
        protect=settings.data_protection == "protected",
        operator_namespace=_operator_namespace(settings),
        trail_retention=trail.retention_days * DAY if trail else 0,
        trail_per_day=_printed_per_day(audit),
        access=access_logs(settings, cluster),
        unmasked=((AGENTS_NAMESPACE, AUDIT_CONTAINER),) if trail else (),
        readers=_readers(settings),
        trail=_receiver(audit),
    )
    problems += [*_namespace(settings, section), *_room(section, cluster)]
    return (None if problems else plan), list(below(SECTION, problems))


def _printed_per_day(audit: AuditPlan | None) -> int:
    """Bytes of records that collectors print for the log store; a receiver has them from there."""
    if audit is None or audit.sender is not None:
        return 0
    return audit.settings.records_per_day * audit.settings.collectors * RECORD_BYTES


def _receiver(audit: AuditPlan | None) -> TrailReceiver | None:
    if audit is None or audit.sender is None:
        return None
    return TrailReceiver(
        namespace=AGENTS_NAMESPACE,
        pod_labels=selector_labels(COLLECTOR, "audit"),
        port=RECORDS_PORT,
        url=receiver_url(AGENTS_NAMESPACE),
    )


def _operator_namespace(settings: Settings) -> str:
    eck = settings.operators.eck if settings.operators else None
    return eck.namespace if isinstance(eck, EckChart) else OPERATOR_NAMESPACE


def _readers(settings: Settings) -> tuple[str, ...]:
    """Grafana's namespace, where it has credentials of the store."""
    monitoring = settings.monitoring
    grafana = monitoring.grafana if monitoring else None
    return (monitoring.namespace,) if monitoring and grafana and grafana.log_store else ()


def _namespace(settings: Settings, section: Logging) -> Iterator[Problem]:
    others = {
        settings.tenant.namespace: "the tenant's",
        AGENTS_NAMESPACE: "that of the nodes' agents",
        **({settings.monitoring.namespace: "monitoring's"} if settings.monitoring else {}),
    }
    if (owner := others.get(section.namespace)) is not None:
        yield Problem("namespace", f"{section.namespace!r}: is {owner}; choose one of its own")


def _room(section: Logging, cluster: ClusterPlan) -> Iterator[Problem]:
    """Elasticsearch has each node on a machine of its own."""
    elasticsearch = section.elasticsearch
    tiers: list[tuple[str, HotTier | WarmTier]] = [("hot", elasticsearch.hot)]
    if elasticsearch.warm is not None:
        tiers.append(("warm", elasticsearch.warm))
    pools = open_pools(cluster.pools)
    for path, tier in tiers if cluster.pools else ():
        amounts = {"cpu": tier.cpu, "memory": tier.memory}
        fitting = sum(pool.max_nodes for pool in pools if not excess(amounts, pool))
        if tier.nodes > fitting:
            offered = "; ".join(f"{pool.max_nodes} of {pool.name} ({describe(pool)})" for pool in pools)
            yield Problem(
                f"elasticsearch.{path}.nodes",
                f"{tier.nodes}: with {format_millicores(tier.cpu)} CPU and {format_bytes(tier.memory)} each, "
                f"{fitting} find a node of their own; without taints there are {offered or 'none'}; lower "
                f"elasticsearch.{path}.cpu or memory, or add larger nodes",
            )
    machines = sum(pool.max_nodes for pool in pools) if cluster.pools else cluster.nodes
    wanted = sum(tier.nodes for _, tier in tiers)
    if wanted > machines:
        yield Problem(
            "elasticsearch.hot.nodes",
            f"{elasticsearch.hot.nodes}: Elasticsearch wants {wanted} nodes, each on a machine of its own, "
            f"and {machines} take any pod; lower it, or add nodes without taints",
        )
