"""The contract between rules and exporters: names, labels and values that rules use must be there.

An expression is walked from its leaves upwards with the labels that its series can have: those of the
recorded page, and those that Prometheus adds to a target. What asks for a label that is not there selects or
groups by nothing, fires never or always, and says nothing: so each such place is a breach.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import promql_parser as promql

from components.monitoring.rule import RuleGroup
from tests.artifacts.metric_pages import Page

TARGET_LABELS: Final = frozenset({"job", "instance", "namespace", "pod", "container", "endpoint"})
"""prometheus-operator adds them to every target of a PodMonitor or ServiceMonitor."""
RELABELED: Final[Mapping[str, frozenset[str]]] = {
    "model-server": frozenset({"model"}),
    "etcd": frozenset({"cluster"}),
}
"""What the platform's own monitors add, by job (components/monitoring/monitors.py)."""
_FREE_VALUES: Final = TARGET_LABELS | {"model", "cluster", "address", "job_name"}
"""Labels whose values a stack chooses; job is checked by itself."""
_SET_OPERATORS: Final = ("and", "or", "unless")


@dataclass(frozen=True)
class Known:
    """Series of one name, whatever offers them."""

    labels: frozenset[str]
    values: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Contract:
    """Everything that can be asked for."""

    series: Mapping[str, Known]
    jobs: frozenset[str]

    @classmethod
    def of(cls, pages: Iterable[Page], groups: Iterable[RuleGroup]) -> Contract:
        """The pages, `up` of each job, and what the rules themselves record."""
        pages = list(pages)
        jobs = frozenset(page.job for page in pages)
        series = {"up": Known(TARGET_LABELS | {"model"}, {})}
        for page in pages:
            added = TARGET_LABELS | RELABELED.get(page.job, frozenset())
            for name, family in page.families.items():
                before = series.get(name, Known(frozenset(), {}))
                values = dict(before.values)
                for label, found in family.values.items():
                    values[label] = values.get(label, frozenset()) | found
                series[name] = Known(before.labels | family.labels | added, values)
        for group in groups:
            for rule in group.recording:
                reader = _Reader(cls(series, jobs))
                labels = reader.labels(promql.parse(rule.expr)) | rule.labels.keys()
                series[rule.name] = Known(frozenset(labels), {})
        return cls(series, jobs)

    def breaches(self, expression: str) -> tuple[list[str], frozenset[str]]:
        """What an expression asks for and is not there; and the labels of its result.

        :raises ValueError: it is no PromQL.
        """
        reader = _Reader(self)
        labels = reader.labels(promql.parse(expression))
        return reader.found, labels

    def rule_breaches(self, groups: Iterable[RuleGroup]) -> list[str]:
        """Of all rules: expressions, and labels that texts name."""
        found = []
        for group in groups:
            for rule in group.recording:
                found += [f"{rule.name}: {breach}" for breach in self.breaches(rule.expr)[0]]
            for alert in group.alerts:
                breaches, labels = self.breaches(alert.expr)
                found += [f"{alert.key}: {breach}" for breach in breaches]
                there = labels | alert.all_labels.keys()
                texts = alert.summary + alert.description
                found += [
                    f"{alert.key}: its text names the label {name!r}, which it has not"
                    for name in re.findall(r"\$labels\.(\w+)", texts)
                    if name not in there
                ]
        return found


