"""A dashboard as a picture: its own grid, titles, units and thresholds, and the answers to its queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import Any, Final

from tests.artifacts.dashboards.answers import POINTS, Line, TimeRange
from tests.artifacts.dashboards.formats import text, ticks

WIDTH: Final = 1440
MARGIN: Final = 16
CELL: Final = 30
GAP: Final = 8
HEAD: Final = 88
"""Height of title, time range and variables."""
FONT: Final = "Inter, 'Helvetica Neue', Arial, sans-serif"
CANVAS, PANEL, BORDER = "#111217", "#181b1f", "#2a2d33"
INK, SOFT, GRID = "#ccccdc", "#8e8ea0", "#2c3035"
PALETTE: Final = (
    *("#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#56A64B", "#FFA6B0"),
    *("#96D98D", "#FADE2A", "#C0D8FF", "#FFB357", "#CA95E5", "#37872D", "#E0B400"),
)
"""Grafana's classic palette."""
COLOURS: Final = {
    "green": "#73BF69",
    "yellow": "#F2CC0C",
    "red": "#F2495C",
    "blue": "#5794F2",
    "orange": "#FF780A",
    "dark-grey": "#3d4149",
}
NARROW: Final = "fijlrtI.,:;|!'()[] /-"
"""Characters that take about half the width of others."""
LEGENDS: Final = 6
"""Names that a legend has room for on a wide panel."""


@dataclass(frozen=True)
class Box:
    """Where something is drawn, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass
class Drawing:
    """SVG elements in the order in which they are painted."""

    parts: list[str] = field(default_factory=list)

    def rectangle(
        self, box: Box, fill: str, *, stroke: str = "none", radius: float = 0, more: str = ""
    ) -> None:
        """A filled box."""
        self.parts.append(
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{max(box.width, 0):.1f}" '
            f'height="{max(box.height, 0):.1f}" fill="{fill}" stroke="{stroke}" rx="{radius}"{more}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        fill: str = INK,
        anchor: str = "start",
        weight: int = 400,
    ) -> None:
        """A line of text; `y` is its base line."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(words)}</text>'
        )

    def path(
        self,
        points: Sequence[tuple[float, float]],
        *,
        stroke: str = "none",
        fill: str = "none",
        width: float = 1.3,
        more: str = "",
    ) -> None:
        """Straight lines from point to point."""
        if not points:
            return
        steps = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        drawn = (
            f' stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"' if stroke != "none" else ""
        )
        self.parts.append(f'<polyline points="{steps}" fill="{fill}"{drawn}{more}/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = "") -> None:
        """One straight line."""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>'
        )


def draw(dashboard: dict[str, Any], span: TimeRange, answer: Callable[[dict[str, Any]], list[Line]]) -> str:
    """The picture, as SVG.

    :param answer: what a panel got for its queries.
    """
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    height = HEAD + rows * (CELL + GAP) + MARGIN
    drawing = Drawing()
    drawing.rectangle(Box(0, 0, WIDTH, height), CANVAS)
    _head(drawing, dashboard, span)
    for panel in dashboard["panels"]:
        box = _place(panel["gridPos"])
        if panel["type"] == "row":
            drawing.text(box.x + 4, box.y + 20, f"⌄  {panel['title']}", size=14, weight=500)
            continue
        drawing.parts.append(f'<g class="panel" data-title="{escape(panel["title"])}">')
        _PANELS[panel["type"]](drawing, _frame(drawing, panel, box), panel, answer(panel), span)
        drawing.parts.append("</g>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="{FONT}" role="img">\n'
        f"<title>{escape(dashboard['title'])}</title>\n" + "\n".join(drawing.parts) + "\n</svg>\n"
    )


def _place(grid: Mapping[str, int]) -> Box:
    column = (WIDTH - 2 * MARGIN + GAP) / 24
    return Box(
        MARGIN + grid["x"] * column,
        HEAD + grid["y"] * (CELL + GAP),
        grid["w"] * column - GAP,
        grid["h"] * (CELL + GAP) - GAP,
    )


