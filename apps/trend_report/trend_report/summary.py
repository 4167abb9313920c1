"""From hourly figures to what the report says: rows, objectives, charts and the worst hours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Final

from trend_report import numbers
from trend_report.configuration import Configuration, Objectives, Price
from trend_report.figures import Figures, Hourly, ModelWeek, StackWeek, together
from trend_report.histogram import Estimate, Histogram
from trend_report.numbers import NO_DATA, TOO_LITTLE, Better, Change, Format, Verdict
from trend_report.period import HOUR, Week

MILLION: Final = 1_000_000
WORST_HOURS: Final = 3
QUANTILES: Final = (0.5, 0.95, 0.99)
STANDS_OUT: Final = 0.05
"""Part of the week's error budget from which an hour stands out; its fair share is 1/168."""
COMPARABLE: Final = 0.9
"""Part of the hours that both weeks need for a change to mean something."""
POINTS: Final = 0.005
"""Half a percentage point of utilisation is no change."""
AVAILABILITY_POINTS: Final = 0.00001
"""A thousandth of a percentage point: a hundredth of what 99.9 % leaves."""


@dataclass(frozen=True)
class Row:
    """One figure of the week and of the one before it."""

    key: str
    """Name in the file of figures."""
    name: str
    now: float | None
    before: float | None
    show: Format
    better: Better = Better.NEITHER
    points: float | None = None
    """For a part of one: the least difference that is told."""
    note: str = ""
    comparable: bool = True
    """Whether both weeks have so much data that a change means something."""

    @property
    def change(self) -> Change:
        """Since the week before."""
        if not self.comparable and self.now is not None and self.before is not None:
            return Change("", TOO_LITTLE, Verdict.NEUTRAL)
        return numbers.change(self.now, self.before, self.better, self.points)

    def text(self, value: float | None) -> str:
        """A value of this figure."""
        return NO_DATA if value is None else self.show(value)


@dataclass(frozen=True)
class Promise:
    """An objective, and whether it was kept."""

    name: str
    wanted: str
    reached: str
    kept: bool | None
    """None: no data."""
    budget: float | None = None
    """Part of the week's error budget that was used; None where there is none."""


@dataclass(frozen=True)
class Line:
    """One line of a chart: a value for each hour of the week, None where there is none."""

    name: str
    values: tuple[float | None, ...]
    faint: bool = False
    """Drawn behind the others, as the week before is."""


@dataclass(frozen=True)
class Chart:
    """Lines over the hours of the week."""

    title: str
    lines: tuple[Line, ...]
    show: Format
    limit: float | None = None
    """A level that should not be passed."""
    limit_name: str = ""
    most: float | None = None
    """The highest value that there can be."""


@dataclass(frozen=True)
class Hour:
    """An hour that stands out."""

    when: str
    why: str


