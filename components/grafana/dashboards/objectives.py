"""What the service promises: how much of the error budget is left, and how fast it burns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, page
from components.grafana.dashboards.panels import (
    GREEN,
    RED,
    YELLOW,
    Limit,
    Query,
    Step,
    single,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.alerts.objectives import BUDGET_DAYS, BURN_RATES, Objective
from components.monitoring.alerts.objectives import objectives as promised
from components.monitoring.durations import HOUR, format_duration

KEY: Final = "objectives"
NEARLY_GONE: Final = 0.25
"""Part of the budget that is left, from which the figure is no longer green."""


def objectives(view: View) -> Dashboard:
    """Service level objectives of a stack."""
    return page(
        KEY,
        "Service objectives",
        f"Error budgets and burn rates. Budgets are for {BUDGET_DAYS} days; figures are of the time range "
        "that is shown, as far back as Prometheus keeps samples.",
        [section for objective in promised(view.settings) for section in _sections(view, objective)],
        since="now-7d",
        refresh="5m",
    )


def _part_of_bad(objective: Objective, window: str) -> str:
    bad, every = (text.replace("WINDOW", window) for text in (objective.bad, objective.every))
    return f"({bad} or {every} * 0) / {every}"


def _name(objective: Objective) -> str:
    return objective.name.replace("-", " ").capitalize()


def _sections(view: View, objective: Objective) -> Iterator[Section]:
    name, alert = _name(objective), view.alert("ErrorBudgetBurn")
    bad = _part_of_bad(objective, "$__range")
    hour = objective.recorded(HOUR)
    yield Section(
        f"{name}: {100 * objective.promised:.6g} % promised",
        [
            single(
                view,
                f"{name}: good requests",
                units.PercentUnit,
                Query(f"1 - {bad}", "{{model}}"),
                meaning=f"Bad ones are {objective.meaning}.",
                steps=(Step(None, RED), Step(objective.promised, GREEN)),
                decimals=3,
                alert=alert,
                over_time=False,
            ),
            single(
                view,
                f"{name}: budget left",
                units.PercentUnit,
                Query(f"1 - ({bad}) / {objective.budget:.6g}", "{{model}}"),
                meaning="Of the requests that may be bad in the time range, the part that has not been.",
                steps=(Step(None, RED), Step(0, YELLOW), Step(NEARLY_GONE, GREEN)),
                decimals=1,
                alert=alert,
                over_time=False,
            ),
            single(
                view,
                f"{name}: burn rate of the last hour",
                units.NoUnit,
                Query(f"{hour} / {objective.budget:.6g}", "{{model}}"),
                meaning=f"1 uses the budget up in {BUDGET_DAYS} days.",
                steps=(Step(None, GREEN), Step(1, YELLOW), Step(_fastest(), RED)),
                decimals=2,
                alert=alert,
            ),
            time_series(
                view,
                f"{name}: bad requests",
                units.PercentUnit,
                Query(hour, "{{model}}"),
                meaning=f"Part of each hour's requests: {objective.meaning}.",
            ),
        ],
        per_line=4,
        height=6,
    )
    yield Section(
        f"{name}: burn rates",
        [
            time_series(
                view,
                f"{name}: {format_duration(rate.long)} and {format_duration(rate.short)}",
                units.NoUnit,
                *(
                    Query(
                        f"{objective.recorded(window)} / {objective.budget:.6g}",
                        f"{{{{model}}}} {format_duration(window)}",
                    )
                    for window in (rate.long, rate.short)
                ),
                meaning=f"The alert ({rate.severity}) fires while both are above {rate.factor:g}: then "
                f"{rate.budget_percent:.2g} % of the budget has gone in {format_duration(rate.long)}.",
                limit=Limit(rate.factor, alert),
            )
            for rate in BURN_RATES
        ],
        per_line=4,
        height=7,
    )


def _fastest() -> float:
    return max(rate.factor for rate in BURN_RATES)
