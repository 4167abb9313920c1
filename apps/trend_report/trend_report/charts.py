"""Charts as SVG that takes its colours from the page around it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import Final

from trend_report.numbers import NO_DATA
from trend_report.period import Week
from trend_report.summary import Chart, Line

WIDTH: Final = 500
HEIGHT: Final = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 26
_TICKS: Final = 4
_INNER_WIDTH: Final = WIDTH - _LEFT - _RIGHT
_INNER_HEIGHT: Final = HEIGHT - _TOP - _BOTTOM


def svg(chart: Chart, week: Week) -> str:
    """The chart; text in it is escaped."""
    return "".join(_parts(chart, week))


def ceiling(chart: Chart) -> float:
    """Upper end of the axis: a round number above all values and the limit."""
    if chart.most is not None:
        return chart.most
    values = [value for line in chart.lines for value in line.values if value is not None]
    most = max([*values, chart.limit or 0.0])
    return _round_step(most / _TICKS) * _TICKS if most > 0 else 1.0


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _parts(chart: Chart, week: Week) -> Iterator[str]:
    top = ceiling(chart)
    yield (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}: '
        f'{escape(_description(chart))}" preserveAspectRatio="xMidYMid meet">'
    )
    for tick in range(_TICKS + 1):
        y = _y(top * tick / _TICKS, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        label = escape(chart.show(top * tick / _TICKS)) if tick else "0"
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>'
    yield from _days(week)
    yield from _gaps(chart, len(week.hours))
    for index, line in enumerate(chart.lines):
        yield from _line(line, index, len(chart.lines), top)
    if chart.limit is not None:
        y = _y(min(chart.limit, top), top)
        yield f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield "</svg>"


def style_class(line: Line, index: int, lines: int) -> str:
    """Class of a line: the last one is the one that counts."""
    return "faint" if line.faint else f"line{min(lines - 1 - index, 2)}"


def _description(chart: Chart) -> str:
    """What somebody hears who does not see it."""
    told = []
    for line in chart.lines:
        values = [value for value in line.values if value is not None]
        span = f"{chart.show(min(values))} to {chart.show(max(values))}" if values else NO_DATA
        told.append(f"{line.name} {span}")
    return "; ".join(told)


def _days(week: Week) -> Iterator[str]:
    """Lines between days, and their names."""
    midnights = [week.start, *(hour for hour in week.hours if week.local(hour).hour == 0)]
    for start, end in pairwise(midnights):
        left, right = (
            _LEFT + (moment - week.start) / (week.end - week.start) * _INNER_WIDTH for moment in (start, end)
        )
        if start != week.start:
            yield f'<line class="day" x1="{left:.1f}" x2="{left:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        x, name = (left + right) / 2, f"{week.local(start):%a}"
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{name}</text>'


def _gaps(chart: Chart, hours: int) -> Iterator[str]:
    """Hours for which no line has a value."""
    main = [line for line in chart.lines if not line.faint]
    empty = [all(line.values[hour] is None for line in main) for hour in range(hours)]
    start: int | None = None
    for hour, is_empty in enumerate([*empty, False]):
        if is_empty and start is None:
            start = hour
        elif not is_empty and start is not None:
            x, width = _x(start, hours), (hour - start) / hours * _INNER_WIDTH
            yield (
                f'<rect class="gap" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{_INNER_HEIGHT}">'
                f"<title>{NO_DATA}</title></rect>"
            )
            start = None


def _line(line: Line, index: int, lines: int, top: float) -> Iterator[str]:
    hours = len(line.values)
    name = style_class(line, index, lines)
    commands: list[str] = []
    for hour, value in enumerate(line.values):
        if value is None:
            continue
        # In the middle of its hour; what is alone between gaps is drawn as a dot by the round cap.
        x, y = _x(hour + 0.5, hours), _y(value, top)
        alone = hour == 0 or line.values[hour - 1] is None
        commands.append(f"M{x:.1f} {y:.1f}h0" if alone else f"L{x:.1f} {y:.1f}")
    if commands:
        yield f'<path class="{name}" d="{"".join(commands)}"/>'


def _x(hour: float, hours: int) -> float:
    return _LEFT + hour / hours * _INNER_WIDTH


def _y(value: float, top: float) -> float:
    return _TOP + (1 - min(value, top) / top) * _INNER_HEIGHT
