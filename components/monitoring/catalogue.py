"""All rules of a stack."""

from __future__ import annotations

from components.monitoring.alerts.accelerators import accelerators
from components.monitoring.alerts.audit import audit
from components.monitoring.alerts.certificates import certificates
from components.monitoring.alerts.delivery import delivery
from components.monitoring.alerts.etcd import etcd
from components.monitoring.alerts.kubernetes import kubernetes
from components.monitoring.alerts.logs import logs
from components.monitoring.alerts.model_service import model_service
from components.monitoring.alerts.nodes import nodes
from components.monitoring.alerts.objectives import service_objectives
from components.monitoring.alerts.virtual_ip import virtual_ip
from components.monitoring.rule import RuleGroup
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack


def rule_groups(settings: Monitoring, stack: MonitoredStack) -> tuple[RuleGroup, ...]:
    """Rules on everything that the stack has, and on nothing that it has not."""
    groups = [model_service(settings, stack), service_objectives(settings), kubernetes(settings, stack)]
    groups.append(nodes(settings))
    if stack.nvidia_gpus:
        groups.append(accelerators(settings))
    if stack.cert_manager:
        groups.append(certificates(settings))
    if stack.etcd_members is not None:
        groups.append(etcd(settings, stack, stack.etcd_members))
    if stack.virtual_ips:
        groups.append(virtual_ip(settings, stack))
    if stack.audit_collectors:
        groups.append(audit(stack))
    if stack.logging_namespace is not None:
        groups.append(logs(stack, stack.logging_namespace))
    groups.append(delivery(stack))
    return tuple(groups)
