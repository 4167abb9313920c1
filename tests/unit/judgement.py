"""What the policy pack says of registered objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from policies.catalogue import RULES
from policies.resource import Resource
from tests.unit.graph import Registration


class Breach(NamedTuple):
    """A rule that an object breaks."""

    rule: str
    name: str
    """Of the registered resource."""
    text: str
    """What the rule says of it."""


def breaches(graph: Iterable[Registration]) -> list[Breach]:
    """All of them, whatever the rules' levels are in a stack."""
    return [
        Breach(rule.id, item.name, str(found))
        for item in graph
        for rule in RULES
        if rule.judges(item.type)
        for found in rule.violations(Resource(item.type, item.document))
    ]
