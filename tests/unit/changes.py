"""Changes of an example, by path."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def changed(example: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A copy with values at paths such as `models[0].replicas` set; None removes, the next index appends."""
    document = copy.deepcopy(dict(example))
    for path, value in copy.deepcopy(dict(changes or {})).items():
        *parents, last = path.replace("[", ".[").split(".")
        target: Any = document
        for part in parents:
            target = target[int(part[1:-1])] if part.startswith("[") else target.setdefault(part, {})
        if last.startswith("["):
            index = int(last[1:-1])
            target[index : index + 1] = [value]
        elif value is None:
            target.pop(last, None)
        else:
            target[last] = value
    return document