class _Reader:
    """Walks one expression."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.found: list[str] = []

    def labels(self, node: Any) -> frozenset[str]:
        """Labels that the series of a node can have."""
        match node:
            case promql.VectorSelector():
                return self._selector(node)
            case promql.MatrixSelector():
                return self._selector(node.vector_selector)
            case promql.AggregateExpr():
                return self._aggregate(node)
            case promql.BinaryExpr():
                return self._binary(node)
            case promql.Call():
                return self._call(node)
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self.labels(node.expr)
            case promql.NumberLiteral() | promql.StringLiteral():
                return frozenset()
        raise NotImplementedError(type(node).__name__)

    def _selector(self, node: promql.VectorSelector) -> frozenset[str]:
        name = node.name or ""
        known = self._contract.series.get(name)
        if known is None:
            self.found.append(f"no exporter has a metric {name!r}")
            return TARGET_LABELS
        for matcher in node.matchers.matchers:
            if matcher.name not in known.labels:
                # An absent label equals the empty text: only `label=""` and its like mean something.
                self.found.append(f"{name} has no label {matcher.name!r}")
            else:
                self._value(name, known, matcher)
        return known.labels

    def _value(self, name: str, known: Known, matcher: promql.Matcher) -> None:
        equal, regex = matcher.op == promql.MatchOp.Equal, matcher.op == promql.MatchOp.Re
        values = self._contract.jobs if matcher.name == "job" else known.values.get(matcher.name)
        if matcher.name in _FREE_VALUES - {"job"} or values is None or not (equal or regex):
            return
        if equal and matcher.value not in values and not _same_class(matcher.value, values):
            self.found.append(f"{name}: {matcher.name}={matcher.value!r} is none of {_some(values)}")
        if regex and not any(re.fullmatch(matcher.value, value) for value in values):
            self.found.append(f"{name}: {matcher.name}=~{matcher.value!r} matches none of {_some(values)}")

    def _aggregate(self, node: promql.AggregateExpr) -> frozenset[str]:
        inner = self.labels(node.expr)
        if node.modifier is None:
            return frozenset()
        named = frozenset(node.modifier.labels)
        self._need(named, inner, str(node.op))
        return named if node.modifier.type == promql.AggModifierType.By else inner - named

    def _call(self, node: promql.Call) -> frozenset[str]:
        vectors = [self.labels(argument) for argument in node.args]
        if node.func.name in ("absent", "absent_over_time"):
            # The result carries what the selector asks for with `=`.
            selector = node.args[0]
            if isinstance(selector, promql.MatrixSelector):
                selector = selector.vector_selector
            return frozenset(
                matcher.name
                for matcher in getattr(getattr(selector, "matchers", None), "matchers", [])
                if matcher.op == promql.MatchOp.Equal
            )
        if node.func.name == "histogram_quantile":
            self._need({"le"}, vectors[1], "histogram_quantile")
            return vectors[1] - {"le"}
        if node.func.name == "label_replace":
            return vectors[0] | {node.args[1].val}
        return frozenset().union(*vectors)

    def _binary(self, node: promql.BinaryExpr) -> frozenset[str]:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if _is_scalar(node.lhs) or _is_scalar(node.rhs):
            return left | right
        operator = str(node.op)
        modifier = node.modifier
        matching = modifier.matching if modifier else None
        if matching is None:
            if left != right and operator != "or":
                self.found.append(
                    f"sides of {operator!r} can never match: only one has {sorted(left ^ right)}"
                )
        elif matching.type == promql.LabelModifierType.Include:
            named = frozenset(matching.labels)
            self._need(named, left, f"{operator} on")
            self._need(named, right, f"{operator} on")
            if operator not in _SET_OPERATORS:
                group = frozenset(modifier.group_labels or ()) if modifier else frozenset()
                self._need(group, right, "group_left")
                many = modifier.card != promql.VectorMatchCardinality.OneToOne if modifier else False
                return (left if many else named) | group
        return left | right if operator == "or" else left

    def _need(self, named: Iterable[str], there: frozenset[str], where: str) -> None:
        self.found += [f"{where}: no label {name!r} there" for name in named if name not in there]


def _is_scalar(node: Any) -> bool:
    while isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        node = node.expr
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql.Call):
        return bool(node.func.return_type == promql.ValueType.Scalar)
    return isinstance(node, promql.NumberLiteral)


def _same_class(value: str, values: Iterable[str]) -> bool:
    """A class of status codes, where another one was recorded: an engine that answers has seen no 5xx."""
    classes = re.compile(r"[1-5]xx")
    return bool(classes.fullmatch(value)) and all(classes.fullmatch(one) for one in values)


def _some(values: Iterable[str]) -> str:
    return ", ".join(repr(value) for value in sorted(values)[:8])
