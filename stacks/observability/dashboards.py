"""Dashboards of a stack: which data sources there are, and what is deployed."""

from __future__ import annotations

from collections.abc import Mapping

from components.audit.plan import NAME as AUDIT
from components.audit.plan import AuditPlan
from components.common.problems import Problem, below
from components.grafana.plan import DataSource, GrafanaPlan, LogStoreSource, plan_grafana
from components.logging.plan import DATA_STREAM_NAMESPACE, LoggingPlan
from components.logging.plan import NAME as LOGS
from components.monitoring.plan import MonitoringPlan
from stacks.settings import Settings

SECTION = "monitoring.grafana"
_PROMETHEUS_PORT = 9090
_ELASTICSEARCH_PORT = 9200


def plan_stack_dashboards(
    settings: Settings,
    images: Mapping[str, str],
    *,
    monitoring: MonitoringPlan | None,
    logging: LoggingPlan | None = None,
    audit: AuditPlan | None = None,
) -> tuple[GrafanaPlan | None, list[Problem]]:
    """The plan, or None where the section is absent; problems with the paths of the whole file.

    :param monitoring: None where its section is absent, or its problems have been found already.
    """
    if settings.monitoring is None or settings.monitoring.grafana is None or monitoring is None:
        return None, []
    if not monitoring.own:
        return None, [
            Problem(
                SECTION,
                "the cluster has a Prometheus already, and with it its Grafana; leave this out, or leave out "
                "monitoring.existing",
            )
        ]
    plan, problems = plan_grafana(
        settings.monitoring.grafana,
        settings.monitoring,
        monitoring.stack,
        images=images,
        protect=settings.data_protection == "protected",
        prometheus=DataSource(
            url=f"http://prometheus.{settings.monitoring.namespace}.svc:{_PROMETHEUS_PORT}",
            port=_PROMETHEUS_PORT,
            pod_labels={"app.kubernetes.io/name": "prometheus"},
        ),
        logs=_log_store(logging) if logging is not None and audit is not None else None,
        audit_metrics=any(one.name == AUDIT for one in monitoring.scraped),
    )
    return plan, list(below(SECTION, problems))


def _log_store(logging: LoggingPlan) -> LogStoreSource:
    """Elasticsearch, with the labels that ECK gives its pods."""
    return LogStoreSource(
        DataSource(
            url=logging.elasticsearch_url,
            port=_ELASTICSEARCH_PORT,
            pod_labels={"elasticsearch.k8s.elastic.co/cluster-name": LOGS},
            namespace=logging.settings.namespace,
        ),
        index=f"logs-audit-{DATA_STREAM_NAMESPACE}",
    )
