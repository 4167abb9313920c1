"""Label selectors (`LabelSelector` of meta/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True)
class Requirement:
    """One condition on a label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it; a label that is missing is `NotIn` any values."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True)
class LabelSelector:
    """Conditions that must all be met; without any, everything is selected."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects something with these labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def exact(self) -> tuple[str, str] | None:
        """A label that all selected have, if it asks for one by its value."""
        for requirement in self.requirements:
            if requirement.operator == "In" and len(requirement.values) == 1:
                return requirement.key, requirement.values[0]
        return None

    def example(self) -> dict[str, str]:
        """Labels that meet the positive conditions, and no others."""
        wanted: dict[str, str] = {}
        for requirement in self.requirements:
            if requirement.operator == "In" and requirement.values:
                wanted[requirement.key] = requirement.values[0]
            elif requirement.operator == "Exists":
                wanted.setdefault(requirement.key, "any")
        return wanted

    def __str__(self) -> str:
        return ", ".join(map(_text, self.requirements)) or "any"


def parse_selector(value: Any) -> LabelSelector:
    """The selector that a mapping stands for; ValueError for an operator that Kubernetes does not know."""
    value = value or {}
    labels = value.get("matchLabels") or {}
    requirements = [Requirement(key, "In", (labels[key],)) for key in sorted(labels)]
    for expression in value.get("matchExpressions") or ():
        if expression["operator"] not in OPERATORS:
            raise ValueError(f"operator {expression['operator']!r}: not one of {', '.join(OPERATORS)}")
        values = tuple(expression.get("values") or ())
        requirements.append(Requirement(expression["key"], expression["operator"], values))
    return LabelSelector(tuple(requirements))


def _text(requirement: Requirement) -> str:
    match requirement.operator:
        case "In" if len(requirement.values) == 1:
            return f"{requirement.key}={requirement.values[0]}"
        case "Exists":
            return requirement.key
        case "DoesNotExist":
            return f"no {requirement.key}"
        case operator:
            return f"{requirement.key} {operator.lower()} ({', '.join(requirement.values)})"
