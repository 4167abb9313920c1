"""The price table: list prices by cloud, region and machine type or item, each with source and date."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, model_validator

from components.accelerators.catalogue import Cloud
from components.common.schema import FrozenModel

HOURS_PER_MONTH: Final = 730
"""What both clouds' calculators reckon with: 365 × 24 / 12."""
EVERYWHERE: Final = "global"
"""In place of a region, for what costs the same in all of them."""
TABLE: Final = Path(__file__).with_name("prices.yaml")

Unit = Literal["hour", "month", "gb", "gb-month"]
"""An hour of being there, a month of being there, a GB moved, a GB stored for a month."""
# Texts in the file, so that no digit passes through a binary fraction.
Price = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class PriceSource(FrozenModel):
    """Where prices were read."""

    repository: str
    """Public repository, `owner/name`."""
    path: str
    """File in it."""
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """Version of the file."""
    date: datetime.date
    """Of that version."""
    note: str
    """What the file is."""


class NodePrices(FrozenModel):
    """Prices of machine types in one region, from one source."""

    source: str
    """Key in `sources`."""
    hourly: dict[str, Price]
    """Price of an hour, on demand, by machine type."""


class ItemPrice(FrozenModel):
    """Price of something that is no machine."""

    title: str
    """What it is, and what is not in it."""
    price: Price
    """Of one unit."""
    unit: Unit
    """What is counted."""
    source: str
    """Key in `sources`."""


class PriceTable(FrozenModel):
    """All prices."""

    currency: str
    """Code of the currency, e.g. USD."""
    sources: dict[str, PriceSource]
    """By key."""
    nodes: dict[Cloud, dict[str, tuple[NodePrices, ...]]]
    """Machine types, by cloud and region."""
    items: dict[Cloud, dict[str, dict[str, ItemPrice]]]
    """Everything else, by cloud, region or `global`, and key."""

    @model_validator(mode="after")
    def _sources_are_known(self) -> PriceTable:
        used = {
            block.source for regions in self.nodes.values() for lists in regions.values() for block in lists
        }
        used |= {
            item.source
            for regions in self.items.values()
            for items in regions.values()
            for item in items.values()
        }
        if missing := used - self.sources.keys():
            raise ValueError(
                f"sources: {', '.join(sorted(missing))} missing; describe each source that is used"
            )
        return self

    def node(self, cloud: Cloud, region: str, machine_type: str) -> tuple[Decimal, PriceSource] | None:
        """Price of an hour on demand, and its source; None where the table has none."""
        for block in self.nodes.get(cloud, {}).get(region, ()):
            if machine_type in block.hourly:
                return block.hourly[machine_type], self.sources[block.source]
        return None

    def item(self, cloud: Cloud, region: str, key: str) -> ItemPrice | None:
        """The price of an item in the region, or everywhere; None where the table has neither."""
        regions = self.items.get(cloud, {})
        return regions.get(region, {}).get(key) or regions.get(EVERYWHERE, {}).get(key)


def load_prices(path: Path = TABLE) -> PriceTable:
    """The table in a file; raises OSError, yaml.YAMLError or pydantic's ValidationError."""
    return PriceTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
