"""The audit trail of a stack: which nodes have logs, and which pods' access lines are in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.audit.plan import METRICS_PORT, NAME, AuditPlan, Logs, Sender, plan_audit
from components.audit.settings import CONTROL_PLANE, Audit
from components.common.labels import NODE_POOL
from components.common.problems import Problem, below
from components.eks.plan import EksPlan
from components.gke.plan import GkePlan
from components.logging import eck
from components.logging.pipelines.access import GATEWAY, MODEL
from components.logging.plan import trail_client
from components.monitoring.stack import Scraped
from components.onprem.plan import OnpremPlan
from stacks.clusters import ClusterPlan
from stacks.observability.access import access_logs
from stacks.settings import Settings

SECTION = "audit"


def plan_stack_audit(
    settings: Settings, cluster: ClusterPlan, images: Mapping[str, str], *, bucket: str | None = None
) -> tuple[AuditPlan | None, list[Problem]]:
    """The plan of the trail, or None; problems with the paths of the whole file.

    :param bucket: the stack's own audit bucket, which publishers get a right to.
    """
    audit: Audit | None = settings.audit
    if audit is None:
        return None, []
    plan, problems = plan_audit(
        audit,
        images=images,
        logs=_logs(settings, cluster),
        protect=settings.data_protection == "protected",
        print_records=settings.logging is not None,
        scrape_interval=settings.monitoring.scrape_interval if settings.monitoring else None,
        managed_api_server=isinstance(cluster.below, EksPlan | GkePlan),
        nodes=_nodes(audit, cluster),
        identity_endpoints=cluster.object_storage.identity_endpoints if cluster.object_storage else (),
        sender=_sender(settings),
    )
    problems += _bucket(audit, bucket)
    problems += _pool(audit, cluster)
    return (None if problems else plan), list(below(SECTION, problems))


def scraped_audit(settings: Settings, namespace: str) -> tuple[Scraped, ...]:
    """Pods of the trail that bring a monitor of their own, in the namespace of the nodes' agents."""
    return () if settings.audit is None else (Scraped(namespace, NAME, METRICS_PORT),)


def _sender(settings: Settings) -> Sender | None:
    """The stack's Logstash, which makes records of the access lines of all nodes."""
    logging = settings.logging
    if logging is None:
        return None
    return Sender(
        namespace=logging.namespace,
        pod_labels=eck.selector("logstash"),
        name=trail_client(logging.namespace),
        cluster_issuer=logging.cluster_issuer,
        records_per_day=logging.ingest.access_records_per_day,
    )


def _logs(settings: Settings, cluster: ClusterPlan) -> Logs:
    """Names of pod log folders begin with the namespace and an underscore."""
    patterns: dict[str, tuple[str, ...]] = {}
    for log in access_logs(settings, cluster):
        patterns[log.source] = (*patterns.get(log.source, ()), f"{log.namespace}_*/{log.container}/*.log*")
    return Logs(patterns[MODEL], patterns.get(GATEWAY, ()))


def _bucket(audit: Audit, own: str | None) -> Iterator[Problem]:
    """A service account has rights to the stack's own bucket, and to no other."""
    publish = audit.publish
    if publish is None or publish.credentials_secret is not None:
        return
    if publish.bucket != own:
        yield Problem(
            "publish.credentialsSecret",
            f"missing: {publish.uri!r} is not in {own or 'an audit bucket of the stack, which has none'}; "
            "name a Secret with credentials for it, or that bucket",
        )
    elif not publish.prefix:
        yield Problem("publish.uri", f"{publish.uri!r}: has no prefix; add one, such as {publish.uri}/trail")


def _pool(audit: Audit, cluster: ClusterPlan) -> Iterator[Problem]:
    """Each node that is collected from has a collector and a volume of its own."""
    pool = cluster.pool(audit.selector.get(NODE_POOL, ""))
    if pool is None:
        return
    if audit.source == "nodes" and pool.min_nodes != pool.max_nodes:
        yield Problem(
            "nodeSelector",
            f"pool {pool.name!r} has {pool.min_nodes} to {pool.max_nodes} nodes, and collectors do not "
            "come and go with them; write source: logs, or name a pool of a fixed size",
        )
    tolerated = {one.shape() for one in audit.tolerations}
    for taint in pool.taints:
        if taint not in tolerated and taint.key != CONTROL_PLANE:
            yield Problem(
                "tolerations",
                f"pool {pool.name!r} has the taint {taint.key}={taint.value}:{taint.effect}, and no "
                "collector would run there; add it",
            )


def _nodes(audit: Audit, cluster: ClusterPlan) -> int | None:
    """How many nodes the selector means, where the settings tell."""
    pool = cluster.pool(audit.selector.get(NODE_POOL, ""))
    if pool is not None:
        return pool.max_nodes
    below_it = cluster.below
    if CONTROL_PLANE in audit.selector and isinstance(below_it, OnpremPlan) and below_it.hosts is not None:
        return sum(host.control_plane for host in below_it.hosts.hosts)
    return None