def _head(drawing: Drawing, dashboard: dict[str, Any], span: TimeRange) -> None:
    drawing.text(MARGIN + 4, 34, "autoglm-platform  ›", size=14, fill=SOFT)
    drawing.text(MARGIN + 146, 34, dashboard["title"], size=16, weight=500)
    first, last = (
        datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M") for moment in (span.start, span.end)
    )
    words = f"{first}  to  {last} UTC"
    drawing.rectangle(Box(WIDTH - MARGIN - 322, 14, 322, 30), "#22252b", stroke=BORDER, radius=3)
    drawing.text(WIDTH - MARGIN - 161, 34, words, size=12.5, anchor="middle")
    x: float = MARGIN
    for variable in dashboard["templating"].get("list", []):
        label = variable["label"]
        width = 20 + 7.2 * len(label)
        drawing.rectangle(Box(x, 52, width, 26), "#22252b", stroke=BORDER, radius=2)
        drawing.text(x + 10, 69, label, size=12)
        drawing.rectangle(Box(x + width, 52, 70, 26), CANVAS, stroke=BORDER, radius=2)
        drawing.text(x + width + 10, 69, "All  ⌄", size=12, fill=SOFT)
        x += width + 82
    if not dashboard["templating"].get("list"):
        drawing.text(MARGIN + 4, 69, dashboard["description"], size=12.5, fill=SOFT)


def _frame(drawing: Drawing, panel: dict[str, Any], box: Box) -> Box:
    """The panel's frame and title; what is left inside."""
    drawing.rectangle(box, PANEL, stroke=BORDER, radius=3)
    drawing.text(box.x + 10, box.y + 20, _cut(panel["title"], box.width - 40, 13), size=13, weight=500)
    if panel.get("links"):
        drawing.text(box.right - 12, box.y + 20, "↗", size=12, fill=SOFT, anchor="end")
    return Box(box.x + 10, box.y + 30, box.width - 20, box.height - 38)


def _cut(words: str, width: float, size: float) -> str:
    if _wide(words, size) <= width:
        return words
    while words and _wide(words + "…", size) > width:
        words = words[:-1]
    return words + "…"


def _wide(words: str, size: float) -> float:
    """About how wide a text is, in the widest of the fonts that may be used."""
    return size * sum(0.38 if one in NARROW else 0.78 if one.isupper() else 0.64 for one in words)


def _colour(name: str) -> str:
    return COLOURS.get(name, name)


def _unit(panel: dict[str, Any]) -> str:
    return str(panel["fieldConfig"]["defaults"].get("unit", "none"))


def _steps(panel: dict[str, Any]) -> list[tuple[float, str]]:
    found = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return [(-math.inf if step["value"] is None else step["value"], _colour(step["color"])) for step in found]


def _line_colours(panel: dict[str, Any], lines: Sequence[Line]) -> list[str]:
    """Those that the panel fixes by name, else one after the other of the palette."""
    fixed = {
        override["matcher"]["options"]: _colour(each["value"]["fixedColor"])
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "color"
    }
    return [fixed.get(line.name, PALETTE[index % len(PALETTE)]) for index, line in enumerate(lines)]


def _stat(drawing: Drawing, box: Box, panel: dict[str, Any], lines: list[Line], span: TimeRange) -> None:
    if not lines:
        drawing.text(box.x + box.width / 2, box.y + box.height / 2, "No data", anchor="middle", fill=SOFT)
        return
    defaults = panel["fieldConfig"]["defaults"]
    line = lines[0]
    value = sum(value for _, value in line.points) if _adds(panel) else line.last
    colour = next((colour for low, colour in reversed(_steps(panel)) if value >= low), INK)
    words = text(value, _unit(panel), defaults.get("decimals"))
    for mapping in defaults.get("mappings", []):
        if (found := mapping["options"].get(f"{value:g}")) is not None:
            words, colour = found["text"], _colour(found.get("color", colour))
    if panel["options"]["graphMode"] == "area" and len(line.points) > 1:
        _spark(
            drawing,
            Box(box.x - 9, box.y + box.height * 0.5, box.width + 18, box.height * 0.5 + 7),
            line,
            colour,
        )
    size = min(34.0, box.height * 0.5, box.width / (0.6 * max(len(words), 1)))
    drawing.text(
        box.x + box.width / 2,
        box.y + box.height * 0.46 + size * 0.3,
        words,
        size=round(size),
        fill=colour,
        anchor="middle",
        weight=500,
    )


