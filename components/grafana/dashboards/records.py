"""Panels of audit records, from the log store. Their fields are those of the records (docs/audit.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import elasticsearch, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.elasticsearch import TermsOrder

from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    YELLOW,
    Step,
    coloured,
    in_order,
    legend_below,
    thresholds,
    with_columns,
)
from components.grafana.dashboards.view import log_source

TIME: Final = "@timestamp"
ROWS: Final = 10
"""Of tables of those with the most."""
RECORDS: Final = 50
"""Of the newest ones that are shown."""
COLUMNS: Final = {
    TIME: "Time",
    "source": "Source",
    "user": "User",
    "action": "Action",
    "resource": "Resource",
    "ip": "Address",
    "result": "Result",
    "trace_id": "Trace",
}
"""Headings by field."""


@dataclass(frozen=True)
class RecordQuery:
    """Which records: a query in Lucene's syntax."""

    text: str

    def target(self) -> elasticsearch.Dataquery:
        """Their number."""
        return (
            elasticsearch.Dataquery()
            .ref_id("A")
            .datasource(log_source())
            .query(self.text)
            .time_field(TIME)
            .metrics([elasticsearch.Count().id("1")])
        )


def count(title: str, records: RecordQuery, *, meaning: str, bad: bool = False) -> stat.Panel:
    """How many there are in the time range."""
    steps = (Step(None, GREEN), Step(1, YELLOW)) if bad else (Step(None, BLUE),)
    return (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(log_source())
        .unit(units.Short)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["sum"]).values(False))
        .thresholds(thresholds(steps))
        .targets([records.target().bucket_aggs([_by_time("2")])])
    )


def over_time(
    title: str, records: RecordQuery, field: str, *, meaning: str, colours: Mapping[str, str]
) -> timeseries.Panel:
    """Their number by the values of a field, over time."""
    query = records.target().alias(f"{{{{term {field}}}}}")
    panel = (
        timeseries.Panel()
        .title(title)
        .description(meaning)
        .datasource(log_source())
        .unit(units.Short)
        .min(0)
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(60)
        .line_width(0)
        .show_points(VisibilityMode.NEVER)
        .stacking(StackingConfig().mode(StackingMode.NORMAL).group("A"))
        .legend(legend_below("sum"))
        .targets([query.bucket_aggs([_terms("2", field), _by_time("3")])])
    )
    return coloured(panel, colours)


def top(title: str, records: RecordQuery, field: str, heading: str, *, meaning: str) -> table.Panel:
    """The values of a field with the most of them."""
    return (
        table.Panel()
        .title(title)
        .description(meaning)
        .datasource(log_source())
        .unit(units.Short)
        .with_transformation(in_order({field: heading, "Count": "Records"}))
        .targets([records.target().bucket_aggs([_terms("2", field)])])
    )


def newest(title: str, records: RecordQuery, *, meaning: str) -> table.Panel:
    """The newest records, a row each."""
    query = records.target().metrics(
        [
            elasticsearch.RawData()
            .id("1")
            .settings(elasticsearch.ElasticsearchRawDataSettings().size(str(RECORDS)))
        ]
    )
    panel = table.Panel().title(title).description(meaning).datasource(log_source())
    return with_columns(panel.targets([query.bucket_aggs([])]), COLUMNS)


def _by_time(number: str) -> elasticsearch.DateHistogram:
    settings = elasticsearch.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0")
    return elasticsearch.DateHistogram().id(number).field(TIME).settings(settings)


def _terms(number: str, field: str) -> elasticsearch.Terms:
    settings = (
        elasticsearch.ElasticsearchTermsSettings()
        .size(str(ROWS))
        .order(TermsOrder.DESC)
        .order_by("_count")
        .min_doc_count("1")
    )
    return elasticsearch.Terms().id(number).field(field).settings(settings)
