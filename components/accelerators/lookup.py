"""Finding an entry by name, with an error that helps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


class UnknownNameError(ValueError):
    """A name is not in the catalogue; the text names the value, the nearest known names and the fix."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """At most `count` known names that look like `name`, best first; the first ones if none does."""
    names = sorted(known)
    return tuple(difflib.get_close_matches(name, names, n=count, cutoff=0.5) or names[:count])


def find(what: str, name: str, entries: Mapping[str, Entry]) -> Entry:
    """The entry of that name; raises UnknownNameError."""
    if (entry := entries.get(name)) is None:
        close = ", ".join(nearest(name, entries))
        raise UnknownNameError(f"{name!r}: not a known {what}; nearest are {close}")
    return entry
