"""Where EC2 offers accelerated instance types, as far as is known without asking AWS.

The data is that of moto, taken from DescribeInstanceTypeOfferings by zone id, because zone names differ from
account to account. It ages: AWS adds types to zones all the time. So it decides defaults, and what settings
say explicitly is never refused because of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("offerings.json")


@dataclass(frozen=True)
class Offerings:
    """What is known."""

    source: str
    zones: Mapping[str, Sequence[str]]
    """Ids of the zones of each region."""
    offered: Mapping[str, Mapping[str, Sequence[str]]]
    """Ids of the zones that offer an instance type, by type and region; only types with accelerators."""

    def regions(self, instance_type: str) -> tuple[str, ...] | None:
        """Regions that offer the type, sorted; None if nothing is known about it."""
        regions = self.offered.get(instance_type)
        return None if regions is None else tuple(sorted(regions))

    def zone_ids(self, instance_type: str, region: str) -> tuple[str, ...] | None:
        """Zone ids of the region that offer the type; None if nothing is known about either."""
        if region not in self.zones or instance_type not in self.offered:
            return None
        return tuple(self.offered[instance_type].get(region, ()))

    def everywhere(self, instance_type: str, region: str) -> bool:
        """Whether the type is offered in all zones of the region, or nothing else is known."""
        zone_ids = self.zone_ids(instance_type, region)
        return zone_ids is None or set(zone_ids) == set(self.zones[region])


@cache
def load_offerings() -> Offerings:
    """The data of the file."""
    data = json.loads(FILE.read_text())
    return Offerings(data["source"], data["zones"], data["offered"])
