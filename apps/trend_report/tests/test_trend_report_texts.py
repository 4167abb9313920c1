"""The report as it is read: Markdown, page, summary for the chat."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weeks import MODEL, WEEK, figures, model_week, settings, stack_week

from trend_report import announce, charts, markdown, numbers, page, trend
from trend_report.figures import Figures, ModelWeek
from trend_report.numbers import NO_DATA, TOO_LITTLE
from trend_report.summary import Chart, Line, Report, summarize

GOLDEN = Path(__file__).with_name("golden.md")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "|a|b|\n# heading\n[link](https://evil.example) `code`",
    "https://evil.example www.evil.example me@evil.example",
    "</style></title><h1>",
    "![picture](https://evil.example/x.png) *bold* _italic_ ~~gone~~ &lt;",
    "模型 🤖 ‮abc",
)


def report(**changes: Any) -> Report:
    return summarize(figures(), settings(**changes))


def rows(found: Report, section: int = 0) -> dict[str, Any]:
    return {row.key: row for row in found.sections[section].rows}


def test_the_markdown_is_the_one_that_people_have_read() -> None:
    earlier = {"2026-W45": {MODEL: {"latency_p99": 0.85, "availability": 1.0, "answers": 16_800.0}}}
    assert markdown.render(summarize(figures(), settings(), earlier)) == GOLDEN.read_text(encoding="utf-8")


def test_promises_are_judged() -> None:
    availability, first_token, latency = report().sections[0].promises
    # 40 of 16 800 requests failed, where 16.8 may.
    assert (availability.kept, availability.budget) == (False, pytest.approx(40 / 16.8))
    # 98 of 100 in time in all hours but one.
    assert (first_token.kept, first_token.reached) == (True, "97.595 %")
    assert (latency.kept, latency.reached) == (False, "930 ms")


def test_the_hour_that_spoiled_the_week_is_named() -> None:
    (hour,) = report().sections[0].worst[:1]
    assert hour.when == "Wed 11 Nov, 14:00 to 15:00"
    assert hour.why == "40 % of the requests failed and P99 was 1.5 s"


def test_the_cost_of_a_million_tokens_counts_hours_with_data_only() -> None:
    found = {row.key: row for row in report().cost}
    assert found["cost_low"].now == 10 * 168
    # 250 000 tokens an hour, of which 5 000 are generated.
    assert found["cost_per_million_token_low"].now == pytest.approx(10 / 0.25)
    assert found["cost_per_million_generated_high"].now == pytest.approx(40 / 0.005)
    half = Figures(
        WEEK,
        {MODEL: (model_week(WEEK, hours=84), model_week(WEEK.before))},
        (stack_week(WEEK), stack_week(WEEK.before)),
        (),
    )
    partial = {row.key: row for row in summarize(half, settings()).cost}
    assert partial["cost_low"].now == 10 * 84
    assert partial["cost_per_million_token_low"].now == pytest.approx(10 / 0.25)
    assert partial["cost_low"].change.text == TOO_LITTLE


def test_one_price_makes_one_row() -> None:
    price = {"low": 7, "high": 7, "currency": "CNY", "source": "settings", "unpriced": []}
    assert [row.name for row in report(price=price).cost] == [
        "Cost of the week",
        "Cost per million tokens",
        "Cost per million generated tokens",
    ]


def test_without_a_price_the_report_says_how_to_get_the_cost() -> None:
    found = report(price=None)
    assert found.cost == ()
    assert "monitoring.report.price" in markdown.render(found)
    assert "<h2>Cost</h2>" not in page.render(found)


def test_a_week_with_little_data_is_not_compared() -> None:
    partial = figures()
    weeks = (model_week(WEEK, hours=100), model_week(WEEK.before))
    found = summarize(replace(partial, models={MODEL: weeks}), settings())
    answers = rows(found)["answers"]
    assert answers.change.text == TOO_LITTLE
    assert "data for 100 of 168 hours" in answers.note
    assert not found.complete
    assert "data for 100 of 168 hours" in markdown.render(found)


def test_a_model_without_data_has_no_figures_and_no_verdict() -> None:
    found = report()
    assert all(row.now is None for row in found.sections[1].rows)
    assert all(promise.kept is None and promise.reached == NO_DATA for promise in found.sections[1].promises)
    assert found.sections[1].worst == ()


def test_without_any_data_there_is_still_a_report() -> None:
    empty = Figures(WEEK, {}, (stack_week(WEEK), stack_week(WEEK.before)), ("latency: no answer",))
    found = summarize(empty, settings())
    for text in (markdown.render(found), page.render(found)):
        assert "There is no data for this week." in text
        assert "latency: no answer" in text
    assert announce.description(found).startswith("There is no data for this week.")


class Strict(HTMLParser):
    """Every element that is opened is closed, in order; what it refers to is noted."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def judged(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_label_holds_becomes_markup_of_the_page(name: str) -> None:
    hostile = summarize(figures(name, missing=(name,)), settings(stack=name))
    usual = judged(page.render(report()))
    found = judged(page.render(hostile))
    assert found.seen == usual.seen
    assert found.attributes == usual.attributes
    assert found.seen.isdisjoint({"script", "img", "a", "link", "iframe", "object", "form"})
    assert found.attributes.isdisjoint({"src", "href", "onerror", "onload", "xlink:href"})


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_label_holds_becomes_markup_of_the_markdown(name: str) -> None:
    usual, hostile = (
        markdown.render(summarize(each, settings())) for each in (figures(), figures(name, missing=(name,)))
    )
    # One line more: what is missing.
    assert len(hostile.splitlines()) == len(usual.splitlines()) + 1
    for line in hostile.splitlines():
        plain = re.sub(r"\\.", "", line)
        assert not re.search(r"[`<>\[\]]|!\[|://|www\.|\w@\w", plain.replace("**", ""))


