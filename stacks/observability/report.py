"""The weekly report of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from components.common.problems import Problem, below
from components.trend_report.plan import EstimatedPrice, TrendReportPlan, plan_trend_report
from stacks.cost.estimate import CostEstimate
from stacks.cost.prices import HOURS_PER_MONTH
from stacks.settings import Settings

SECTION: Final = "monitoring.report"


def plan_stack_report(
    settings: Settings, stack: str, images: Mapping[str, str], cost: CostEstimate | None
) -> tuple[TrendReportPlan | None, list[Problem]]:
    """The plan, or None where the section is absent; problems with the paths of the whole file.

    :param cost: of the stack, for the price of tokens; None where nothing of it has a price.
    """
    monitoring = settings.monitoring
    if monitoring is None or monitoring.report is None:
        return None, []
    plan, problems = plan_trend_report(
        monitoring.report,
        monitoring,
        stack=stack,
        models_namespace=settings.tenant.namespace,
        images=images,
        estimate=hourly(cost),
    )
    return plan, list(below(SECTION, problems))


def hourly(cost: CostEstimate | None) -> EstimatedPrice | None:
    """The estimate of a month as the price of an hour."""
    if cost is None or cost.high <= 0:
        return None
    # The title says what the figures are, of which date, and what they leave out.
    source = cost.title.partition(", ")[2] or cost.title
    return EstimatedPrice(
        low=round(float(cost.low / HOURS_PER_MONTH), 4),
        high=round(float(cost.high / HOURS_PER_MONTH), 4),
        currency=cost.currency,
        source=f"{source}; all node pools at their smallest and at their largest",
        unpriced=cost.unpriced,
    )