@dataclass(frozen=True)
class Section:
    """Of one model, or of the stack."""

    title: str
    rows: tuple[Row, ...]
    promises: tuple[Promise, ...] = ()
    charts: tuple[Chart, ...] = ()
    worst: tuple[Hour, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of either week."""
        return all(row.now is None and row.before is None for row in self.rows)


@dataclass(frozen=True)
class Report:
    """Everything that is told, in no format yet."""

    stack: str
    week: Week
    sections: tuple[Section, ...]
    cost: tuple[Row, ...]
    price: Price | None
    coverage: str
    """How much of the week has data."""
    complete: bool
    missing: tuple[str, ...]
    before: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    """Figures of earlier weeks, by week, section and key."""

    @property
    def title(self) -> str:
        """Of the whole report."""
        return f"Model service of stack {self.stack}, week {self.week.name}"


def summarize(
    figures: Figures,
    configuration: Configuration,
    before: Mapping[str, Mapping[str, Mapping[str, float | None]]] | None = None,
) -> Report:
    """The report on a week."""
    now, past = figures.stack
    sections = [
        _model_section(name, *weeks, configuration.objectives) for name, weeks in figures.models.items()
    ]
    answered = {hour for weeks in figures.models.values() for hour in weeks[0].answers}
    hours = len(figures.week.hours)
    coverage = f"{len(answered)} of {hours} hours"
    return Report(
        stack=configuration.stack,
        week=figures.week,
        sections=(*sections, _stack_section(now, past)),
        cost=tuple(_cost(figures, configuration.price)) if configuration.price else (),
        price=configuration.price,
        coverage=coverage,
        complete=len(answered) == hours and not figures.missing,
        missing=figures.missing,
        before=before or {},
    )


def _model_section(name: str, now: ModelWeek, past: ModelWeek, objectives: Objectives) -> Section:
    return Section(
        title=name,
        rows=tuple(_model_rows(now, past)),
        promises=tuple(_promises(now, objectives)),
        charts=tuple(_model_charts(now, past, objectives)),
        worst=_worst(now, objectives),
    )


def _model_rows(now: ModelWeek, past: ModelWeek) -> Iterator[Row]:
    weeks = (now, past)
    yield from _quantile_rows("latency", "Whole answers", weeks, now.latency, past.latency)
    yield from _quantile_rows("first_token", "First token", weeks, now.first_token, past.first_token)
    row = _Rows(weeks)
    yield row.of("answers", "Requests answered", _total, numbers.count, now.answers, past.answers)
    yield row.of(
        "failed", "Requests failed (5xx)", _total, numbers.count, now.failed, past.failed, Better.LOWER
    )
    yield replace(
        row.of("availability", "Availability", _none, numbers.availability, now.answers, past.answers),
        now=_availability(now),
        before=_availability(past),
        better=Better.HIGHER,
        points=AVAILABILITY_POINTS,
    )
    yield row.of("generated", "Tokens generated", _total, numbers.count, now.generated, past.generated)
    yield row.of("prompted", "Tokens read", _total, numbers.count, now.prompted, past.prompted)
    tokens = (now.generated, past.generated)
    yield row.of("token_rate", "Tokens generated per second", _per_second, numbers.plain, *tokens)
    yield row.of("token_rate_peak", "The same in the busiest hour", _busiest, numbers.plain, *tokens)
    yield row.part("kv_cache", "KV cache in use", _mean, now.kv_cache, past.kv_cache)
    peaks = (now.kv_cache_peak, past.kv_cache_peak)
    yield row.part("kv_cache_peak", "KV cache at its fullest", _most, *peaks, better=Better.LOWER)
    yield row.of("queue", "Requests waiting", _mean, numbers.plain, now.queue, past.queue, Better.LOWER)
    yield replace(
        row.part("up", "Replicas that answered scrapes", _mean, now.up, past.up, better=Better.HIGHER),
        show=numbers.availability,
        points=AVAILABILITY_POINTS,
    )


def _quantile_rows(
    key: str,
    name: str,
    weeks: tuple[ModelWeek, ModelWeek],
    now: Mapping[int, Histogram],
    past: Mapping[int, Histogram],
) -> Iterator[Row]:
    estimates = [_quantiles(found) for found in (now, past)]
    for wanted in QUANTILES:
        one, other = (found.get(wanted) for found in estimates)
        yield Row(
            f"{key}_p{wanted * 100:.0f}",
            f"{name}, P{wanted * 100:.0f}",
            one.value if one else None,
            other.value if other else None,
            numbers.seconds,
            Better.LOWER,
            note=_notes(_bucket(one), _partial(weeks[0].week, now)),
            comparable=_comparable(weeks[0].week, now, weeks[1].week, past),
        )


@dataclass(frozen=True)
class _Rows:
    """Makes rows of hourly values."""

    weeks: tuple[ModelWeek | StackWeek, ModelWeek | StackWeek]

    def of(
        self,
        key: str,
        name: str,
        make: Callable[[Hourly], float | None],
        show: Format,
        now: Hourly,
        past: Hourly,
        better: Better = Better.NEITHER,
    ) -> Row:
        """A figure that `make` makes of each week."""
        weeks = [one.week for one in self.weeks]
        return Row(
            key,
            name,
            make(now),
            make(past),
            show,
            better,
            note=_partial(weeks[0], now),
            comparable=_comparable(weeks[0], now, weeks[1], past),
        )

    def part(
        self,
        key: str,
        name: str,
        make: Callable[[Hourly], float | None],
        now: Hourly,
        past: Hourly,
        *,
        better: Better = Better.NEITHER,
    ) -> Row:
        """A figure that is a part of one."""
        return replace(self.of(key, name, make, numbers.percent, now, past, better), points=POINTS)


def _promises(now: ModelWeek, objectives: Objectives) -> Iterator[Promise]:
    availability = _availability(now)
    yield _promise("Availability", objectives.availability, availability)
    first = together(list(now.first_token.values())).part(objectives.first_token_seconds)
    in_time = numbers.seconds(objectives.first_token_seconds)
    yield _promise(f"First token within {in_time}", objectives.first_token, first)
    estimate = together(list(now.latency.values())).quantile(objectives.latency_quantile)
    limit = numbers.seconds(objectives.latency_seconds)
    yield Promise(
        f"Whole answers, P{objectives.latency_quantile * 100:g}",
        f"at most {limit}",
        numbers.seconds(estimate.value) if estimate else NO_DATA,
        estimate.value <= objectives.latency_seconds if estimate else None,
    )


def _promise(name: str, wanted: float, reached: float | None) -> Promise:
    shown = f"{100 * wanted:.6g} %"
    if reached is None:
        return Promise(name, shown, NO_DATA, None)
    used = (1 - reached) / (1 - wanted) if wanted < 1 else None
    return Promise(name, shown, numbers.availability(reached), reached >= wanted, used)


def _model_charts(now: ModelWeek, past: ModelWeek, objectives: Objectives) -> Iterator[Chart]:
    hours = now.week.hours
    limit = objectives.latency_seconds
    yield Chart(
        "Whole answers",
        tuple(_quantile_lines(hours, now.latency)),
        numbers.seconds,
        limit,
        f"P{objectives.latency_quantile * 100:g} at most {numbers.seconds(limit)}",
    )
    limit = objectives.first_token_seconds
    yield Chart(
        "First token",
        tuple(_quantile_lines(hours, now.first_token)),
        numbers.seconds,
        limit,
        f"{100 * objectives.first_token:g} % within {numbers.seconds(limit)}",
    )
    yield Chart(
        "Requests per second",
        (
            _line("the week before", past.week.hours, past.answers, 1 / HOUR, faint=True),
            _line("this week", hours, now.answers, 1 / HOUR),
        ),
        numbers.plain,
    )
    yield Chart(
        "Tokens generated per second",
        (
            _line("the week before", past.week.hours, past.generated, 1 / HOUR, faint=True),
            _line("this week", hours, now.generated, 1 / HOUR),
        ),
        numbers.plain,
    )
    ratios = {hour: now.failed[hour] / answers for hour, answers in now.answers.items() if answers > 0}
    yield Chart(
        "Requests that failed",
        (_line("5xx of all", hours, ratios),),
        numbers.percent,
        1 - objectives.availability,
        f"{100 * (1 - objectives.availability):.3g} % promised at most",
    )
    yield Chart(
        "KV cache in use",
        (_line("highest", hours, now.kv_cache_peak, faint=True), _line("mean", hours, now.kv_cache)),
        numbers.percent,
        most=1.0,
    )


def _quantile_lines(hours: Sequence[int], histograms: Mapping[int, Histogram]) -> Iterator[Line]:
    for wanted in QUANTILES:
        found = {hour: histogram.quantile(wanted) for hour, histogram in histograms.items()}
        values = (found.get(hour) for hour in hours)
        yield Line(f"P{wanted * 100:.0f}", tuple(one.value if one else None for one in values))


def _line(
    name: str, hours: Sequence[int], values: Hourly, factor: float = 1.0, *, faint: bool = False
) -> Line:
    return Line(name, tuple(values[hour] * factor if hour in values else None for hour in hours), faint)


def _worst(now: ModelWeek, objectives: Objectives) -> tuple[Hour, ...]:
    """Hours that took much of the week's budget or were slower than promised; the worst first."""
    allowed = (1 - objectives.availability) * sum(now.answers.values())
    scored: list[tuple[float, int, str]] = []
    for hour, answers in now.answers.items():
        failed = now.failed.get(hour, 0.0)
        reasons, score = [], 0.0
        if failed > STANDS_OUT * allowed:
            reasons.append(f"{numbers.percent(failed / answers)} of the requests failed")
            score = failed / allowed if allowed else 1.0
        histogram = now.latency.get(hour)
        estimate = histogram.quantile(objectives.latency_quantile) if histogram else None
        if estimate and estimate.value > objectives.latency_seconds:
            reasons.append(f"P{objectives.latency_quantile * 100:g} was {numbers.seconds(estimate.value)}")
            score += estimate.value / objectives.latency_seconds - 1
        if reasons:
            scored.append((score, hour, " and ".join(reasons)))
    return tuple(
        Hour(_clock(now.week, hour), why) for _, hour, why in sorted(scored, reverse=True)[:WORST_HOURS]
    )


def _clock(week: Week, hour: int) -> str:
    start, end = week.local(hour - HOUR), week.local(hour)
    return f"{start:%a} {start.day} {start:%b}, {start:%H:%M} to {end:%H:%M}"


def _stack_section(now: StackWeek, past: StackWeek) -> Section:
    row = _Rows((now, past))
    restarts = (now.restarts, past.restarts)
    rows = (
        row.part("gpu", "GPUs busy", _mean, now.gpu, past.gpu),
        row.part("gpu_memory", "GPU memory in use", _mean, now.gpu_memory, past.gpu_memory),
        row.part("cpu", "CPUs busy", _mean, now.cpu, past.cpu),
        row.of("restarts", "Restarts of containers", _total, numbers.count, *restarts, Better.LOWER),
    )
    lines = tuple(
        _line(name, now.week.hours, values)
        for name, values in (("CPUs", now.cpu), ("GPUs", now.gpu))
        if values
    )
    charts = (Chart("Utilisation", lines, numbers.percent, most=1.0),) if lines else ()
    return Section("Cluster", rows, charts=charts)


def _cost(figures: Figures, price: Price) -> Iterator[Row]:
    """Of the hours that have data: tokens of other hours are not known, so their cost is left out too."""
    now, past = (_tokens(figures, index) for index in (0, 1))
    enough = all(
        hours >= COMPARABLE * len(week.hours)
        for (hours, _, _), week in zip((now, past), (figures.week, figures.week.before), strict=True)
    )
    bounds = {"low": price.low, "high": price.high}
    for key, name, better in (
        ("cost", "Cost of the week", Better.NEITHER),
        ("cost_per_million_token", "Cost per million tokens", Better.LOWER),
        ("cost_per_million_generated", "Cost per million generated tokens", Better.LOWER),
    ):
        for bound, hourly in bounds.items():
            values = [_amount(key, hourly, *week) for week in (now, past)]
            size = "" if price.low == price.high else ", smallest" if bound == "low" else ", largest"
            if bound == "low" or size:
                shown = numbers.money(price.currency)
                yield Row(
                    f"{key}_{bound}", name + size, values[0], values[1], shown, better, comparable=enough
                )


def _amount(key: str, hourly: float, hours: int, tokens: float, generated: float) -> float | None:
    spent = hourly * hours
    if key == "cost":
        return spent if hours else None
    counted = generated if key.endswith("generated") else tokens
    return spent / counted * MILLION if counted > 0 else None


def _tokens(figures: Figures, index: int) -> tuple[int, float, float]:
    """Hours with data, tokens read and generated in them, and tokens generated."""
    hours: set[int] = set()
    generated = prompted = 0.0
    for weeks in figures.models.values():
        hours |= weeks[index].generated.keys()
        generated += sum(weeks[index].generated.values())
        prompted += sum(weeks[index].prompted.values())
    return len(hours), generated + prompted, generated


def _quantiles(histograms: Mapping[int, Histogram]) -> dict[float, Estimate]:
    whole = together(list(histograms.values()))
    return {wanted: found for wanted in QUANTILES if (found := whole.quantile(wanted)) is not None}


def _bucket(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if math.isinf(estimate.up_to):
        return f"more than {numbers.seconds(estimate.above)}: beyond what the engine counts"
    return f"between {numbers.seconds(estimate.above)} and {numbers.seconds(estimate.up_to)}"


def _availability(week: ModelWeek) -> float | None:
    answers = _total(week.answers)
    return 1 - sum(week.failed.values()) / answers if answers else None


def _total(values: Hourly) -> float | None:
    return sum(values.values()) if values else None


def _mean(values: Hourly) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _most(values: Hourly) -> float | None:
    return max(values.values(), default=None)


def _per_second(values: Hourly) -> float | None:
    mean = _mean(values)
    return None if mean is None else mean / HOUR


def _busiest(values: Hourly) -> float | None:
    most = _most(values)
    return None if most is None else most / HOUR


def _none(_: Hourly) -> float | None:
    return None


def _partial(week: Week, values: Sized) -> str:
    """How much of the week a figure rests on; empty for all of it, and where there is none at all."""
    hours = len(week.hours)
    return f"data for {len(values)} of {hours} hours" if 0 < len(values) < hours else ""


def _comparable(now: Week, values: Sized, past: Week, before: Sized) -> bool:
    return all(len(found) >= COMPARABLE * len(week.hours) for week, found in ((now, values), (past, before)))


def _notes(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
