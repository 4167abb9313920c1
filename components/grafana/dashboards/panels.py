"""Panels as all dashboards have them: title, unit, queries with legends, threshold, runbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from components.grafana.dashboards.view import View, metrics_source
from components.monitoring.rule import AlertRule

GREEN: Final = "green"
YELLOW: Final = "yellow"
RED: Final = "red"
BLUE: Final = "blue"
STATUS: Final = {"2xx": GREEN, "3xx": BLUE, "4xx": YELLOW, "5xx": RED}
"""Colours of classes of status codes."""
TOKENS_PER_SECOND: Final = "si:tok/s"
"""A unit of one's own, which Grafana scales by thousands."""

Panel: TypeAlias = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel


@dataclass(frozen=True)
class Query:
    """PromQL and the name of its series."""

    expr: str
    legend: str
    """Text with `{{label}}`."""

    def target(self, letter: str) -> prometheus.Dataquery:
        """Over the time range."""
        query = prometheus.Dataquery().datasource(metrics_source()).ref_id(letter)
        return query.expr(self.expr).legend_format(self.legend).range()

    def instant(self, letter: str) -> prometheus.Dataquery:
        """At the end of the time range."""
        query = prometheus.Dataquery().datasource(metrics_source()).ref_id(letter)
        return query.expr(self.expr).legend_format(self.legend).instant()


@dataclass(frozen=True)
class Limit:
    """Where an alert begins, drawn as a line."""

    value: float
    alert: AlertRule
    first: float | None = None
    """Where a milder alert on the same begins."""


@dataclass(frozen=True)
class Step:
    """A colour from a value on; None is from the lowest on."""

    value: float | None
    colour: str


def time_series(
    view: View,
    title: str,
    unit: str,
    *queries: Query,
    meaning: str,
    limit: Limit | None = None,
    stacked: bool = False,
    bars: bool = False,
    colours: Mapping[str, str] | None = None,
    most: float | None = None,
    runbooks: Sequence[AlertRule] = (),
) -> timeseries.Panel:
    """Lines over time.

    :param meaning: what the panel tells, for its tooltip.
    :param bars: for what is counted and rarely happens.
    :param colours: by name of the line, where one means something.
    :param most: upper end of the axis, where values have one.
    :param runbooks: alerts on the same matter that draw no line.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(meaning)
        .datasource(metrics_source())
        .unit(unit)
        .min(0)
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .line_width(0 if stacked or bars else 1)
        .fill_opacity(60 if stacked or bars else 8)
        .show_points(VisibilityMode.NEVER)
        .legend(legend_below("lastNotNull"))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .targets([query.target(chr(ord("A") + index)) for index, query in enumerate(queries)])
    )
    if most is not None:
        panel.max(most)
    coloured(panel, colours or {})
    if stacked:
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if limit is not None:
        panel.thresholds(thresholds(_lines(limit))).thresholds_style(
            GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    alerts = [*([limit.alert] if limit is not None else []), *runbooks]
    if alerts:
        panel.links(_runbook_links(view, alerts))
    return panel


def single(
    view: View,
    title: str,
    unit: str,
    query: Query,
    *,
    meaning: str,
    steps: Sequence[Step] = (Step(None, BLUE),),
    decimals: int | None = None,
    texts: Mapping[str, ValueMappingResult] | None = None,
    alert: AlertRule | None = None,
    over_time: bool = True,
) -> stat.Panel:
    """The newest value, in large.

    :param over_time: whether its course is drawn behind it; else it is asked for once, at the end.
    """
    target = query.target("A") if over_time else query.instant("A")
    panel = (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(metrics_source())
        .unit(unit)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA if over_time else BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(thresholds(steps))
        .targets([target])
    )
    if decimals is not None:
        panel.decimals(decimals)
    if texts is not None:
        panel.mappings([ValueMap(options=dict(texts))])
    if alert is not None:
        panel.links(_runbook_links(view, [alert]))
    return panel


def rows_of(
    title: str,
    unit: str,
    query: Query,
    *,
    meaning: str,
    columns: Mapping[str, str],
    value: str | None,
    steps: Sequence[Step] = (Step(None, BLUE),),
) -> table.Panel:
    """A table: a row for each series, at the end of the time range.

    :param columns: headings by label, in order; other labels are left out.
    :param value: heading of the value; None leaves it out.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(meaning)
        .datasource(metrics_source())
        .unit(unit)
        .thresholds(thresholds(steps))
        .targets([query.instant("A").format(PromQueryFormat.TABLE)])
    )
    return with_columns(panel, {**columns, **({"Value": value} if value is not None else {})})


def states(
    view: View,
    title: str,
    *queries: Query,
    meaning: str,
    texts: Mapping[str, ValueMappingResult],
    alerts: Sequence[AlertRule] = (),
) -> statetimeline.Panel:
    """Bars of states over time."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(meaning)
        .datasource(metrics_source())
        .mappings([ValueMap(options=dict(texts))])
        .merge_values(True)
        .legend(legend_below())
        .links(_runbook_links(view, alerts))
        .targets([query.target(chr(ord("A") + index)) for index, query in enumerate(queries)])
    )


def quantiles(buckets: str, by: str, *wanted: float, legend: str = "") -> tuple[Query, ...]:
    """Quantiles of a histogram.

    :param buckets: selector of its `_bucket` series.
    :param by: labels that tell lines apart, separated by commas; may be empty.
    """
    labels = f"{by}, le" if by else "le"
    return tuple(
        Query(
            f"histogram_quantile({quantile:g}, sum by ({labels}) (rate({buckets}[$__rate_interval])))",
            f"P{100 * quantile:g}{f' {legend}' if legend else ''}",
        )
        for quantile in wanted
    )


def legend_below(*figures: str) -> VizLegendOptions:
    """The names of the lines in a row below them, each with these figures of the time range."""
    below = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return below.show_legend(True).calcs(list(figures)) if figures else below.show_legend(True)


def with_columns(panel: table.Panel, columns: Mapping[str, str]) -> table.Panel:
    """The table, with these columns alone; headings by field, in order."""
    return panel.with_transformation(
        DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}})
    ).with_transformation(in_order(columns))


def in_order(columns: Mapping[str, str]) -> DataTransformerConfig:
    """Headings by field, in order."""
    order = {name: index for index, name in enumerate(columns)}
    return DataTransformerConfig(
        id_val="organize", options={"indexByName": order, "renameByName": dict(columns)}
    )


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """The panel, with the colours of lines that mean something, by name."""
    for name, colour in colours.items():
        fixed = FieldColor(mode=FieldColorModeId.FIXED, fixed_color=colour)
        panel.override_by_name(name, [DynamicConfigValue(id_val="color", value=fixed)])
    return panel


def _lines(limit: Limit) -> list[Step]:
    """Each line has the colour of what it means, whichever side of it is bad."""
    lines = [Step(limit.value, RED), *([] if limit.first is None else [Step(limit.first, YELLOW)])]
    return [Step(None, GREEN), *sorted(lines, key=lambda step: step.value or 0)]


def thresholds(steps: Sequence[Step]) -> dashboards.ThresholdsConfig:
    """Colours by value."""
    return (
        dashboards.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=step.value, color=step.colour) for step in steps])
    )


def _runbook_links(view: View, alerts: Sequence[AlertRule]) -> list[Builder[DashboardLink]]:
    return [
        dashboards.DashboardLink(f"{alert.name}: what to do")
        .type(DashboardLinkType.LINK)
        .url(view.runbook(alert))
        .target_blank(True)
        for alert in alerts
    ]
