"""Changes by kind of resource."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stacks.summary.events import OPERATIONS, Resource, kind_of


@dataclass(frozen=True)
class KindChanges:
    """What happens to the resources of one kind."""

    kind: str
    """Type without what the engine adds: `aws:eks:NodeGroup`, `kubernetes:apps/v1:Deployment`."""
    counts: Mapping[str, int]
    """By operation, those that occur."""


@dataclass(frozen=True)
class Changes:
    """What happens to all resources; components and providers, which are nothing in a cloud, left out."""

    kinds: tuple[KindChanges, ...]
    unchanged: int
    disruptive: tuple[str, ...]
    """Type and name of what is replaced or deleted."""

    def total(self, operation: str) -> int:
        """Resources of all kinds."""
        return sum(kind.counts.get(operation, 0) for kind in self.kinds)


def changes(resources: Iterable[Resource]) -> Changes:
    """Changes by kind, most resources first."""
    real = [one for one in resources if not one.type.startswith(("pulumi:", "autoglm:"))]
    kinds: dict[str, Counter[str]] = {}
    for one in real:
        if one.operation in OPERATIONS:
            kinds.setdefault(kind_of(one.type), Counter())[one.operation] += 1
    rows = [KindChanges(kind, dict(counts)) for kind, counts in kinds.items()]
    return Changes(
        kinds=tuple(sorted(rows, key=lambda row: (-sum(row.counts.values()), row.kind))),
        unchanged=sum(one.operation == "same" for one in real),
        disruptive=tuple(
            f"{one.operation} {kind_of(one.type)} {one.name}"
            for one in real
            if one.operation in ("replace", "delete")
        ),
    )