def _adds(panel: dict[str, Any]) -> bool:
    return panel["options"]["reduceOptions"]["calcs"] == ["sum"]


def _spark(drawing: Drawing, box: Box, line: Line, colour: str) -> None:
    values = [value for _, value in line.points]
    low, high = min(values), max(values)
    low = min(low, 0.0) if high - low > 0.3 * abs(high) else low - 0.5 * abs(high or 1)
    start, end = line.points[0][0], line.points[-1][0]
    spread = (high - low) or 1.0
    points = [
        (
            box.x + box.width * (time - start) / ((end - start) or 1),
            box.bottom - box.height * 0.9 * (value - low) / spread,
        )
        for time, value in line.points[:: max(1, len(line.points) // 90)]
    ]
    area = [(points[0][0], box.bottom), *points, (points[-1][0], box.bottom)]
    drawing.path(area, fill=colour, more=' fill-opacity="0.14"')
    drawing.path(points, stroke=colour, width=1, more=' stroke-opacity="0.7"')


def _time_series(
    drawing: Drawing, box: Box, panel: dict[str, Any], lines: list[Line], span: TimeRange
) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    unit = _unit(panel)
    limits = _steps(panel)[1:] if custom.get("thresholdsStyle", {}).get("mode") == "dashed" else []
    colours = _line_colours(panel, lines)
    legend_lines = _legend(drawing, box, panel, lines, colours)
    plot = Box(box.x + 52, box.y + 6, box.width - 56, box.height - 28 - 17 * legend_lines)
    stacks = (
        _stack(lines) if stacked else [[(time, 0.0, value) for time, value in line.points] for line in lines]
    )
    high = _top(panel, stacks, [value for value, _ in limits])
    low = 0.0
    _axes(drawing, plot, span, low, high, unit)
    for position, colour in zip(stacks, colours, strict=True):
        _area(drawing, plot, span, position, colour, (low, high), custom)
    for value, colour in limits:
        if value <= high:
            y = plot.bottom - plot.height * (value - low) / (high - low)
            drawing.line(plot.x, y, plot.right, y, colour, ' stroke-dasharray="7 5" stroke-width="1.3"')
    if not lines:
        drawing.text(plot.x + plot.width / 2, plot.y + plot.height / 2, "No data", anchor="middle", fill=SOFT)


def _stack(lines: Sequence[Line]) -> list[list[tuple[float, float, float]]]:
    below: dict[float, float] = {}
    made = []
    for line in lines:
        layer = []
        for time, value in line.points:
            base = below.get(time, 0.0)
            below[time] = base + value
            layer.append((time, base, base + value))
        made.append(layer)
    return made


def _top(
    panel: dict[str, Any], stacks: Sequence[Sequence[tuple[float, float, float]]], limits: Sequence[float]
) -> float:
    if (most := panel["fieldConfig"]["defaults"].get("max")) is not None:
        return float(most)
    highest = max((upper for layer in stacks for _, _, upper in layer), default=0.0)
    # Grafana draws a limit that lies beyond the data only if the axis reaches it; here it always does.
    return max([highest * 1.06, *(limit * 1.15 for limit in limits)]) or 1.0


def _axes(drawing: Drawing, plot: Box, span: TimeRange, low: float, high: float, unit: str) -> None:
    for value in ticks(low, high, max(2, int(plot.height / 42)), unit) if high > low else ():
        y = plot.bottom - plot.height * (value - low) / (high - low)
        drawing.line(plot.x, y, plot.right, y, GRID)
        drawing.text(plot.x - 7, y + 4, text(value, unit), size=11, fill=SOFT, anchor="end")
    wanted = max(2, int(plot.width / 62))
    step = next(
        seconds
        for seconds in (900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800)
        if span.seconds / seconds <= wanted
    )
    for moment in range(-(-span.start // step) * step, span.end + 1, step):
        x = plot.x + plot.width * (moment - span.start) / span.seconds
        drawing.line(x, plot.y, x, plot.bottom, GRID, ' stroke-opacity="0.5"')
        pattern = "%m-%d" if step >= 86_400 else "%H:%M" if span.seconds <= 86_400 else "%m-%d %H:%M"
        if plot.x + 12 < x < plot.right - 10:
            words = datetime.fromtimestamp(moment, UTC).strftime(pattern)
            drawing.text(x, plot.bottom + 16, words, size=11, fill=SOFT, anchor="middle")


def _area(
    drawing: Drawing,
    plot: Box,
    span: TimeRange,
    layer: Sequence[tuple[float, float, float]],
    colour: str,
    ends: tuple[float, float],
    look: Mapping[str, Any],
) -> None:
    low, high = ends

    def place(time: float, value: float) -> tuple[float, float]:
        part = min(max((value - low) / (high - low), 0.0), 1.02)
        return plot.x + plot.width * (time - span.start) / span.seconds, plot.bottom - plot.height * part

    if look.get("drawStyle") == "bars":
        apart = min(
            (after[0] - before[0] for before, after in pairwise(layer)), default=span.seconds / POINTS
        )
        width = plot.width * apart / span.seconds * 0.8
        for time, base, upper in layer:
            x, y = place(time, upper)
            if upper > base:
                drawing.rectangle(
                    Box(x, y, width, place(time, base)[1] - y), colour, more=' fill-opacity="0.75"'
                )
        return
    for piece in _pieces(layer, span):
        above = _simple([place(time, upper) for time, _, upper in piece])
        below = _simple([place(time, base) for time, base, _ in piece])
        opacity = look.get("fillOpacity", 0) / 100
        drawing.path([*above, *reversed(below)], fill=colour, more=f' fill-opacity="{opacity:g}"')
        if look.get("lineWidth"):
            drawing.path(above, stroke=colour)


def _simple(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without points that lie within a third of a pixel of the way between their neighbours."""
    if len(points) < 3:
        return points
    (x1, y1), (x2, y2) = points[0], points[-1]
    slope = (y2 - y1) / ((x2 - x1) or 1)
    far, index = max((abs(y1 + slope * (x - x1) - y), at) for at, (x, y) in enumerate(points))
    if far <= 0.35:
        return [points[0], points[-1]]
    return [*_simple(points[: index + 1])[:-1], *_simple(points[index:])]


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _pieces(
    layer: Sequence[tuple[float, float, float]], span: TimeRange
) -> list[list[tuple[float, float, float]]]:
    """Where there were no samples, a line has a gap."""
    pieces: list[list[tuple[float, float, float]]] = []
    gap = max(120.0, 2.5 * span.seconds / POINTS)
    for point in layer:
        if not pieces or point[0] - pieces[-1][-1][0] > gap:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _legend(
    drawing: Drawing, box: Box, panel: dict[str, Any], lines: Sequence[Line], colours: Sequence[str]
) -> int:
    """Names and newest values; returns how many lines they take."""
    calc = panel["options"]["legend"].get("calcs", [])
    entries = []
    for line in lines:
        value = sum(value for _, value in line.points) if calc == ["sum"] else line.last
        head = "Total" if calc == ["sum"] else "Last"
        entries.append((line.name, f"{head}: {text(value, _unit(panel))}"))
    rows: list[list[tuple[int, float]]] = [[]]
    x = 0.0
    for index, (name, value) in enumerate(entries):
        width = 40 + _wide(name, 11) + _wide(value, 11)
        # The second line keeps room for how many more there are.
        if x + width > box.width - (58 if len(rows) == 2 else 0) and rows[-1]:
            if len(rows) == 2:
                break
            rows.append([])
            x = 0.0
        rows[-1].append((index, x))
        x += width
    count = sum(len(row) for row in rows)
    for number, row in enumerate(rows):
        y = box.bottom + 2 - 17 * (len(rows) - 1 - number)
        for index, x in row:
            name, value = entries[index]
            drawing.rectangle(Box(box.x + x, y - 6, 13, 3.5), colours[index], radius=1.5)
            drawing.text(box.x + x + 18, y, name, size=11)
            drawing.text(box.x + x + 24 + _wide(name, 11), y, value, size=11, fill=SOFT)
        if number == len(rows) - 1 and count < len(entries):
            drawing.text(box.right, y, f"+{len(entries) - count} more", size=11, fill=SOFT, anchor="end")
    return len(rows)


def _state_timeline(
    drawing: Drawing, box: Box, panel: dict[str, Any], lines: list[Line], span: TimeRange
) -> None:
    states = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    left = 8 + max((_wide(line.name, 11.5) for line in lines), default=0.0)
    plot = Box(box.x + left, box.y + 4, box.width - left - 6, box.height - 42)
    height = plot.height / max(len(lines), 1)
    for index, line in enumerate(lines):
        top = plot.y + index * height
        drawing.text(plot.x - 8, top + height / 2 + 4, line.name, size=11.5, anchor="end", fill=SOFT)
        for start, end, value in _runs(line, span):
            state = states[f"{value:g}"]
            x = plot.x + plot.width * (start - span.start) / span.seconds
            width = plot.width * (end - start) / span.seconds
            bar = Box(x, top + height * 0.1, width, height * 0.8)
            drawing.rectangle(bar, _colour(state["color"]), radius=2, more=' fill-opacity="0.85"')
            if width > 60:
                drawing.text(x + 8, top + height / 2 + 4, state["text"], size=12, fill="#ffffff")
    _axes(drawing, Box(plot.x, plot.bottom, plot.width, 0), span, 1, 1, "none")
    x = box.x
    for state in states.values():
        drawing.rectangle(Box(x, box.bottom - 4, 13, 3.5), _colour(state["color"]), radius=1.5)
        drawing.text(x + 18, box.bottom + 2, state["text"], size=11)
        x += 40 + 6 * len(state["text"])


def _runs(line: Line, span: TimeRange) -> list[tuple[float, float, float]]:
    """Stretches of the same value: begin, end, value."""
    runs: list[tuple[float, float, float]] = []
    for (time, value), (after, _) in zip(line.points, [*line.points[1:], (span.end, 0.0)], strict=True):
        if runs and runs[-1][2] == value and runs[-1][1] >= time:
            runs[-1] = (runs[-1][0], after, value)
        else:
            runs.append((time, after, value))
    return runs


def _table(drawing: Drawing, box: Box, panel: dict[str, Any], lines: list[Line], span: TimeRange) -> None:
    columns = _columns(panel, lines)
    widths = _widths(columns, lines, panel, box.width)
    x = box.x
    for (_, heading), width in zip(columns, widths, strict=True):
        drawing.text(x, box.y + 12, _cut(heading, width, 12), size=12, weight=600, fill="#6e9fff")
        x += width
    drawing.line(box.x, box.y + 20, box.right, box.y + 20, GRID)
    room = int((box.height - 24) // 24)
    for number, line in enumerate(lines[:room]):
        y = box.y + 38 + 24 * number
        x = box.x
        for (name, _), width in zip(columns, widths, strict=True):
            words = _cell(line, name, panel)
            drawing.text(x, y, _cut(words, width - 6, 12), size=12)
            x += width
        drawing.line(box.x, y + 7, box.right, y + 7, GRID, ' stroke-opacity="0.6"')
    if not lines:
        drawing.text(box.x + box.width / 2, box.y + box.height / 2, "No data", anchor="middle", fill=SOFT)


def _columns(panel: dict[str, Any], lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Fields in order, with their headings."""
    organize = next(one for one in panel["transformations"] if one["id"] == "organize")["options"]
    names = organize["renameByName"]
    order = organize.get("indexByName", {})
    columns = sorted(names, key=lambda name: order.get(name, 0))
    return [(name, names[name]) for name in columns if any(_cell(line, name, panel) for line in lines)]


def _cell(line: Line, name: str, panel: dict[str, Any]) -> str:
    if name in ("Value", "Count"):
        return text(line.last, _unit(panel), panel["fieldConfig"]["defaults"].get("decimals"))
    if name == "@timestamp":
        return datetime.fromtimestamp(line.points[0][0], UTC).strftime("%Y-%m-%d %H:%M:%S")
    return line.labels.get(name, "")


def _widths(
    columns: Sequence[tuple[str, str]], lines: Sequence[Line], panel: dict[str, Any], whole: float
) -> list[float]:
    """Of the columns, by their longest text."""
    longest = [
        max([_wide(heading, 13), *(min(_wide(_cell(line, name, panel), 12), 330) for line in lines)]) + 12
        for name, heading in columns
    ]
    return [whole * each / (sum(longest) or 1) for each in longest]


_PANELS: Final[Mapping[str, Callable[[Drawing, Box, dict[str, Any], list[Line], TimeRange], None]]] = {
    "stat": _stat,
    "timeseries": _time_series,
    "state-timeline": _state_timeline,
    "table": _table,
}
