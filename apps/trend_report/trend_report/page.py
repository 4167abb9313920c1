"""The report as one HTML page: no script, no reference to anything outside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from trend_report import charts, words
from trend_report.numbers import NO_DATA, Verdict
from trend_report.summary import Chart, Promise, Report, Row, Section
from trend_report.trend import COLUMNS, trend

STYLE: Final = Path(__file__).with_name("page.css")
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever a label holds, the browser loads and runs nothing."""


def render(report: Report) -> str:
    """The whole page."""
    return "".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    title = escape(report.title)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
    )
    coverage = "complete" if report.complete else "partial"
    yield (
        f'<header>\n<p class="kicker">Weekly report · stack {escape(report.stack)}</p>\n'
        f"<h1>Model service, week {escape(report.week.name)}</h1>\n"
        f'<p class="dates">{escape(report.week.days)} · {escape(str(report.week.zone))} · '
        f'<span class="coverage {coverage}">data for {escape(report.coverage)}</span></p>\n'
        f'<p class="headline">{escape(words.headline(report))}</p>\n</header>\n<main>\n'
    )
    for section in report.sections:
        yield from _section(section, report)
    if report.cost:
        yield "<section>\n<h2>Cost</h2>\n"
        yield from _rows(report.cost)
        yield "</section>\n"
    if rows := trend(report):
        yield "<section>\n<h2>Earlier weeks</h2>\n"
        yield from _table(("Week", "Model", *(column.name for column in COLUMNS)), rows, words_first=2)
        yield "</section>\n"
    yield '<section class="notes">\n<h2>About the data</h2>\n<ul>\n'
    for note in words.notes(report):
        yield f"<li>{escape(note)}</li>\n"
    yield "</ul>\n</section>\n</main>\n</body>\n</html>\n"


def _section(section: Section, report: Report) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(section.title)}</h2>\n"
    if section.is_empty:
        yield f"<p>{words.NOTHING}</p>\n</section>\n"
        return
    if section.promises:
        yield '<div class="promises">\n'
        for promise in section.promises:
            yield _promise(promise)
        yield "</div>\n"
    if section.worst:
        yield '<div class="worst">\n<h3>Hours that stand out</h3>\n<ul>\n'
        for hour in section.worst:
            yield f"<li><strong>{escape(hour.when)}</strong> {escape(hour.why)}</li>\n"
        yield "</ul>\n</div>\n"
    if section.charts:
        yield '<div class="charts">\n'
        for chart in section.charts:
            yield _chart(chart, report)
        yield "</div>\n"
    yield from _rows(section.rows)
    yield "</section>\n"


def _promise(promise: Promise) -> str:
    state = words.verdict(promise)
    kind = state.replace(" ", "-")
    bar = ""
    if promise.budget is not None:
        used = min(max(promise.budget, 0.0), 1.0)
        bar = (
            f'<div class="budget"><span style="width:{used * 100:.1f}%"></span></div>\n'
            f'<p class="small">{escape(words.budget(promise))}</p>\n'
        )
    return (
        f'<article class="promise {kind}">\n<h3>{escape(promise.name)}</h3>\n'
        f'<p class="reached">{escape(promise.reached)} <span class="badge">{state}</span></p>\n'
        f'<p class="small">promised: {escape(promise.wanted)}</p>\n{bar}</article>\n'
    )


def _chart(chart: Chart, report: Report) -> str:
    legend = "".join(
        f'<li><i class="key {charts.style_class(line, index, len(chart.lines))}"></i>{escape(line.name)}</li>'
        for index, line in enumerate(chart.lines)
    )
    if chart.limit is not None:
        legend += f'<li><i class="key limit"></i>{escape(chart.limit_name)}</li>'
    return (
        f"<figure>\n<figcaption>{escape(chart.title)}</figcaption>\n{charts.svg(chart, report.week)}\n"
        f'<ul class="legend">{legend}</ul>\n</figure>\n'
    )


def _rows(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        '<table>\n<thead><tr><th scope="col">Figure</th><th scope="col">This week</th>'
        '<th scope="col">Week before</th><th scope="col">Change</th></tr></thead>\n<tbody>\n'
    )
    for row in rows:
        note = f'<span class="note">{escape(row.note)}</span>' if row.note else ""
        yield (
            f'<tr><th scope="row">{escape(row.name)}{note}</th>{_cell(row.text(row.now))}'
            f"{_cell(row.text(row.before), 'before')}{_change(row)}</tr>\n"
        )
    yield "</tbody>\n</table>\n"


def _cell(text: str, kind: str = "") -> str:
    classes = f"{kind} none".strip() if text == NO_DATA else kind
    return f'<td class="{classes}">{escape(text)}</td>' if classes else f"<td>{escape(text)}</td>"


def _change(row: Row) -> str:
    found = row.change
    if not found.arrow:
        return f'<td class="none">{escape(found.text)}</td>'
    told = "" if found.verdict is Verdict.NEUTRAL else f' <span class="word">{found.verdict}</span>'
    return f'<td class="change {found.verdict}">{escape(str(found))}{told}</td>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, words_first: int) -> Iterator[str]:
    cells = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    yield f'<table class="trend">\n<thead><tr>{cells}</tr></thead>\n<tbody>\n'
    for row in rows:
        first = "".join(f'<th scope="row">{escape(one)}</th>' for one in row[:words_first])
        yield f"<tr>{first}{''.join(_cell(one) for one in row[words_first:])}</tr>\n"
    yield "</tbody>\n</table>\n"
