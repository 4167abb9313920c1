"""What is wrong with a part of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to correct."""

    path: str
    """Where in the file, e.g. `models[0].resources.memory`."""
    message: str
    """The value, what is wrong with it, and the fix. Never the value of what looks like a secret."""


def below(path: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Problems of a part as seen from the whole: `cidr` below `network` is `network.cidr`."""
    for problem in problems:
        separator = "" if not problem.path or problem.path.startswith("[") else "."
        yield replace(problem, path=f"{path}{separator}{problem.path}")
