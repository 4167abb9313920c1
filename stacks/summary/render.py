"""The summary as text, Markdown or JSON."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from stacks.summary.report import Summary
from stacks.summary.sections import Cell, Table, sections

FORMAT_VERSION: Final = 1
"""Of the JSON form; raised when a field changes its meaning or goes away."""

WIDTH: Final = 120
"""Characters of a line on a terminal; only what cannot be broken is longer."""

_WIDEST_CELL: Final = 76
"""Characters of the last column on a terminal before it is wrapped."""


def text(summary: Summary) -> str:
    """For terminals and logs."""
    lines = [f"Summary of stack {summary.stack}"]
    for section in sections(summary):
        lines += ["", section.title, *(f"  {sentence}" for sentence in section.text)]
        for table in section.tables:
            lines += [f"  {table.title}"] if table.title else []
            drawn = _crowded(table) if table.secondary else _aligned(table)
            lines += [f"  {line}".rstrip() for line in drawn]
    return "\n".join(lines) + "\n"


def _crowded(table: Table) -> Iterator[str]:
    """Several rows a line, their numbers after the name."""
    entries = [" ".join(str(cell) for cell in row if cell != "") for row in table.rows]
    width = max(map(len, entries), default=0) + 3
    beside = max(1, WIDTH // width)
    below = -(-len(entries) // beside)
    yield ", ".join(table.heading) + ":"
    for line in range(below):
        yield "".join(entry.ljust(width) for entry in entries[line::below])


def _aligned(table: Table) -> Iterator[str]:
    rows: list[Sequence[Cell]] = [table.heading, *table.rows]
    last = len(table.heading) - 1
    widths = [max(len(str(row[column])) for row in rows) for column in range(last)]
    indent = sum(widths) + 2 * len(widths)
    for row in rows:
        cells = [_justified(cell, width) for cell, width in zip(row, widths, strict=False)]
        first, *others = textwrap.wrap(
            str(row[last]), _WIDEST_CELL, break_long_words=False, break_on_hyphens=False
        ) or [""]
        yield "  ".join([*cells, first])
        yield from (" " * indent + rest for rest in others)


def _justified(cell: Cell, width: int) -> str:
    return str(cell).rjust(width) if _is_number(cell) else str(cell).ljust(width)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int) or (cell != "" and set(cell) <= set("0123456789,"))


def markdown(summary: Summary) -> str:
    """For a comment on a pull request."""
    parts = [f"## Preview of stack {summary.stack}"]
    ordered = sections(summary)
    # In a comment the verdict comes first.
    for section in [ordered[-1], *ordered[:-1]]:
        parts += [
            f"### {section.title}",
            *section.text,
            *(_markdown_table(table) for table in section.tables),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(table: Table) -> str:
    rows = [
        table.heading,
        tuple("---:" if _numeric(table, i) else "---" for i in range(len(table.heading))),
        *table.rows,
    ]
    lines = "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows)
    if table.secondary:
        return f"<details><summary>{table.title}</summary>\n\n{lines}\n\n</details>"
    return f"**{table.title}**\n\n{lines}" if table.title else lines


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows]
    return bool(cells) and all(cell == "" or _is_number(cell) for cell in cells)


def _escaped(cell: Cell) -> str:
    """Text that cannot break out of its cell, become markup, or notify somebody."""
    plain = " ".join(str(cell).split())
    for special in ("\\", "|", "`", "<", "*", "_", "[", "@"):
        plain = plain.replace(special, {"<": "&lt;", "@": "&#64;"}.get(special, f"\\{special}"))
    return plain


def as_json(summary: Summary) -> str:
    """For programs."""
    document: dict[str, Any] = {"version": FORMAT_VERSION, **dataclasses.asdict(summary)}
    document["verdict"]["violations"] = [dataclasses.asdict(one) for one in summary.verdict.violations]
    ceiling = document.pop("cost_ceiling")
    if summary.cost is not None:
        document["cost"] |= {
            name: getattr(summary.cost, name) for name in ("title", "low", "high", "unpriced")
        }
        document["cost"]["ceiling"] = ceiling and ceiling.monthly_usd
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


RENDERERS: Final = {".txt": text, ".md": markdown, ".json": as_json}
"""Forms by the suffix of the file that they are written to."""
