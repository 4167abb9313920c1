"""Example values: a settings file that has some can be previewed as it is, but not deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stacks.problems import Problem

_EXAMPLES: Final = {
    # The number that AWS's own documentation uses.
    "an example account": re.compile(r"(?<!\d)111122223333(?!\d)"),
    "an example project": re.compile(r"\bexample-project\b"),
    # Reserved for documentation by RFC 2606 and RFC 5737.
    "an example domain": re.compile(r"\bexample\.(com|net|org)\b"),
    "an example address": re.compile(r"\b(192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}\b"),
    "an example digest": re.compile(r"\b0{64}\b"),
    "an example commit": re.compile(r"\b0{40}\b"),
    # Ed25519 in the form of RFC 8410, all zeros: there is no private key to it that anybody knows.
    "an example public key": re.compile(r"MCowBQYDK2VwAyEA{44}="),
}


def example_values(value: Any, path: str = "") -> Iterator[Problem]:
    """Every value that stands for one of the user's own, with its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from example_values(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from example_values(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        for name, pattern in _EXAMPLES.items():
            if found := pattern.search(value):
                yield Problem(path, f"{found.group(0)!r} is {name}; replace it with your own")
                break
