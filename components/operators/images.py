"""References of images, taken apart: charts ask for repository, tag and digest under keys of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageParts:
    """`registry/repository:tag@sha256:…`."""

    registry: str
    """Host and port; empty where the reference names none."""
    repository: str
    """Path below the registry."""
    tag: str
    """Empty where the reference has none."""
    digest: str
    """With its `sha256:`."""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository


def image_parts(reference: str) -> ImageParts:
    """The parts of a reference that has a digest."""
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    path = f"{head}{slash}{last}"
    first, slash, rest = path.partition("/")
    # As container runtimes tell a host from the first part of a path.
    if slash and ("." in first or ":" in first or first == "localhost"):
        return ImageParts(first, rest, tag, digest)
    return ImageParts("", path, tag, digest)
