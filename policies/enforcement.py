"""Levels per stack: files for --policy-pack-config that lower single rules, with a reason.

The engine accepts any key in such a file, so a rule whose name is misspelt would keep its level without a
word. The pack therefore reads the files beside it when it starts and refuses to run with a bad one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

LEVELS: Final = ("mandatory", "advisory", "disabled")
FOLDER: Final = Path(__file__).parent / "levels"


class LevelsError(ValueError):
    """A levels file is wrong; the message names file, key, value and fix."""


def problems(levels: object, ids: frozenset[str]) -> list[str]:
    """What is wrong with a file's content: `{"<rule>": "mandatory" | {"enforcementLevel", "reason"}}`."""
    if not isinstance(levels, Mapping):
        return ['the file is not an object; write {"all": "mandatory"}']
    found: list[str] = []
    for key, value in levels.items():
        if key != "all" and key not in ids:
            found.append(f"{key}: no such rule; write one of docs/policies.md")
            continue
        level = value.get("enforcementLevel") if isinstance(value, Mapping) else value
        if level not in LEVELS:
            found.append(f"{key}: {level!r} is not a level; write one of {', '.join(LEVELS)}")
        extra = (
            sorted(map(str, set(value) - {"enforcementLevel", "reason"}))
            if isinstance(value, Mapping)
            else []
        )
        found += [f"{key}.{name}: unknown; write enforcementLevel and reason" for name in extra]
        if key == "all" and level != "mandatory":
            found.append("all: every rule is mandatory; lower single rules")
        elif level in ("advisory", "disabled") and not (isinstance(value, Mapping) and value.get("reason")):
            found.append(
                f'{key}: lowered without a reason; write {{"enforcementLevel": "{level}", "reason": "…"}}'
            )
    return found


def check(files: Iterable[Path], ids: frozenset[str]) -> None:
    """Raise LevelsError if any of the files is wrong."""
    found: list[str] = []
    for file in files:
        try:
            levels = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            found.append(f"{file.name}: cannot be read: {error}")
            continue
        found += [f"{file.name}: {problem}" for problem in problems(levels, ids)]
    if found:
        raise LevelsError("policy levels refused:\n" + "\n".join(f"  {one}" for one in found))


def level_files() -> list[Path]:
    """The files beside the pack."""
    return sorted(FOLDER.glob("*.json"))
