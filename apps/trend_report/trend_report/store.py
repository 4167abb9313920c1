"""Reports on a volume: a page, a Markdown text and the figures of each week, and a list of them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from trend_report.errors import ReportError

KINDS: Final = ("html", "md", "json")
LIST: Final = "index.html"
_NAME: Final = re.compile(r"(\d{4}-W\d{2})\.json")
_LARGEST: Final = 1024 * 1024


def earlier(folder: Path, week: str) -> dict[str, Mapping[str, Mapping[str, float | None]]]:
    """Figures of the weeks before one, by week; a file that cannot be read is left out."""
    found: dict[str, Mapping[str, Mapping[str, float | None]]] = {}
    for file in folder.glob("*.json"):
        match = _NAME.fullmatch(file.name)
        if match is None or match[1] >= week:
            continue
        try:
            if file.stat().st_size <= _LARGEST:
                found[match[1]] = _figures(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return found


def _figures(document: object) -> dict[str, dict[str, float | None]]:
    """:raises ValueError: it is no file of figures."""
    figures = document.get("figures") if isinstance(document, dict) else None
    if not isinstance(figures, dict):
        raise ValueError("no figures")
    return {
        str(section): {
            str(key): float(value)
            for key, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for section, values in figures.items()
        if isinstance(values, dict)
    }


def write(folder: Path, week: str, texts: Mapping[str, str], keep: int) -> None:
    """The files of a week, each there as a whole or not at all; all but the last `keep` weeks are removed.

    :param texts: by kind, one of `KINDS`.
    :raises ReportError: the volume cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The figures come last: a week that has them has everything.
        for kind in KINDS:
            _replace(folder / f"{week}.{kind}", texts[kind])
        weeks = sorted(match[1] for file in folder.iterdir() if (match := _NAME.fullmatch(file.name)))
        for old in weeks[:-keep]:
            for kind in KINDS:
                (folder / f"{old}.{kind}").unlink(missing_ok=True)
        _replace(folder / LIST, _list(weeks[-keep:]))
    except OSError as error:
        raise ReportError(f"{folder}: cannot be written: {error}") from error


def _list(weeks: list[str]) -> str:
    rows = "".join(
        f'<li><a href="{escape(week)}.html">{escape(week)}</a> (<a href="{escape(week)}.md">Markdown</a>, '
        f'<a href="{escape(week)}.json">figures</a>)</li>\n'
        for week in reversed(weeks)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="color-scheme" content="light dark">\n<title>Weekly reports</title>\n</head>\n'
        f"<body>\n<h1>Weekly reports</h1>\n<ul>\n{rows}</ul>\n</body>\n</html>\n"
    )


def _replace(file: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as handle:
        try:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
            os.chmod(handle.name, 0o644)
            os.replace(handle.name, file)
        except BaseException:
            os.unlink(handle.name)
            raise