@given(st.text(max_size=60))
def test_escaped_text_has_one_line_and_no_open_markup(text: str) -> None:
    escaped = markdown.text(text)
    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"[`*_<>\[\]|]", re.sub(r"\\.", "", escaped))


def test_the_page_needs_nothing_from_outside() -> None:
    text = page.render(report())
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|url\(|@import|<script", text)


def test_the_page_has_light_dark_and_print() -> None:
    text = page.render(report())
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_charts_are_well_formed_and_stay_within_their_frame() -> None:
    for section in report().sections:
        for chart in section.charts:
            root = ElementTree.fromstring(charts.svg(chart, WEEK))
            for element in root:
                for name in ("x", "x1", "x2"):
                    assert 0 <= float(element.get(name, "0")) <= charts.WIDTH
                for name in ("y", "y1", "y2"):
                    assert 0 <= float(element.get(name, "0")) <= charts.HEIGHT


def test_a_gap_in_the_data_is_shown_as_one() -> None:
    whole = model_week(WEEK.before).answers
    week = model_week(WEEK)
    hours = [hour for hour in WEEK.hours if not 10 <= WEEK.hours.index(hour) < 20]
    holed = replace(week, generated={hour: week.generated[hour] for hour in hours})
    found = summarize(
        replace(figures(), models={MODEL: (holed, ModelWeek(WEEK.before, answers=whole))}), settings()
    )
    chart = next(each for each in found.sections[0].charts if each.title.startswith("Tokens"))
    svg = charts.svg(chart, WEEK)
    assert svg.count('class="gap"') == 1
    path = next(each for each in re.findall(r'<path class="line0" d="([^"]+)"', svg))
    assert path.count("M") == 2


@given(st.floats(1e-9, 1e12))
def test_the_axis_ends_above_what_is_drawn_and_not_far_above(most: float) -> None:
    chart = Chart("Title", (Line("line", (most, None)),), numbers.plain)
    assert most <= charts.ceiling(chart) * (1 + 1e-9)
    assert charts.ceiling(chart) <= 4 * most


def test_earlier_weeks_are_followed() -> None:
    earlier = {f"2026-W{week}": {MODEL: {"latency_p99": week / 100}} for week in range(10, 46)}
    found = trend.trend(summarize(figures(), settings(), earlier))
    # Two models in each of twelve weeks, the latest first.
    assert [row[0] for row in found[::2]] == [f"2026-W{week}" for week in range(46, 34, -1)]
    assert found[2][:3] == ("2026-W45", MODEL, "450 ms")
    assert found[3][2] == NO_DATA


def test_the_first_report_has_no_earlier_weeks() -> None:
    assert trend.trend(report()) == []
    assert "Earlier weeks" not in markdown.render(report())


def test_the_summary_is_an_alert_with_the_figures_that_matter() -> None:
    alert = announce.alert(report(), datetime(2026, 11, 16, 6, 30, tzinfo=UTC))
    assert alert["labels"] == {
        "alertname": "WeeklyReport",
        "severity": "report",
        "area": "report",
        "stack": "prod",
        "week": "2026-W46",
    }
    assert alert["startsAt"] == "2026-11-16T06:30:00+00:00"
    assert alert["endsAt"] == "2026-11-16T07:00:00+00:00"
    assert alert["annotations"]["summary"] == (
        "Model service of stack prod, week 2026-W46: 2 of 6 promises missed, 3 without data."
    )
    description = alert["annotations"]["description"]
    assert f"{MODEL}: Whole answers, P99 930 ms (▲ 3 %)" in description
    assert "Missed: Availability, Whole answers, P99." in description
    assert "Cost per million tokens: 40 USD to 160 USD." in description
    json.dumps(alert)
