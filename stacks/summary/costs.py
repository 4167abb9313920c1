"""What a preview may cost a month."""

from __future__ import annotations

from stacks.cost.estimate import CostEstimate
from stacks.cost.stack import planned_cost
from stacks.plan import PlatformPlan


def cost(plan: PlatformPlan) -> CostEstimate | None:
    """The estimate; None outside the clouds."""
    return planned_cost(
        plan.settings, plan.cluster, models=plan.models, buckets=plan.buckets, entry=plan.entry
    )
