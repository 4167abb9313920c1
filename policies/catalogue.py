"""All rules of the pack."""

from __future__ import annotations

from typing import Final

from policies import (
    access,
    network_isolation,
    pod_security,
    resource_limits,
    supply_chain,
    tenancy,
    workload_health,
)
from policies.rule import Rule, StackRule

SUBJECTS: Final[dict[str, tuple[Rule, ...] | tuple[StackRule, ...]]] = {
    "Network isolation": network_isolation.RULES,
    "Resource limits": resource_limits.RULES,
    "Pod security": pod_security.RULES,
    "Supply chain": supply_chain.RULES,
    "Workload health": workload_health.RULES,
    "Access": access.RULES,
    "The stack as a whole": tenancy.STACK_RULES,
}
"""Rules by subject."""

RULES: Final = tuple(rule for rules in SUBJECTS.values() for rule in rules if isinstance(rule, Rule))
"""Rules on single resources."""

STACK_RULES: Final = tuple(
    rule for rules in SUBJECTS.values() for rule in rules if isinstance(rule, StackRule)
)
"""Rules on the stack."""

IDS: Final = frozenset([*(rule.id for rule in RULES), *(rule.id for rule in STACK_RULES)])
"""Ids of all rules."""
