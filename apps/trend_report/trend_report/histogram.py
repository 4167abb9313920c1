"""Prometheus' classic histograms: counts of observations up to each bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A quantile, and between which bounds it really lies."""

    value: float
    above: float
    up_to: float


@dataclass(frozen=True)
class Histogram:
    """Observations up to each bound, infinity included."""

    counts: Mapping[float, float]

    @property
    def total(self) -> float:
        """All observations."""
        return self.counts.get(math.inf, 0.0)

    def part(self, bound: float) -> float | None:
        """Part of the observations up to a bound; None without observations or that bound."""
        if self.total <= 0 or bound not in self.counts:
            return None
        return min(1.0, self.counts[bound] / self.total)

    def quantile(self, wanted: float) -> Estimate | None:
        """As `histogram_quantile` of PromQL: linear within a bucket; None without observations.

        Beyond the last finite bound nothing is known: that bound is the value, and `up_to` is infinite.
        """
        total = self.total
        bounds = sorted(self.counts)
        if total <= 0 or len(bounds) < 2:
            return None
        rank = wanted * total
        before, reached = 0.0, 0.0
        for bound in bounds:
            # Sums of rates can fall a little from one bucket to the next.
            count = max(reached, self.counts[bound])
            if count >= rank:
                if math.isinf(bound):
                    return Estimate(before, before, math.inf)
                inside = count - reached
                part = (rank - reached) / inside if inside > 0 else 1.0
                return Estimate(before + (bound - before) * part, before, bound)
            before, reached = bound, count
        return Estimate(bounds[-2], bounds[-2], math.inf)
