"""The summary as titled tables, the same for terminals and pull requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stacks.connectivity.report import Connectivity
from stacks.cost.ceiling import CostCeiling
from stacks.cost.estimate import CostEstimate
from stacks.summary.events import OPERATIONS, Violation
from stacks.summary.images import Image
from stacks.summary.policies import Verdict
from stacks.summary.report import Chart, Summary

Cell = str | int


@dataclass(frozen=True)
class Table:
    """Rows below a heading."""

    heading: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    secondary: bool = False
    """Whether few will read all of it: it is folded or crowded."""
    title: str = ""


@dataclass(frozen=True)
class Section:
    """One subject."""

    title: str
    text: tuple[str, ...]
    """Sentences."""
    tables: tuple[Table, ...] = ()


def sections(summary: Summary) -> list[Section]:
    """All subjects, the verdict last: there a terminal stops."""
    parts = [_changes(summary)]
    if summary.accelerators:
        parts.append(_accelerators(summary))
    if summary.cost is not None:
        parts.append(_cost(summary.cost, summary.cost_ceiling))
    if summary.images:
        parts.append(_images(summary.images, summary.charts))
    if summary.exposures:
        parts.append(_exposure(summary))
    if summary.connectivity.rows:
        parts.append(_connectivity(summary.connectivity))
    parts.append(_policies(summary.verdict))
    parts.append(Section("Verdict", tuple(_verdict(summary))))
    return parts


def _changes(summary: Summary) -> Section:
    changes = summary.changes
    used = [one for one in OPERATIONS if changes.total(one)]
    counted = ", ".join(f"{changes.total(one)} to {one}" for one in used) or "nothing changes"
    kinds = tuple((kind.kind, *(kind.counts.get(one, 0) or "" for one in used)) for kind in changes.kinds)
    text = [f"{counted}; {changes.unchanged} unchanged."]
    if changes.disruptive:
        text.append("Taken away or made anew: " + ", ".join(changes.disruptive) + ".")
    return Section("Resources", tuple(text), (Table(("kind", *used), kinds),) if kinds else ())


def _accelerators(summary: Summary) -> Section:
    rows = tuple(
        (
            pool.pool,
            pool.accelerator,
            pool.machine_type,
            _range(pool.min_nodes, pool.max_nodes),
            f"{_range(pool.least, pool.most)} {pool.unit}",
            pool.sharing,
            ", ".join(pool.zones),
        )
        for pool in summary.accelerators
    )
    heading = ("pool", "accelerator", "machine type", "nodes", "schedulable", "sharing", "zones")
    return Section("Accelerators", (), (Table(heading, rows),))


def _cost(cost: CostEstimate, ceiling: CostCeiling | None) -> Section:
    sources = f"Prices: {'; '.join(cost.sources)}." if cost.sources else ""
    held = ""
    if ceiling is not None:
        more = " and more" if cost.unpriced else ""
        most = f"{ceiling.monthly_usd:,.0f} USD"
        held = f"{cost.low:,.0f} to {cost.high:,.0f}{more} of the {most} that it may cost."
    text = tuple(sentence for sentence in (f"{cost.title}.", held, sources) if sentence)
    heading = ("what", "how many", "low", "high", "note")
    return Section("Cost", text, (Table(heading, tuple(cost.rows())),))


def _images(images: Sequence[Image], charts: Sequence[Chart]) -> Section:
    rows = tuple((", ".join(image.workloads), _pin(image), image.reference) for image in images)
    tables = [Table(("workloads", "pinned", "reference"), rows)]
    if charts:
        text = ["Charts are not opened here: `pulumi up` pulls them, and the pack judges what is in them."]
        found = tuple((chart.release, chart.version, chart.reference) for chart in charts)
        tables.append(Table(("chart's release", "version", "reference"), found))
    else:
        text = ["Charts: none."]
    if any(image.placeholder for image in images):
        text.append("Digests of zeros are examples: `pulumi up` refuses them.")
    return Section("Images", tuple(text), tuple(tables))


def _pin(image: Image) -> str:
    if not image.pinned:
        return "NO DIGEST"
    return "example" if image.placeholder else "by digest"


def _exposure(summary: Summary) -> Section:
    rows = tuple(
        (
            way.what,
            way.reach.upper() if way.reach != "internal" else way.reach,
            ", ".join(way.ports),
            ", ".join(way.sources) or "—",
        )
        for way in summary.exposures
    )
    return Section("Exposure", (), (Table(("way in", "reach", "ports", "sources"), rows),))


def _connectivity(found: Connectivity) -> Section:
    return Section("Connectivity", found.sentences, (Table(found.heading, found.grid),))


def _policies(verdict: Verdict) -> Section:
    if not verdict.packs and not verdict.rules:
        return Section("Policies", ("No policy pack ran.",))
    packs = ", ".join(f"{name} {version}" for name, version in sorted(verdict.packs.items()))
    broken = sum(bool(rule.violations) for rule in verdict.rules)
    text = (
        f"{packs or 'The pack'}: {len(verdict.rules) - broken} rules passed, {broken} violated, "
        f"{len(verdict.exemptions)} exemptions, {len(verdict.advisories)} advisories.",
    )
    by_rule = tuple((rule.rule, rule.passed, len(rule.violations) or "") for rule in verdict.rules)
    heading = ("rule", "resources passed", "violations")
    tables = [Table(heading, by_rule, secondary=True, title="By rule")]
    if verdict.violations:
        tables.append(_findings("Violations", verdict.violations))
    if verdict.exemptions:
        rows = tuple((one.rule, one.until, one.resource, one.reason) for one in verdict.exemptions)
        tables.append(Table(("rule", "until", "resource", "reason"), rows, title="Exemptions"))
    if verdict.advisories:
        tables.append(_findings("Advisories", verdict.advisories))
    return Section("Policies", text, tuple(tables))


def _findings(title: str, violations: Iterable[Violation]) -> Table:
    heading = ("rule", "severity", "resource", "what and fix")
    return Table(heading, tuple(_rows(violations)), title=title)


def _rows(violations: Iterable[Violation]) -> Iterator[tuple[Cell, ...]]:
    for found in violations:
        yield found.rule, found.severity, found.resource or "stack", found.message


def _verdict(summary: Summary) -> Iterator[str]:
    violations = len(summary.verdict.violations)
    if violations:
        yield f"Refused by policy: {violations} {'violation' if violations == 1 else 'violations'}."
    elif summary.complete:
        yield "The preview is complete and no policy refuses it."
    if not summary.complete and not violations:
        yield "The preview failed; what is listed is as far as it got."
    yield from (f"Error: {error}" for error in summary.errors if error != "preview failed")


def _range(least: int, most: int) -> str:
    return str(least) if least == most else f"{least}–{most}"
