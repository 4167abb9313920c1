"""What a stack may cost a month at most: a plan that could cost more is refused before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.problems import Problem
from components.common.schema import FrozenModel
from stacks.cost.estimate import CostEstimate, CostLine

DEAREST: Final = 3
"""Lines that a message names."""

# From the text of the number, so that no digit passes through a binary fraction.
Amount = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class CostCeiling(FrozenModel):
    """The most that the stack may cost."""

    monthly_usd: Amount
    """US dollars a month of 730 hours, by list prices, with every node pool at its largest."""
    unpriced: Literal["refuse", "accept"] = "refuse"
    """What becomes of a stack with parts that the price table does not know: `refuse` it, as nobody can tell
    what it costs, or `accept` it and hold the ceiling against the rest."""


def ceiling_problems(ceiling: CostCeiling | None, cost: CostEstimate | None) -> list[Problem]:
    """What is wrong with a stack's cost; paths begin below the section `costCeiling`.

    :param cost: None where nothing of the stack has a price.
    """
    return [] if ceiling is None else list(_problems(ceiling, cost))


def _problems(ceiling: CostCeiling, cost: CostEstimate | None) -> Iterator[Problem]:
    wanted = f"{_number(ceiling.monthly_usd)} USD a month"
    if cost is None:
        yield Problem(
            "monthlyUsd",
            f"{wanted}: nothing of a cluster that is there already has a price; remove the section",
        )
        return
    if cost.currency != "USD":
        yield Problem(
            "monthlyUsd",
            f"{wanted}: the price table is in {cost.currency}; use one in USD, or remove the section",
        )
        return
    if cost.unpriced and ceiling.unpriced == "refuse":
        yield Problem(
            "unpriced",
            f"{', '.join(cost.unpriced)}: not in the price table, so nobody can tell whether the stack stays "
            f"below {wanted}; add prices to stacks/cost/prices.yaml, or write accept",
        )
    if cost.high > ceiling.monthly_usd:
        without = f" without {', '.join(cost.unpriced)}" if cost.unpriced else ""
        yield Problem(
            "monthlyUsd",
            f"{wanted}: the stack may cost {_number(cost.low)} to {_number(cost.high)} USD{without}, most of "
            f"it {_dearest(cost.lines)}; lower maxNodes of what costs most, or raise the ceiling to "
            f"{_number(_rounded_up(cost.high))}",
        )


def _dearest(lines: Sequence[CostLine]) -> str:
    priced = [(line.high, line) for line in lines if line.high]
    chosen = sorted(priced, key=lambda each: each[0], reverse=True)[:DEAREST]
    return ", ".join(f"{line.name} ({line.what}: {_number(high)})" for high, line in chosen)


def _rounded_up(amount: Decimal) -> Decimal:
    """To whole dollars: what is suggested must be enough."""
    return Decimal(-(-amount // 1)) if amount % 1 == 0 else Decimal(amount // 1 + 1)


def _number(amount: Decimal) -> str:
    """With separators; cents only where there are some that matter for a comparison."""
    return f"{amount:,.2f}".removesuffix(".00")
