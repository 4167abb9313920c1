"""What people write about the weekly report in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.common.names import DnsLabel
from components.common.quantities import GIB, Bytes
from components.common.schema import FrozenModel, PositiveInt
from components.etcd.settings import CronSchedule

HourlyAmount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StackPrice(FrozenModel):
    """What the whole stack costs in an hour."""

    low: HourlyAmount
    """At its smallest."""
    high: HourlyAmount
    """At its largest; the same as `low` where it does not grow."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """Code of the currency."""


class ReportStorage(FrozenModel):
    """Volume of the reports."""

    size: Bytes = GIB
    """Capacity. A report takes some 60 KiB."""
    storage_class: DnsLabel | None = None
    """Of the volume; without it, the cluster's default."""


class TrendReport(FrozenModel):
    """A report on the week, as a page, as Markdown and as a summary in the chat."""

    schedule: CronSchedule = "30 6 * * 1"
    """When it is made, as cron writes it, in `timeZone`: Monday at half past six. It is always on the last
    week that is over."""
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")] = "Etc/UTC"
    """Whose Mondays begin a week, e.g. Asia/Shanghai."""
    keep_weeks: PositiveInt = 104
    """Reports that are kept."""
    storage: ReportStorage = Field(default_factory=ReportStorage)
    """Where they are kept."""
    price: StackPrice | None = None
    """For the cost of tokens; without it, the stack's own estimate from list prices, which there is on EKS
    and GKE only."""
    announce: bool = True
    """Whether a summary goes to the receivers of reports (`monitoring.routing.reports`)."""
