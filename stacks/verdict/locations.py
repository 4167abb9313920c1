"""Lines of the repository that a finding comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from stacks.verdict.evidence import Location

_SECTIONS: Final[Mapping[str, str]] = {
    "aws:s3:": "buckets",
    "gcp:storage:": "buckets",
    "aws:ecr:": "images",
    "gcp:artifactregistry:": "images",
    "docker:": "images",
    "aws:": "cluster",
    "gcp:": "cluster",
    "kubernetes:core/v1:Service ": "entry",
    "kubernetes:core/v1:Namespace ": "tenant",
    "kubernetes:core/v1:ResourceQuota ": "tenant",
    "kubernetes:core/v1:LimitRange ": "tenant",
    "kubernetes:": "models",
}
"""Settings that resources come from, by the beginning of `type name`; the first that fits counts."""

_NAME: Final = re.compile(r"^\s*(?:-\s*)?(?:\{\s*)?name:\s*[\"']?([A-Za-z0-9][A-Za-z0-9.-]+)")


def settings_location(stack: str, settings: str, resource: str) -> Location:
    """The line of a stack's settings that a resource (`type name`) comes from.

    A resource is named after what it is made for: the line with the longest `name:` that its own name
    contains is taken. Otherwise the section of the settings that makes resources of its type, or line 1.
    """
    file = f"Pulumi.{stack}.yaml"
    _, _, name = resource.partition(" ")
    lines = settings.splitlines()
    named = [
        (len(found[1]), -number)
        for number, line in enumerate(lines, 1)
        if (found := _NAME.match(line)) and re.search(rf"(?:^|-){re.escape(found[1])}(?:-|$)", name)
    ]
    if named:
        return Location(file, -max(named)[1])
    section = next((key for start, key in _SECTIONS.items() if resource.startswith(start)), None)
    for number, line in enumerate(lines, 1):
        if section and re.match(rf"\s*[\w-]+:{section}:", line):
            return Location(file, number)
    return Location(file, 1)


def rule_locations(files: Iterable[Path], root: Path) -> dict[str, Location]:
    """Where each rule is written, by id: the line in its source that states the id."""
    found: dict[str, Location] = {}
    for file in sorted(files):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if stated := re.match(r'\s*id="([a-z0-9-]+)",', line):
                found.setdefault(stated[1], Location(file.relative_to(root).as_posix(), number))
    return found
