"""What a stack is observed with, planned as one: a part knows of the others what it watches or asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.audit.plan import AuditPlan
from components.common.demand import Demand
from components.common.names import AGENTS_NAMESPACE
from components.common.problems import Problem
from components.etcd.plan import EtcdPlan
from components.grafana.plan import GrafanaPlan
from components.logging.plan import LoggingPlan
from components.monitoring.plan import MonitoringPlan
from components.monitoring.stack import Scraped
from components.trend_report.plan import TrendReportPlan
from stacks.clusters import ClusterPlan
from stacks.cost.estimate import CostEstimate
from stacks.observability.audit import plan_stack_audit, scraped_audit
from stacks.observability.dashboards import plan_stack_dashboards
from stacks.observability.logs import plan_stack_logging
from stacks.observability.monitoring import Observed, plan_stack_monitoring
from stacks.observability.report import plan_stack_report
from stacks.settings import Settings

_GRAFANA_PORT: Final = 3000


@dataclass(frozen=True)
class ObservabilityPlan:
    """Each part, or None where its section is absent."""

    monitoring: MonitoringPlan | None
    dashboards: GrafanaPlan | None
    report: TrendReportPlan | None
    logging: LoggingPlan | None
    audit: AuditPlan | None
    nodes: int
    """Number of nodes at most, each of which has the agents."""

    @property
    def monitoring_demand(self) -> Demand:
        """Of the namespace of Prometheus, Alertmanager, Grafana and the report."""
        parts = (self.monitoring, self.dashboards, self.report)
        return sum((part.demand for part in parts if part), Demand())

    @property
    def agents_demand(self) -> Demand:
        """Of the namespace of agents of nodes; nothing where there are none."""
        on_each = (part.agents_demand for part in (self.monitoring, self.logging) if part)
        return sum(on_each, Demand()) * self.nodes + (self.audit.demand if self.audit else Demand())


def agents_on_each_node(settings: Settings, cluster: ClusterPlan, images: Mapping[str, str]) -> Demand:
    """What agents take of a node before any other pod is placed; nothing of what cannot be planned."""
    monitoring, _ = plan_stack_monitoring(settings, cluster, images, Observed(stack=""))
    logging, _ = plan_stack_logging(settings, cluster, images, audit=None)
    return sum((part.agents_demand for part in (monitoring, logging) if part), Demand())


def plan_observability(
    settings: Settings,
    cluster: ClusterPlan,
    images: Mapping[str, str],
    *,
    stack: str,
    etcd: EtcdPlan | None,
    cost: CostEstimate | None,
    model_scheme: str,
    audit_bucket: str | None = None,
) -> tuple[ObservabilityPlan, list[Problem]]:
    """The plan of all parts that could be planned, and every problem with the path of the whole file.

    :param cost: of the stack, for the price of tokens.
    :param model_scheme: `http` or `https`, of the model servers.
    :param audit_bucket: the stack's own.
    """
    audit, problems = plan_stack_audit(settings, cluster, images, bucket=audit_bucket)
    logging, found = plan_stack_logging(settings, cluster, images, audit=audit)
    problems += found
    monitoring, found = plan_stack_monitoring(
        settings, cluster, images, Observed(stack, etcd, model_scheme, _scraped(settings))
    )
    problems += found
    dashboards, found = plan_stack_dashboards(settings, images, monitoring=monitoring)
    problems += found
    report, found = plan_stack_report(settings, stack, images, cost)
    problems += found
    return ObservabilityPlan(monitoring, dashboards, report, logging, audit, cluster.nodes), problems


def _scraped(settings: Settings) -> tuple[Scraped, ...]:
    """What brings monitors of its own."""
    section = settings.monitoring
    if section is None:
        return ()
    audit = scraped_audit(settings, AGENTS_NAMESPACE)
    if section.grafana is None:
        return audit
    return (Scraped(section.namespace, "grafana", _GRAFANA_PORT), *audit)
