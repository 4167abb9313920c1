"""`python -m stacks.summary --stack prod < events`: the summary of a preview, printed and in files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stacks.summary import events, render
from stacks.summary.report import summarize

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Read the engine's event log from standard input and tell what is in it."""
    parser = argparse.ArgumentParser(prog="python -m stacks.summary", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", required=True)
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help=f"write it there, too; the suffix decides on the form: {', '.join(render.RENDERERS)}",
    )
    arguments = parser.parse_args(argv)
    for file in arguments.output:
        if file.suffix not in render.RENDERERS:
            parser.error(f"{file}: no form for this suffix; use one of {', '.join(render.RENDERERS)}")
    summary = summarize(arguments.stack, events.read(sys.stdin), ROOT)
    for file in arguments.output:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render.RENDERERS[file.suffix](summary), encoding="utf-8")
    print(render.text(summary), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
