"""Audit records that nobody made, and the log store's answers to the dashboards' queries about them.

A log store cannot be run here. What its panels would show is counted here from the query's own text: enough
of Lucene's syntax and of Elasticsearch's aggregations for the queries that dashboards have, and an error for
anything else.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.harness.history import DAY, HOUR

Record = Mapping[str, Any]
_USERS: Final = (
    ("system:serviceaccount:kube-system:generic-garbage-collector", 30),
    ("system:serviceaccount:argocd:deployer", 22),
    ("system:node:gpu-1", 20),
    ("system:node:gpu-2", 20),
    ("li.wei@example.com", 8),
    ("chen.yu@example.com", 5),
)
_COUNT: Final = 6_000
_TERM: Final = re.compile(r"(?P<field>[a-z_]+):(?:(?P<value>[a-z0-9-]+)|\((?P<values>[^)]+)\))")


@dataclass(frozen=True)
class RecordStore:
    """Records of a day, up to a moment."""

    end: int

    def records(self) -> tuple[Record, ...]:
        """All of them, oldest first."""
        return _records(self.end)

    def matching(self, query: str, start: float, end: float) -> list[Record]:
        """Records that a query in Lucene's syntax finds; raises ValueError for syntax unknown here."""
        return [one for one in self.records() if start <= one["@timestamp"] <= end and _matches(query, one)]


def _matches(query: str, record: Record) -> bool:
    if query == "*":
        return True
    return any(
        all(_term(text.strip(), record) for text in part.split(" AND ")) for part in _outside(query, " OR ")
    )


def _outside(query: str, separator: str) -> Sequence[str]:
    """Split where no parenthesis is open."""
    parts, depth, begin = [], 0, 0
    for index, character in enumerate(query):
        depth += (character == "(") - (character == ")")
        if depth == 0 and query.startswith(separator, index):
            parts.append(query[begin:index])
            begin = index + len(separator)
    return [*parts, query[begin:]]


def _term(text: str, record: Record) -> bool:
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: no such syntax is known here; write field:value or field:(a OR b)")
    if match["field"] not in record:
        raise ValueError(f"{text!r}: records have no field {match['field']!r}")
    return record[match["field"]] in ((match["values"] or match["value"]).split(" OR "))


def most(records: Sequence[Record], field: str, size: int) -> list[tuple[str, int]]:
    """The values of a field with the most records; those without a value are in no bucket."""
    counted = Counter(str(one[field]) for one in records if one[field] is not None)
    return counted.most_common(size)


@cache
def _records(end: int) -> tuple[Record, ...]:
    chance = random.Random("audit records")
    made = [_request(chance, end - DAY * chance.random() ** 0.9) for _ in range(_COUNT)]
    made += [_anomaly(end - 14 * HOUR, "bulk-export-at-night", "chen.yu@example.com", "203.0.113.17")]
    made += [_anomaly(end - 5 * HOUR + 900, "denials", "ci-runner@example.com", "198.51.100.9")]
    for index in range(46):
        moment = end - 5 * HOUR + 18 * index
        made.append(_kubernetes(moment, chance, "ci-runner@example.com", "list", "secrets", "denied"))
    return tuple(sorted(made, key=lambda one: one["@timestamp"]))


def _trace(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _request(chance: random.Random, moment: float) -> Record:
    source = chance.choices(("kubernetes", "gateway", "model"), (5, 3, 3))[0]
    if source == "kubernetes":
        user = chance.choices([name for name, _ in _USERS], [weight for _, weight in _USERS])[0]
        action, resource = chance.choices(
            (
                *(("get", "pods"), ("update", "leases.coordination.k8s.io"), ("patch", "nodes/status")),
                *(("list", "endpoints"), ("get", "secrets"), ("create", "events"), ("exec", "pods")),
            ),
            (40, 30, 12, 10, 2, 6, 2 if user == "li.wei@example.com" else 0),
        )[0]
        result = chance.choices(("success", "failure", "denied"), (97, 2.6, 0.4))[0]
        return _kubernetes(moment, chance, user, action, resource, result)
    result = chance.choices(("success", "failure", "denied"), (98.5, 1.2, 0.3))[0]
    return {
        "@timestamp": moment,
        "source": source,
        "user": None,
        "action": "POST",
        "resource": "/v1/chat/completions",
        "ip": f"10.20.0.{chance.randint(2, 14)}",
        "result": result,
        "trace_id": _trace(chance),
    }


def _kubernetes(
    moment: float, chance: random.Random, user: str, action: str, resource: str, result: str
) -> Record:
    return {
        "@timestamp": moment,
        "source": "kubernetes",
        "user": user,
        "action": action,
        "resource": resource,
        "ip": f"192.168.1.{11 + sum(user.encode()) % 20}",
        "result": result,
        "trace_id": _trace(chance),
    }


def _anomaly(moment: float, rule: str, user: str, ip: str) -> Record:
    return {
        "@timestamp": moment,
        "source": "anomaly",
        "user": user,
        "action": rule,
        "resource": "secrets",
        "ip": ip,
        "result": "raised",
        "trace_id": None,
    }
