"""All rules of the pack."""

from __future__ import annotations

from typing import Final

from policies import (
    access,
    ceilings,
    cloud_access,
    cloud_data,
    cloud_network,
    cloud_operations,
    etcd,
    helm,
    mesh,
    network_isolation,
    pod_security,
    preview,
    resource_limits,
    supply_chain,
    tenancy,
    workload_health,
)
from policies.rule import AnyRule, Rule, StackRule

SUBJECTS: Final[dict[str, tuple[AnyRule, ...]]] = {
    "Network isolation": (*network_isolation.RULES, *mesh.RULES),
    "Resource limits": (*resource_limits.RULES, *ceilings.RULES),
    "Pod security": pod_security.RULES,
    "Supply chain": (*supply_chain.RULES, *helm.RULES),
    "Workload health": workload_health.RULES,
    "Access": access.RULES,
    "Networks in the cloud": cloud_network.RULES,
    "Data in the cloud": cloud_data.RULES,
    "Access in the cloud": cloud_access.RULES,
    "Operation in the cloud": cloud_operations.RULES,
    "etcd": etcd.RULES,
    "Previews": preview.RULES,
    "The stack as a whole": (
        *tenancy.STACK_RULES,
        *cloud_network.STACK_RULES,
        *cloud_data.STACK_RULES,
        *ceilings.STACK_RULES,
        *workload_health.STACK_RULES,
        *etcd.STACK_RULES,
    ),
}
"""Rules by subject."""

ALL: Final[tuple[AnyRule, ...]] = tuple(rule for rules in SUBJECTS.values() for rule in rules)
"""All rules."""

RULES: Final = tuple(rule for rule in ALL if isinstance(rule, Rule))
"""Rules on single resources."""

STACK_RULES: Final = tuple(rule for rule in ALL if isinstance(rule, StackRule))
"""Rules on the stack."""

IDS: Final = frozenset(rule.id for rule in ALL)
"""Ids of all rules."""
