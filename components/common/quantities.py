"""Kubernetes resource quantities, parsed.

Grammar and canonical form: k8s.io/apimachinery/pkg/api/resource (Quantity). The canonical form is what the
API server stores; writing it in the first place keeps a later comparison with the live object clean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_NUMBER: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[A-Za-z]*)")

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30


class QuantityError(ValueError):
    """A text is not the quantity that its place needs; the message names the value and the fix."""


def _split(value: object) -> tuple[Decimal, str, str]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(
            f"{value!r} is not a Kubernetes quantity; write a number with a unit, such as 6Gi or 500m"
        )
    text = str(value).strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise QuantityError(
            f"{text!r} is not a Kubernetes quantity; write a number with a unit, such as 6Gi or 500m"
        )
    return Decimal(match["number"]), match["unit"], text


def _closest_unit(unit: str) -> str | None:
    """The Kubernetes unit that somebody who wrote e.g. `GB`, `gib` or `MiB` most likely meant."""
    prefix = unit[:1].upper()
    if re.fullmatch(r"[kmgtpe](i?b?|i?bytes?)", unit, re.IGNORECASE) and prefix in "KMGTPE":
        return f"{prefix}i"
    return None


def parse_bytes(value: object) -> int:
    """Bytes that a memory or storage quantity stands for (`6Gi`, `500M`, `1073741824`)."""
    number, unit, text = _split(value)
    if unit in _BINARY or unit in _DECIMAL or unit == "":
        amount = number * (_BINARY | _DECIMAL | {"": 1})[unit]
        if amount != amount.to_integral_value() or amount <= 0:
            raise QuantityError(f"{text!r} is not a whole, positive number of bytes; write for example 6Gi")
        return int(amount)
    if unit == "m":
        raise QuantityError(
            f"{text!r} is a thousandth of a byte ('m' is for CPU); write {number.normalize():f}Mi"
        )
    suggestion = _closest_unit(unit)
    fix = f"write {number.normalize():f}{suggestion}" if suggestion else "use one of Ki, Mi, Gi, Ti, Pi"
    raise QuantityError(f"{text!r} is not a Kubernetes quantity; {fix}")


def parse_millicores(value: object) -> int:
    """Thousandths of a CPU that a quantity stands for (`1200m`, `2`, `1.5`)."""
    number, unit, text = _split(value)
    if unit == "m":
        millicores = number
    elif unit == "":
        millicores = number * 1000
    else:
        raise QuantityError(f"{text!r} is not a CPU quantity; write cores (2, 1.5) or millicores (1500m)")
    if millicores != millicores.to_integral_value() or millicores <= 0:
        raise QuantityError(f"{text!r} is not a whole, positive number of millicores; write for example 500m")
    return int(millicores)


def format_bytes(amount: int) -> str:
    """Canonical text of a number of bytes: the largest unit that divides it, binary before decimal."""
    for unit, factor in reversed(_BINARY.items()):
        if amount >= factor and amount % factor == 0:
            return f"{amount // factor}{unit}"
    for unit, factor in reversed(_DECIMAL.items()):
        if amount >= factor and amount % factor == 0:
            return f"{amount // factor}{unit}"
    return str(amount)


def format_millicores(amount: int) -> str:
    """Canonical text of a number of millicores."""
    return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"


def human_bytes(amount: int) -> str:
    """A number of bytes for people: binary unit, at most one decimal."""
    size = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.1f} {unit}".replace(".0 ", " ")
        size /= 1024
    raise AssertionError("unreachable")


def _schema(example: str, pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "pattern": pattern, "examples": [example]})


Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    PlainSerializer(format_bytes, return_type=str),
    _schema("6Gi", r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"),
]
"""A memory or storage quantity, in bytes."""

Millicores = Annotated[
    int,
    BeforeValidator(parse_millicores),
    PlainSerializer(format_millicores, return_type=str),
    _schema("1200m", r"^[0-9]+(\.[0-9]+)?m?$"),
]
"""A CPU quantity, in thousandths of a CPU."""


@dataclass(frozen=True)
class Resources:
    """What one container asks for and is held to. Requests equal limits: nothing is overcommitted."""

    cpu: int
    """Thousandths of a CPU."""
    memory: int
    """Bytes."""
    ephemeral_storage: int
    """Bytes of node-local disk: logs, writable layer and disk-backed emptyDirs."""
    extended: tuple[tuple[str, int], ...] = ()
    """Accelerators by resource name, e.g. (("nvidia.com/gpu", 1),)."""

    def amounts(self) -> dict[str, str]:
        """Canonical quantities by Kubernetes resource name."""
        return {
            "cpu": format_millicores(self.cpu),
            "memory": format_bytes(self.memory),
            "ephemeral-storage": format_bytes(self.ephemeral_storage),
            **{name: str(count) for name, count in self.extended},
        }


ExtendedResources = dict[Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")], int]
