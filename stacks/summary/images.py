"""Container images that the workloads of a preview run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks.summary.events import Resource

_PINNED: Final = re.compile(r"@sha256:([0-9a-f]{64})$")
_PLACEHOLDER: Final = "0" * 64


@dataclass(frozen=True)
class Image:
    """An image and who runs it."""

    reference: str
    workloads: tuple[str, ...]
    pinned: bool
    """Whether it is named by digest."""
    placeholder: bool
    """Whether the digest is an example's, which `pulumi up` refuses."""


def images(resources: Iterable[Resource]) -> tuple[Image, ...]:
    """All images, by reference."""
    users: dict[str, set[str]] = {}
    for resource in resources:
        if resource.operation == "delete":
            continue
        for reference in _references(resource.inputs):
            users.setdefault(reference, set()).add(resource.name)
    return tuple(_image(reference, users[reference]) for reference in sorted(users))


def _image(reference: str, users: set[str]) -> Image:
    digest = _PINNED.search(reference)
    placeholder = digest is not None and digest[1] == _PLACEHOLDER
    return Image(reference, tuple(sorted(users)), digest is not None, placeholder)


def _references(value: Any) -> Iterator[str]:
    """Images of all containers, wherever a kind of resource has its pod template."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("containers", "initContainers", "ephemeralContainers") and isinstance(inner, list):
                for container in inner:
                    if isinstance(container, Mapping) and isinstance(container.get("image"), str):
                        yield container["image"]
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
