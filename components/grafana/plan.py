"""From the settings of Grafana and the watched stack to what is built: pure, every problem collected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from components.common.demand import Demand, pod_demand
from components.common.problems import Problem
from components.grafana.configuration import (
    NOTHING,
    configuration,
    dashboard_provider,
    data_sources,
)
from components.grafana.dashboards.catalogue import dashboards, document, name
from components.grafana.dashboards.view import View
from components.grafana.settings import Grafana
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack

GRAFANA_IMAGE: Final = "grafana"
NAME: Final = "grafana"


@dataclass(frozen=True)
class DataSource:
    """Something that Grafana asks, and the pods behind it."""

    url: str
    port: int
    """Of the pods."""
    pod_labels: Mapping[str, str]
    namespace: str | None = None
    """Of the pods; None is Grafana's own."""


@dataclass(frozen=True)
class LogStoreSource:
    """The log store that has the audit records."""

    source: DataSource
    index: str
    """Pattern of the indices or data streams with audit records."""


@dataclass(frozen=True)
class GrafanaPlan:
    """Grafana of a stack, checked."""

    settings: Grafana
    namespace: str
    image: str
    scrape_interval: int
    """Seconds, of Grafana's own metrics."""
    prometheus: DataSource
    prometheus_labels: Mapping[str, str]
    """Of the pods that scrape it, in its own namespace."""
    logs: DataSource | None
    files: Mapping[str, str] = field(repr=False)
    """Configuration by path below /etc/grafana."""
    dashboards: Mapping[str, str] = field(repr=False)
    """JSON by name."""
    paths: Mapping[str, str]
    """Of the dashboards' pages, by name."""

    @property
    def demand(self) -> Demand:
        """Of its replicas, and of one more while it is updated."""
        return pod_demand(self.settings.resources) * (self.settings.replicas + 1)

    @property
    def digest(self) -> str:
        """Of everything that is read at start: another one, and the pods are replaced."""
        texts = [*sorted(self.files.items()), *sorted(self.dashboards.items())]
        return hashlib.sha256(repr(texts).encode()).hexdigest()


def plan_grafana(
    settings: Grafana,
    monitoring: Monitoring,
    stack: MonitoredStack,
    *,
    images: Mapping[str, str],
    protect: bool,
    prometheus: DataSource,
    logs: LogStoreSource | None = None,
    audit_metrics: bool = False,
) -> tuple[GrafanaPlan | None, list[Problem]]:
    """The plan, or what is wrong with the settings.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param protect: whether the stack holds what must not be lost or read by others.
    :param logs: the stack's log store, if it has one with audit records.
    :param audit_metrics: whether the stack's audit collector is scraped.
    """
    problems = list(_problems(settings, images, logs, protect=protect))
    if problems:
        return None, problems
    readable = logs if settings.log_store is not None else None
    view = View(
        settings=monitoring,
        stack=stack,
        audit_metrics=audit_metrics,
        audit_records=readable is not None,
    )
    made = list(dashboards(view))
    return (
        GrafanaPlan(
            settings=settings,
            namespace=monitoring.namespace,
            image=images.get(GRAFANA_IMAGE, ""),
            scrape_interval=monitoring.scrape_interval,
            prometheus=prometheus,
            prometheus_labels=prometheus.pod_labels,
            logs=readable.source if readable is not None else None,
            files={
                "grafana.ini": configuration(settings),
                "provisioning/datasources/sources.yaml": data_sources(
                    prometheus.url,
                    monitoring.scrape_interval,
                    readable.source.url if readable is not None else None,
                    readable.index if readable is not None else "",
                ),
                "provisioning/dashboards/provider.yaml": dashboard_provider(),
                "provisioning/alerting/nothing.yaml": NOTHING,
                "provisioning/plugins/nothing.yaml": NOTHING,
            },
            dashboards={name(each): document(each) for each in made},
            paths={name(each): f"/d/{each.uid}" for each in made},
        ),
        [],
    )


def _problems(
    settings: Grafana, images: Mapping[str, str], logs: LogStoreSource | None, *, protect: bool
) -> Iterator[Problem]:
    if images and GRAFANA_IMAGE not in images:
        yield Problem("", f"needs the image {GRAFANA_IMAGE!r}, which is not listed; add it with its digest")
    if settings.root_url.startswith("http:") and settings.clients:
        yield Problem(
            "rootUrl",
            f"{settings.root_url}: passwords and cookies would pass the network in the clear; write https, "
            "or leave clients out and forward a port",
        )
    elif protect and settings.root_url.startswith("http:") and not _is_local(settings.root_url):
        yield Problem(
            "rootUrl",
            f"{settings.root_url}: passwords and cookies would pass the network in the clear; write https, "
            "or http://localhost:3000 for a forwarded port",
        )
    if settings.log_store is not None and logs is None:
        yield Problem(
            "logStore",
            f"{settings.log_store.secret_name!r}: the stack has no log store with audit records; leave it "
            "out, or add the sections logging and audit",
        )


def _is_local(url: str) -> bool:
    host = url.partition("://")[2].partition(":")[0]
    return host in ("localhost", "127.0.0.1")
