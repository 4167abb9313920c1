"""Reading properties whose parts may be missing, of the wrong type or not known before an update.

A rule never raises and never trusts a type. Whatever is unknown is left out of its verdict, part by part, so
that the verdict on the rest stands; whatever has the wrong type counts as missing, so that a required field
is refused.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Final


class Unknown(Enum):
    """Type of the value that stands for everything that only an update will tell."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN

_UNITS: Final[Mapping[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,24})?|\.[0-9]{1,24}))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<unit>[numkMGTPE]|[KMGTPE]i)?)"
)
_SAFE_TEXT: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9./:_-]{0,61}[A-Za-z0-9])?")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_MAX_INTEGER: Final = 2**63


def child(value: object, *keys: str) -> object:
    """The value below `value`: None if it is missing, UNKNOWN if it or anything above it is unknown."""
    for key in keys:
        if value is UNKNOWN:
            return UNKNOWN
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def elements(value: object) -> Iterator[tuple[int, object]]:
    """The elements of a list with their index; nothing for any other value."""
    if isinstance(value, list | tuple):
        yield from enumerate(value)


def entries(value: object) -> Iterator[tuple[str, object]]:
    """The entries of a mapping whose key is a string; nothing for any other value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield key, item


def integer(value: object) -> int | None:
    """A whole number of at most 64 bits, which arrives as a float; None for everything else."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -_MAX_INTEGER <= value <= _MAX_INTEGER
    ):
        return None
    return int(value) if value == int(value) else None


def quantity(value: object) -> Decimal | None:
    """A Kubernetes quantity as a plain number (`500m` is 0.5, `1Ki` is 1024); None if it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(str(value)) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    match = _QUANTITY.fullmatch(value)
    if match is None:
        return None
    number = Decimal(match["number"])
    if match["exponent"] is not None:
        return number * Decimal(10) ** int(match["exponent"])
    return number * _UNITS[match["unit"] or ""]


def network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address range in CIDR notation; None if it is not one."""
    if not isinstance(value, str):
        return None
    try:
        return ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        return None


MIN_PREFIX: Final[Mapping[int, int]] = {4: 8, 6: 16}
"""Shortest prefix that is not as good as all addresses, by IP version; 10.0.0.0/8 is the widest private."""


def is_wide(value: object) -> bool:
    """Whether an address range is as good as every address; so is what is no range at all."""
    if value is UNKNOWN:
        return False
    block = network(value)
    return block is None or block.prefixlen < MIN_PREFIX[block.version]


def is_public(value: object) -> bool:
    """Whether an address range holds addresses of the internet; so does what is no range at all."""
    if value is UNKNOWN:
        return False
    block = network(value)
    return block is None or block.is_global


def show(value: object) -> str:
    """A value of a field that holds no free text (quantity, enumeration, address range, key), for a message.

    Secrets reach a policy pack in the clear. Only what looks like such a field's value is repeated.
    """
    if value is None:
        return "is missing"
    if isinstance(value, bool):
        return f"is {str(value).lower()}"
    if (whole := integer(value)) is not None:
        return f"is {whole}"
    if isinstance(value, float):
        return f"is {value}"
    if isinstance(value, int):
        return "is a very large number"
    if isinstance(value, str):
        if quantity(value) is not None or network(value) is not None:
            return f"is {value}"
        return f"is a text of {len(value)} characters"
    if isinstance(value, Mapping):
        return "is an object"
    if isinstance(value, list | tuple):
        return f"is a list of {len(value)}"
    return f"is a {type(value).__name__}"


def known_text(value: object, vocabulary: frozenset[str]) -> str:
    """A value for a message: repeated if it is one of a fixed vocabulary, else only described."""
    return f"is {value}" if isinstance(value, str) and value in vocabulary else show(value)


def safe_key(key: str) -> str:
    """A key for a path in a message: repeated if it is an ordinary name, else only described."""
    return key if _SAFE_TEXT.fullmatch(key) else f"<key of {len(key)} characters>"


def label(value: object) -> str | None:
    """A DNS label or subdomain of at most 63 characters, such as an object's name; None for anything else."""
    return value if isinstance(value, str) and _LABEL.fullmatch(value) else None
