"""The estimate: what node pools and everything beside them may cost a month.

List prices, on demand, without tax, discounts, commitments and data transfer. What the table has no price for
is named as unpriced and is in no sum.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

from components.accelerators.catalogue import Cloud
from components.accelerators.machine import MachineType
from stacks.cost.prices import HOURS_PER_MONTH, PriceTable

Capacity = Literal["on-demand", "spot", "reservation"]

_NOTES: Final[dict[Capacity, str]] = {
    "on-demand": "",
    "spot": "spot capacity: at most the on-demand price, which is taken here",
    "reservation": "reserved capacity: billed whether it is used or not, so the largest size is taken",
}


@dataclass(frozen=True)
class PricedPool:
    """A node pool, as far as its price goes."""

    name: str
    cloud: Cloud
    region: str
    machine: MachineType
    min_nodes: int
    max_nodes: int
    capacity: Capacity = "on-demand"


@dataclass(frozen=True)
class PricedItem:
    """Something that is no node: a control plane, an endpoint, storage."""

    name: str
    """What it is in this stack, e.g. `S3 interface endpoint`."""
    cloud: Cloud
    region: str
    key: str
    """Key in the price table, e.g. `interface-endpoint`."""
    quantity: Decimal | int = 1
    """How many at once of what is billed by hour or month; how many GB of what is billed by those."""
    at_most: Decimal | int | None = None
    """The same where it grows, e.g. disks of nodes; None: it does not."""


@dataclass(frozen=True)
class CostLine:
    """One line of the estimate, for a month of 730 hours."""

    name: str
    what: str
    """Machine type or item, with its number."""
    low: Decimal | None
    """With the fewest nodes; None: the table has no price."""
    high: Decimal | None
    """With the most nodes."""
    note: str = ""


@dataclass(frozen=True)
class CostEstimate:
    """An estimate. `title` says so, and belongs to wherever the figures are shown."""

    currency: str
    lines: tuple[CostLine, ...]
    prices_from: tuple[datetime.date, datetime.date] | None
    """Oldest and newest date of the prices that were used; None if there were none."""
    sources: tuple[str, ...]
    """`owner/name@commit, date` of what was used."""

    @property
    def low(self) -> Decimal:
        """Sum of what is priced, with the fewest nodes."""
        return sum((line.low for line in self.lines if line.low is not None), Decimal(0))

    @property
    def high(self) -> Decimal:
        """Sum of what is priced, with the most nodes."""
        return sum((line.high for line in self.lines if line.high is not None), Decimal(0))

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Names of the lines that are in no sum."""
        return tuple(line.name for line in self.lines if line.low is None)

    @property
    def title(self) -> str:
        """What the figures are."""
        if self.prices_from is None:
            return f"Monthly cost ({self.currency}), an estimate: the price table knows nothing of this stack"
        oldest, newest = self.prices_from
        dates = f"{newest}" if oldest == newest else f"{oldest} to {newest}"
        return (
            f"Monthly cost ({self.currency}), an estimate from list prices of {dates}, without tax, "
            "discounts and data transfer"
        )

    def rows(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """Cells of a text table: name, what, low, high, note; the last row is the sum."""
        body = tuple(
            (line.name, line.what, _money(line.low), _money(line.high), line.note) for line in self.lines
        )
        note = f"without {', '.join(self.unpriced)}" if self.unpriced else ""
        return (*body, ("Sum", "", _money(self.low), _money(self.high), note))


def estimate(pools: Sequence[PricedPool], extras: Sequence[PricedItem], table: PriceTable) -> CostEstimate:
    """What the pools and everything else may cost a month, at their smallest and at their largest."""
    lines = (*(_pool_line(pool, table) for pool in pools), *(_item_line(item, table) for item in extras))
    used = dict(_sources(pools, extras, table))
    dates = sorted(used.values())
    return CostEstimate(
        currency=table.currency,
        lines=lines,
        prices_from=(dates[0], dates[-1]) if dates else None,
        sources=tuple(f"{name}, {date}" for name, date in used.items()),
    )


def _node(pool: PricedPool, table: PriceTable) -> tuple[Decimal, str, datetime.date] | None:
    """Price of an hour; none for accelerators that were added to a machine, which cost extra."""
    found = table.node(pool.cloud, pool.region, pool.machine.name)
    if found is None or (pool.machine.attachable and pool.machine.accelerator_count):
        return None
    hourly, source = found
    return hourly, f"{source.repository}@{source.commit[:12]}", source.date


def _pool_line(pool: PricedPool, table: PriceTable) -> CostLine:
    what = f"{_range(pool.min_nodes, pool.max_nodes)} × {pool.machine.name}"
    found = _node(pool, table)
    if found is None:
        return CostLine(pool.name, what, None, None, f"no price for {pool.region}")
    monthly = found[0] * HOURS_PER_MONTH
    least = pool.max_nodes if pool.capacity == "reservation" else pool.min_nodes
    return CostLine(pool.name, what, least * monthly, pool.max_nodes * monthly, _NOTES[pool.capacity])


def _item_line(item: PricedItem, table: PriceTable) -> CostLine:
    most = item.quantity if item.at_most is None else item.at_most
    price = table.item(item.cloud, item.region, item.key)
    if price is None:
        return CostLine(
            item.name,
            f"{_range(item.quantity, most)} × {item.key}",
            None,
            None,
            f"no price for {item.region}",
        )
    monthly = price.price * (HOURS_PER_MONTH if price.unit == "hour" else 1)
    unit = {"hour": "", "month": "", "gb": " GB", "gb-month": " GB"}[price.unit]
    return CostLine(
        item.name,
        f"{_range(item.quantity, most)}{unit} × {item.key}",
        item.quantity * monthly,
        most * monthly,
        price.title,
    )


def _sources(
    pools: Sequence[PricedPool], extras: Sequence[PricedItem], table: PriceTable
) -> Iterator[tuple[str, datetime.date]]:
    for pool in pools:
        if found := _node(pool, table):
            yield found[1], found[2]
    for item in extras:
        if price := table.item(item.cloud, item.region, item.key):
            source = table.sources[price.source]
            yield f"{source.repository}@{source.commit[:12]}", source.date


def _range(least: Decimal | int, most: Decimal | int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _money(amount: Decimal | None) -> str:
    if amount is None:
        return "unpriced"
    return f"{amount.quantize(Decimal(1), ROUND_HALF_UP):,}"
