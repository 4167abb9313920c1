"""Sentences that both formats have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trend_report import numbers
from trend_report.numbers import NO_DATA
from trend_report.summary import Promise, Report

NOTHING: Final = "There is no data of this week nor of the one before it."


def verdict(promise: Promise) -> str:
    """In a word."""
    return NO_DATA if promise.kept is None else "kept" if promise.kept else "missed"


def budget(promise: Promise) -> str:
    """How much of the week's error budget is gone; empty where there is none."""
    return (
        "" if promise.budget is None else f"{numbers.percent(promise.budget)} of the week's error budget used"
    )


def headline(report: Report) -> str:
    """The week in one sentence."""
    promises = [promise for section in report.sections for promise in section.promises]
    missed = [promise for promise in promises if promise.kept is False]
    unknown = [promise for promise in promises if promise.kept is None]
    if not promises or len(unknown) == len(promises):
        return "There is no data for this week."
    parts = []
    if missed:
        parts.append(f"{len(missed)} of {len(promises)} promises missed")
    elif unknown:
        parts.append(f"{len(promises) - len(unknown)} of {len(promises)} promises kept")
    else:
        parts.append("all promises kept" if len(promises) > 1 else "the promise was kept")
    if unknown:
        parts.append(f"{len(unknown)} without data")
    if not report.complete:
        parts.append(f"data for {report.coverage}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def notes(report: Report) -> Iterator[str]:
    """How the figures came about, and what they lack."""
    yield f"Requests were seen in {report.coverage}; an hour without data is no hour without requests."
    yield (
        "Quantiles are interpolated within the engine's buckets, so each one is only as exact as the "
        "bucket that is named with it."
    )
    yield (
        "Error budgets are those of one week at the promised level; alerts reckon with 30 days. "
        "A change of less than 2 % is called unchanged, and of utilisation one of less than half a point."
    )
    if report.price is None:
        yield "No price is known for this stack: set monitoring.report.price to have the cost of tokens."
    else:
        yield f"Cost: {report.price.source}. Only hours with data are counted, both in cost and in tokens."
        if report.price.unpriced:
            yield f"Not in the cost: {', '.join(report.price.unpriced)}."
    for one in report.missing:
        yield f"Missing or partial: {one}."
