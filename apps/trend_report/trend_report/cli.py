"""Command line of the container."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trend_report import announce, configuration, figures, markdown, page, prometheus, store, trend
from trend_report.errors import ReportError
from trend_report.period import Week
from trend_report.summary import Report, summarize

STATUS_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report on a week and tell the chat; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="trend_report", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file made from the stack's settings")
    parser.add_argument("--out", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--week", help="such as 2026-W46; without it, the last one that is over")
    parser.add_argument("--quiet", action="store_true", help="tell nobody")
    options = parser.parse_args(arguments)
    now = datetime.now(UTC)
    try:
        settings = configuration.load(options.config)
        week = Week.parse(options.week, settings.zone) if options.week else Week.ended(now, settings.zone)
        report = make(settings, week, options.out)
        _log(f"{week.name}: {len(report.sections)} sections, data for {report.coverage}")
        if settings.alertmanagers and not options.quiet:
            for reason in announce.send(settings.alertmanagers, announce.alert(report, now)):
                _log(f"not told: {reason}")
    except ReportError as error:
        _log(str(error))
        return STATUS_FAILED
    return 0


def make(settings: configuration.Configuration, week: Week, folder: Path) -> Report:
    """Ask, reckon and write; the Markdown goes to standard output too.

    :raises ReportError: there is no report.
    """
    server, silent = prometheus.most_complete(
        settings.prometheus, settings.namespace, week.before.hours[0], week.end
    )
    for reason in silent:
        _log(f"not asked: {reason}")
    found = figures.collect(server, week, settings.namespace)
    report = summarize(found, settings, store.earlier(folder, week.name))
    text = markdown.render(report)
    kept = {"week": week.name, "stack": report.stack, "figures": trend.values(report)}
    texts = {
        "html": page.render(report),
        "md": text,
        "json": json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n",
    }
    store.write(folder, week.name, texts, settings.keep_weeks)
    print(text, flush=True)
    return report


def _log(text: str) -> None:
    print(f"trend-report: {text}", file=sys.stderr, flush=True)
