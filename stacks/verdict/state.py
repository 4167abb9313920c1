"""Recorded state, judged by today's pack: what no pull request has looked at since."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from stacks.summary import events
from stacks.verdict.collect import from_analysis
from stacks.verdict.evidence import Stack

_MAX_ERROR = 300
"""Characters of an engine's error that are shown; the state itself never is."""


def analyze(file: Path, stack: str, root: Path) -> Stack:
    """Judge a stack's exported state, `pulumi stack export --file FILE`, with the stack's own levels."""
    if wrong := _wrong(file, stack):
        return from_analysis(stack, events.read(()), (wrong,), root)
    engine = shutil.which("pulumi")
    if engine is None:
        missing = "no `pulumi` on PATH; run `source .toolchain/env` before"
        return from_analysis(stack, events.read(()), (missing,), root)
    command = [engine, "policy", "analyze", "--json", "--non-interactive", "--file", str(file.absolute())]
    command += ["--policy-pack", str(root / "policies")]
    levels = root / "policies" / "levels" / f"{stack}.json"
    command += ["--policy-pack-config", str(levels)] if levels.is_file() else []
    done = subprocess.run(
        command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    analysis = events.read(lines)
    refused = any(found.mandatory for found in analysis.violations)
    errors = [line[:_MAX_ERROR] for line in done.stderr.splitlines() if line.startswith("error: ")]
    if bool(done.returncode) == refused:
        return from_analysis(stack, analysis, (), root)
    unclear = f"`pulumi policy analyze` ended with status {done.returncode}"
    return from_analysis(stack, analysis, errors[:5] or (unclear,), root)


def _wrong(file: Path, stack: str) -> str | None:
    """Why the file is not this stack's state: an empty one would pass every rule."""
    try:
        resources: Any = json.loads(file.read_text(encoding="utf-8"))["deployment"]["resources"]
        names = {resource["urn"].split(":")[2] for resource in resources}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return f"{file.name}: not what `pulumi stack export` writes, or without resources"
    if names != {stack}:
        others = ", ".join(sorted(names)) or "no stack at all"
        return f"{file.name}: holds {others}, not {stack}; export that stack"
    return None
