"""What a stack is observed with, deployed: namespaces, then each planned part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi

from components.audit.component import AuditTrail, AuditTrailArgs
from components.audit.plan import IMAGE as AUDIT_IMAGE
from components.audit.plan import AuditPlan
from components.common.demand import Demand
from components.common.names import AGENTS_NAMESPACE
from components.common.quantities import GIB, MIB, Resources
from components.grafana.component import GrafanaServer, GrafanaServerArgs
from components.grafana.plan import GrafanaPlan
from components.logging.component import LogShipper, LogShipperArgs, LogStore, LogStoreArgs
from components.logging.plan import LoggingPlan
from components.monitoring.component import (
    OwnMonitoring,
    OwnMonitoringArgs,
    StackMonitoring,
    StackMonitoringArgs,
)
from components.monitoring.plan import MonitoringPlan
from components.operators.component import Operators
from components.operators.plan import OperatorKey
from components.tenant_namespace.component import (
    ContainerLimits,
    Quota,
    TenantNamespace,
    TenantNamespaceArgs,
)
from components.trend_report.component import TrendReport, TrendReportArgs
from components.trend_report.plan import REPORT_IMAGE, TrendReportPlan
from stacks.observability.plan import ObservabilityPlan
from stacks.targets.target import Target

_DEFAULT: Final = Resources(cpu=100, memory=64 * MIB, ephemeral_storage=64 * MIB)
"""Of a container that asks for nothing; those of the platform all ask."""
_SPARE_JOBS: Final = 5
"""Beside those that are kept: runs that somebody starts by hand."""


class Observability:
    """Builds the parts, in an order in which each finds what it needs."""

    def __init__(
        self,
        plan: ObservabilityPlan,
        *,
        target: Target,
        tenant: TenantNamespace,
        operators: Operators | None,
        pod_security_version: str,
        protect: bool,
    ) -> None:
        """Deploy all that is planned.

        :param tenant: the namespace of models and etcd.
        :param operators: that the stack installs; None where there are none to wait for.
        :param protect: whether volumes with records of the past are kept from deletion.
        """
        self._target = target
        self._tenant = tenant
        self._operators = operators
        self._pod_security_version = pod_security_version
        self._protect = protect
        self.outputs: dict[str, Any] = {}
        """Stack outputs by name."""
        agents = self._agents(plan)
        if plan.monitoring is not None:
            self._monitoring(plan.monitoring, plan, agents)
        if plan.logging is not None and agents is not None:
            self._logging(plan.logging, agents)
        if plan.audit is not None and agents is not None:
            self._audit(plan.audit, agents)

    def _agents(self, plan: ObservabilityPlan) -> TenantNamespace | None:
        """Namespace of what runs on every node and needs its paths or its network."""
        demand = plan.agents_demand
        if not demand.pods:
            return None
        return self._namespace(AGENTS_NAMESPACE, demand, {}, restricted=False)

    def _monitoring(
        self, monitoring: MonitoringPlan, plan: ObservabilityPlan, agents: TenantNamespace | None
    ) -> None:
        opts = self._after("prometheusOperator")
        StackMonitoring("monitoring", StackMonitoringArgs(self._tenant.name, monitoring), opts)
        if not monitoring.own:
            return
        assert agents is not None
        settings = monitoring.settings
        namespace = self._namespace(settings.namespace, plan.monitoring_demand, settings.namespace_labels)
        own = OwnMonitoring(
            "monitoring",
            OwnMonitoringArgs(
                namespace=namespace.name,
                service_account=namespace.service_account,
                agents_namespace=agents.name,
                agents_service_account=agents.service_account,
                images=self._target.images,
                plan=monitoring,
            ),
            opts,
        )
        self.outputs["prometheus"] = own.url
        if plan.dashboards is not None:
            self._dashboards(plan.dashboards, namespace)
        if plan.report is not None:
            self._report(plan.report, namespace)

    def _dashboards(self, plan: GrafanaPlan, namespace: TenantNamespace) -> None:
        server = GrafanaServer(
            "grafana",
            GrafanaServerArgs(namespace=namespace.name, service_account=namespace.service_account, plan=plan),
            self._after("prometheusOperator"),
        )
        self.outputs["dashboards"] = server.dashboards

    def _report(self, plan: TrendReportPlan, namespace: TenantNamespace) -> None:
        report = TrendReport(
            "trend-report",
            TrendReportArgs(
                namespace=namespace.name,
                service_account=namespace.service_account,
                plan=plan,
                image=self._target.images[REPORT_IMAGE],
                protect=self._protect,
            ),
            self._target.options,
        )
        self.outputs["reports"] = {"namespace": namespace.name, "claim": report.claim}

    def _logging(self, plan: LoggingPlan, agents: TenantNamespace) -> None:
        opts = self._after("eck", "certManager")
        namespace = self._namespace(plan.settings.namespace, plan.demand, {})
        store = LogStore("logs", LogStoreArgs(namespace.name, namespace.service_account, plan), opts)
        LogShipper("filebeat", LogShipperArgs(agents.name, agents.service_account, plan), opts)
        self.outputs["kibana"] = store.kibana

    def _audit(self, plan: AuditPlan, agents: TenantNamespace) -> None:
        trail = AuditTrail(
            "audit",
            AuditTrailArgs(
                namespace=agents.name,
                service_account=agents.service_account,
                plan=plan,
                image=self._target.images[AUDIT_IMAGE],
            ),
            self._target.options if plan.sender is None else self._after("certManager"),
        )
        self.outputs["auditTrails"] = trail.trails

    def _namespace(
        self, name: str, demand: Demand, labels: Mapping[str, str], *, restricted: bool = True
    ) -> TenantNamespace:
        return TenantNamespace(
            name,
            TenantNamespaceArgs(
                namespace=name,
                pod_security_version=self._pod_security_version,
                quota=Quota.of(demand + Demand(jobs=_SPARE_JOBS)),
                container_limits=ContainerLimits(
                    default=_DEFAULT,
                    maximum=Resources(
                        cpu=max(1_000, demand.cpu_limits),
                        memory=max(GIB, demand.memory),
                        ephemeral_storage=max(GIB, demand.ephemeral_storage),
                    ),
                ),
                labels=labels,
                enforce="restricted" if restricted else "privileged",
                protect=self._protect,
            ),
            self._target.options,
        )

    def _after(self, *keys: OperatorKey) -> pulumi.ResourceOptions:
        """Options of what waits for operators."""
        return self._target.options_after(*(self._operators.of(*keys) if self._operators else ()))
