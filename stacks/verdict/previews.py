"""Previews of stacks, by the same command that people use."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from stacks.verdict.collect import from_summary, without_summary
from stacks.verdict.evidence import Stack


def preview(stack: str, folder: Path, root: Path) -> Stack:
    """Preview a stack through the policy pack, the engine's output on the terminal.

    :param folder: gets the preview's summary, `<stack>.summary.json`.
    """
    file = folder / f"{stack}.summary.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "toolchain", "preview", "--stack", stack, "--summary", str(file)]
    status = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, check=False).returncode
    if not file.is_file():
        return without_summary(stack, f"the preview ended with status {status}; its output says why")
    judged = from_summary(json.loads(file.read_text(encoding="utf-8")), root)
    if status and judged.outcome == "passed":
        # Whatever the summary says, the engine was not content.
        error = f"the preview ended with status {status}; its output says why"
        return dataclasses.replace(judged, complete=False, errors=(*judged.errors, error))
    return judged
