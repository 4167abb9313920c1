"""The Operators component."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import helm, meta, networking, scheduling

from components.common.demand import Demand, pod_demand
from components.common.labels import object_labels
from components.common.network_policies import Flow, isolation, networks, pods_elsewhere, pods_in
from components.common.workloads import object_metadata
from components.operators.plan import (
    PRIORITY_CLASS,
    ApiServer,
    OperatorKey,
    OperatorPlan,
    OperatorsPlan,
    PodAccess,
)
from components.tenant_namespace.component import ContainerLimits, Quota, TenantNamespace, TenantNamespaceArgs

PRIORITY = 1_000_000
"""Above every pod without a class (0), below the two classes of Kubernetes itself (2 * 10^9)."""
_CHART_TIMEOUT = "15m"


@dataclass(frozen=True)
class OperatorsArgs:
    """Inputs of Operators."""

    plan: OperatorsPlan
    pod_security_version: str
    """Kubernetes minor version of the pod security standard, e.g. `v1.36`."""
    protect: bool = False
    """Whether their namespaces are kept from deletion: an authority's key may lie there."""


class Operators(pulumi.ComponentResource):
    """Every operator that the stack installs, each in a namespace of its own.

    Their charts render to resources that the policy pack judges. Custom resource definitions carry Helm's
    `keep` policy: they, and so everybody's custom resources, stay when the operator is deleted.
    """

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:operators:Operators", name, None, opts)
        self._installed: dict[OperatorKey, _Operator] = {}
        child = pulumi.ResourceOptions(parent=self)
        if args.plan.installed:
            priority = scheduling.v1.PriorityClass(
                f"{name}-priority-class",
                metadata=meta.v1.ObjectMetaArgs(
                    name=PRIORITY_CLASS,
                    labels=object_labels("operators", "operators", component="operators"),
                ),
                value=PRIORITY,
                global_default=False,
                preemption_policy="PreemptLowerPriority",
                description="Operators: without them nothing that they look after is repaired",
                opts=child,
            )
            for operator in args.plan.installed:
                self._installed[operator.key] = _Operator(
                    operator.name, args, operator, pulumi.ResourceOptions(parent=self, depends_on=[priority])
                )
        self.register_outputs({})

    def of(self, *keys: OperatorKey) -> list[pulumi.Resource]:
        """What custom resources of these operators have to wait for; nothing for those that exist already."""
        return [self._installed[key] for key in keys if key in self._installed]


class _Operator(pulumi.ComponentResource):
    """One operator: namespace, NetworkPolicies, charts."""

    def __init__(
        self, name: str, args: OperatorsArgs, operator: OperatorPlan, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("autoglm:operators:Operator", name, None, opts)
        tenant = TenantNamespace(
            f"{name}-namespace",
            TenantNamespaceArgs(
                namespace=operator.namespace,
                pod_security_version=args.pod_security_version,
                quota=Quota.of(pod_demand(operator.container) * operator.pods + Demand(jobs=operator.jobs)),
                container_limits=ContainerLimits(default=operator.container, maximum=operator.container),
                protect=args.protect,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        before: list[pulumi.Resource] = [tenant]
        before += [
            networking.v1.NetworkPolicy(
                f"{access.name}-access",
                metadata=object_metadata(
                    access.name,
                    tenant.name,
                    object_labels(operator.name, operator.name, component="operator"),
                ),
                spec=_isolation(access, args.plan),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for access in operator.access
        ]
        for chart in operator.charts:
            before.append(
                helm.v4.Chart(
                    f"{chart.release}-chart",
                    name=chart.release,
                    chart=chart.reference,
                    version=chart.version,
                    namespace=tenant.name,
                    values=chart.values,
                    opts=pulumi.ResourceOptions(
                        parent=self,
                        depends_on=list(before),
                        custom_timeouts=pulumi.CustomTimeouts(
                            create=_CHART_TIMEOUT, update=_CHART_TIMEOUT, delete=_CHART_TIMEOUT
                        ),
                    ),
                )
            )
        self.register_outputs({})


def _isolation(access: PodAccess, plan: OperatorsPlan) -> networking.v1.NetworkPolicySpecArgs:
    server = plan.api_server
    ingress = []
    if access.webhook_port is not None:
        ingress.append(Flow(_callers(server), (access.webhook_port,)))
    if access.metrics_port is not None:
        ingress.append(Flow((pods_elsewhere(plan.settings.metrics_clients),), (access.metrics_port,)))
    ports = sorted({port for _, port in server.endpoints})
    egress = [
        Flow(networks([cidr for cidr, port in server.endpoints if port == one]), (one,)) for one in ports
    ]
    egress += [Flow((pods_in(namespace, labels),), (port,)) for namespace, labels, port in access.services]
    return isolation(access.selector, ingress=ingress, egress=egress)


def _callers(server: ApiServer) -> tuple[networking.v1.NetworkPolicyPeerArgs, ...]:
    """The API server itself, and the agents of a tunnel that it comes by (konnectivity)."""
    return (*networks(server.callers), pods_in("kube-system"))
