"""Dashboards of a stack: which data sources there are, and what is deployed."""

from __future__ import annotations

from collections.abc import Mapping

from components.audit.plan import NAME as AUDIT
from components.common.problems import Problem, below
from components.grafana.plan import DataSource, GrafanaPlan, LogStoreSource, plan_grafana
from components.logging.plan import DATA_STREAM_NAMESPACE, elasticsearch_url
from components.logging.plan import NAME as LOGS
from components.monitoring.plan import MonitoringPlan
from stacks.settings import Settings

SECTION = "monitoring.grafana"
_PROMETHEUS_PORT = 9090
_ELASTICSEARCH_PORT = 9200


def plan_stack_dashboards(
    settings: Settings, images: Mapping[str, str], *, monitoring: MonitoringPlan | None
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
        logs=_log_store(settings),
        audit_metrics=any(one.name == AUDIT for one in monitoring.scraped),
    )
    return plan, list(below(SECTION, problems))


def _log_store(settings: Settings) -> LogStoreSource | None:
    """Elasticsearch, with the labels that ECK gives its pods; None where it has no audit records."""
    if settings.logging is None or settings.audit is None:
        return None
    namespace = settings.logging.namespace
    return LogStoreSource(
        DataSource(
            url=elasticsearch_url(namespace),
            port=_ELASTICSEARCH_PORT,
            pod_labels={"elasticsearch.k8s.elastic.co/cluster-name": LOGS},
            namespace=namespace,
        ),
        index=f"logs-audit-{DATA_STREAM_NAMESPACE}",
    )
