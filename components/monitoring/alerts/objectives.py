"""Multi-window burn-rate alerts on the service's objectives.

Windows and factors: The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", for a
budget of 30 days. The long window says that a share of the budget is gone, the short one that it is still
burning: an alert ends soon after its cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from components.monitoring.alerts.model_service import (
    ANSWERS,
    AREA,
    MODEL,
    NAMESPACE,
    answers,
    histogram,
)
from components.monitoring.durations import DAY, HOUR, MINUTE, format_duration
from components.monitoring.rule import AlertRule, Evidence, RecordingRule, RuleGroup, Series, Severity
from components.monitoring.settings import Monitoring

BUDGET_DAYS: Final = 30
FIRST_TOKEN_BOUNDS: Final = (
    *("0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5"),
    *("5.0", "7.5", "10.0", "20.0", "40.0", "80.0", "160.0", "640.0", "2560.0"),
)
"""Upper bounds of vLLM's histogram of first tokens, as its /metrics has them."""


@dataclass(frozen=True)
class BurnRate:
    """How fast the budget burns, over which windows."""

    long: int
    short: int
    factor: float
    severity: Severity
    hold: int

    @property
    def budget_percent(self) -> float:
        """Part of the budget that is gone when the alert begins."""
        return 100 * self.factor * self.long / (BUDGET_DAYS * DAY)


BURN_RATES: Final = (
    BurnRate(HOUR, 5 * MINUTE, 14.4, Severity.PAGE, 2 * MINUTE),
    BurnRate(6 * HOUR, 30 * MINUTE, 6, Severity.PAGE, 15 * MINUTE),
    BurnRate(DAY, 2 * HOUR, 3, Severity.TICKET, HOUR),
    BurnRate(3 * DAY, 6 * HOUR, 1, Severity.TICKET, 3 * HOUR),
)
_WINDOWS: Final = sorted({window for rate in BURN_RATES for window in (rate.long, rate.short)})
_BY: Final = "sum by (namespace, model)"
_FIRST_TOKEN: Final = "vllm:time_to_first_token_seconds"


@dataclass(frozen=True)
class Objective:
    """What is promised, and how its breach is counted."""

    name: str
    promised: float
    meaning: str
    bad: str
    """Expression of bad requests per second; `WINDOW` stands for the window."""
    every: str
    bound: str | None = None
    """Upper bound of the bucket with the good ones, where a histogram counts."""

    @property
    def budget(self) -> float:
        """Part of all requests that may be bad."""
        return 1 - self.promised

    def recorded(self, window: int) -> str:
        """Name of the series with the part of requests that were bad."""
        return f"slo_{self.name.replace('-', '_')}:bad:ratio_rate{format_duration(window)}"

    def recording_rules(self) -> Iterator[RecordingRule]:
        """One for each window."""
        for window in _WINDOWS:
            bad, every = (text.replace("WINDOW", format_duration(window)) for text in (self.bad, self.every))
            # Without a bad request since the start, there is no series that counts them.
            yield RecordingRule(self.recorded(window), f"({bad} or {every} * 0) / {every}")

    def series(self, bad_part: float) -> tuple[Series, ...]:
        """Samples of ten requests a second, of which a part is bad."""
        good = 10 * (1 - bad_part)
        if self.bound is None:
            return (answers("2xx", good), answers("5xx", 10 - good))
        return histogram(_FIRST_TOKEN, {self.bound: good, "+Inf": 10})


def first_token_bound(seconds: float) -> str | None:
    """The bound as the label `le` has it; None if the engine's histogram has no such bound."""
    return next((bound for bound in FIRST_TOKEN_BOUNDS if float(bound) == seconds), None)


def objectives(settings: Monitoring) -> tuple[Objective, Objective]:
    """Of the settings; the plan has checked that the bound is one of the engine's."""
    wanted = settings.objectives
    bound = first_token_bound(wanted.first_token_seconds) or str(wanted.first_token_seconds)
    answered = f"http_requests_total{{{ANSWERS}"
    in_time = f'{_BY} (rate({_FIRST_TOKEN}_bucket{{le="{bound}"}}[WINDOW]))'
    begun = f'{_BY} (rate({_FIRST_TOKEN}_bucket{{le="+Inf"}}[WINDOW]))'
    return (
        Objective(
            "availability",
            wanted.availability,
            "requests that are answered with 5xx",
            f'{_BY} (rate({answered},status="5xx"}}[WINDOW]))',
            f"{_BY} (rate({answered}}}[WINDOW]))",
        ),
        Objective(
            "first-token",
            wanted.first_token,
            f"requests whose first token takes longer than {wanted.first_token_seconds:g} s",
            f"({begun} - {in_time})",
            begun,
            bound,
        ),
    )


def service_objectives(settings: Monitoring) -> RuleGroup:
    """Recording rules and alerts of all objectives."""
    wanted = objectives(settings)
    return RuleGroup(
        "service-objectives",
        tuple(rule for objective in wanted for rule in objective.recording_rules()),
        tuple(_alert(objective, rate) for objective in wanted for rate in BURN_RATES),
    )


def _alert(objective: Objective, rate: BurnRate) -> AlertRule:
    limit = rate.factor * objective.budget
    long, short = format_duration(rate.long), format_duration(rate.short)
    return AlertRule(
        name="ErrorBudgetBurn",
        severity=rate.severity,
        area=AREA,
        expr=" and ".join(
            f"{objective.recorded(window)} > {limit:.6g}" for window in (rate.long, rate.short)
        ),
        hold=rate.hold,
        labels={"slo": objective.name, "window": long},
        summary=f"{{{{ $labels.model }}}} burns its {objective.name} budget {rate.factor:g} times too fast",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the last {long}: {objective.meaning}. "
            f"{100 * objective.promised:.6g} % good ones are promised over {BUDGET_DAYS} days; "
            f"{rate.budget_percent:.2g} % of the budget went in {long}, and it still burned in the last "
            f"{short}."
        ),
        runbook="error-budget",
        firing=Evidence(
            objective.series(min(1.1 * limit, 1)),
            true_from=60,
            labels=({"namespace": NAMESPACE, "model": MODEL},),
        ),
        silent=objective.series(0.9 * limit),
        interval=60,
    )
