"""A dashboard's frame: what it is called, its variables, and where its panels lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from components.grafana.dashboards.view import metrics_source

TAG: Final = "autoglm-platform"
"""Of all dashboards here; each links to the others by it."""
UID_PREFIX: Final = "autoglm-"
COLUMNS: Final = 24
"""Of Grafana's grid."""
ALL: Final = ".+"
"""What a variable stands for when nothing is chosen."""


class PlacedPanel(Protocol):
    """A panel's builder."""

    def grid_pos(self, grid_pos: GridPos) -> Any:
        """Where it lies."""

    def build(self) -> Any:
        """The panel."""


@dataclass(frozen=True)
class Section:
    """Panels below a heading, side by side; those of an incomplete line share its width."""

    title: str
    panels: Sequence[PlacedPanel]
    per_line: int
    height: int = 8
    """In units of the grid, about 30 pixels each."""


@dataclass(frozen=True)
class Variable:
    """Something to choose above the panels; `$name` in queries."""

    name: str
    label: str
    query: str

    def builder(self) -> dashboards.QueryVariable:
        """Several can be chosen; all are, at first."""
        return (
            dashboards.QueryVariable(self.name)
            .label(self.label)
            .datasource(metrics_source())
            .query(self.query)
            .multi(True)
            .include_all(True)
            .all_value(ALL)
            .current(VariableOption(selected=True, text="All", value="$__all"))
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.NATURAL_ASC)
        )


def page(
    key: str,
    title: str,
    description: str,
    sections: Iterable[Section],
    *,
    variables: Sequence[Variable] = (),
    since: str = "now-6h",
    refresh: str = "1m",
) -> Dashboard:
    """A dashboard; `key` is the stable part of its address.

    :param since: begin of the time range at first, e.g. `now-6h`.
    """
    builder = (
        dashboards.Dashboard(title)
        .uid(f"{UID_PREFIX}{key}")
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time(since, "now")
        .refresh(refresh)
        .variables([variable.builder() for variable in variables])
        .link(
            dashboards.DashboardLink("Dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    top = 0
    number = 0
    for section in sections:
        if not section.panels:
            continue
        number += 1
        builder.with_row(
            dashboards.Row(section.title).id(number).grid_pos(GridPos(x=0, y=top, w=COLUMNS, h=1))
        )
        top += 1
        for start in range(0, len(section.panels), section.per_line):
            line = section.panels[start : start + section.per_line]
            left = 0
            for index, panel in enumerate(line):
                right = COLUMNS * (index + 1) // len(line)
                number += 1
                placed = panel.grid_pos(GridPos(x=left, y=top, w=right - left, h=section.height))
                builder.with_panel(placed.id(number))
                left = right
            top += section.height
    return builder.build()
