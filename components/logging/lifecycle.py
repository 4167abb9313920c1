"""What Elasticsearch is told about the logs: lifecycle policies, index templates, the role of readers.

Set by API: the operator's own way (StackConfigPolicy) needs a licence. Facts are Elasticsearch's reference
(elastic.co/docs/api/doc/elasticsearch): every call is a PUT that replaces what has the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.logging import sizing
from components.logging.plan import DATA_STREAM_NAMESPACE, LoggingPlan
from components.monitoring.durations import DAY, HOUR, MINUTE

PREFIX: Final = "autoglm"
READER_ROLE: Final = "logs_reader"
AUDIT_READER_ROLE: Final = "audit_reader"
_KEYWORD: Final = {"type": "keyword", "ignore_above": 1024}
_NUMBER: Final = {"type": "long"}


@dataclass(frozen=True)
class Call:
    """One call of Elasticsearch's API."""

    path: str
    body: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """For the program that makes the call."""
        return {"method": "PUT", "path": self.path, "body": dict(self.body)}


def calls(plan: LoggingPlan) -> tuple[Call, ...]:
    """Every call, in order: templates name policies, which therefore come first."""
    return (
        Call(f"/_ilm/policy/{PREFIX}-logs", {"policy": {"phases": data_stream_phases(plan)}}),
        Call(f"/_ilm/policy/{PREFIX}-logs-daily", {"policy": {"phases": daily_phases(plan)}}),
        Call(f"/_ilm/policy/{PREFIX}-audit", {"policy": {"phases": audit_phases(plan)}}),
        Call(f"/_component_template/{PREFIX}-logs-mappings", {"template": {"mappings": _log_mappings()}}),
        Call(f"/_component_template/{PREFIX}-audit-mappings", {"template": {"mappings": _audit_mappings()}}),
        *(
            Call(
                f"/_component_template/{PREFIX}-{name}-settings",
                {"template": {"settings": _settings(plan, f"{PREFIX}-{name}")}},
            )
            for name in ("logs", "logs-daily", "audit")
        ),
        # Above Elasticsearch's own template for `logs-*-*`, whose priority is 100.
        Call(
            f"/_index_template/{PREFIX}-audit",
            _template("audit", "audit-mappings", f"logs-audit-{DATA_STREAM_NAMESPACE}", priority=400),
        ),
        Call(
            f"/_index_template/{PREFIX}-logs",
            _template("logs", "logs-mappings", f"logs-*-{DATA_STREAM_NAMESPACE}", priority=300),
        ),
        Call(
            f"/_index_template/{PREFIX}-logs-daily",
            _template("logs-daily", "logs-mappings", "logs-2*", priority=250, data_stream=False),
        ),
        _reader(READER_ROLE, "logs-*"),
        _reader(AUDIT_READER_ROLE, f"logs-audit-{DATA_STREAM_NAMESPACE}"),
    )


def _reader(role: str, names: str) -> Call:
    """A role that may read indices, and nothing else."""
    indices = {"names": [names], "privileges": ["read", "view_index_metadata"]}
    return Call(f"/_security/role/{role}", {"cluster": ["monitor"], "indices": [indices]})


def data_stream_phases(plan: LoggingPlan) -> dict[str, Any]:
    """From hot to deleted; the age of every phase but the first counts from the rollover."""
    retention = plan.settings.retention
    phases: dict[str, Any] = {
        "hot": {
            "min_age": "0ms",
            "actions": {
                "rollover": {
                    "max_age": age(retention.rollover_after),
                    "max_primary_shard_size": f"{retention.rollover_size}b",
                },
                "set_priority": {"priority": 100},
            },
        }
    }
    if plan.warm_after is not None:
        phases["warm"] = _warm(plan.warm_after)
    phases["delete"] = _delete(retention.delete_after)
    return phases


def daily_phases(plan: LoggingPlan) -> dict[str, Any]:
    """A daily index never rolls over: its age counts from when it was made, a day earlier."""
    phases: dict[str, Any] = {"hot": {"min_age": "0ms", "actions": {"set_priority": {"priority": 100}}}}
    if plan.warm_after is not None:
        phases["warm"] = _warm(plan.warm_after + DAY)
    phases["delete"] = _delete(plan.settings.retention.delete_after + DAY)
    return phases


def audit_phases(plan: LoggingPlan) -> dict[str, Any]:
    """Records of accesses, and a copy of the audit trail's; those are signed where they are made."""
    phases: dict[str, Any] = {
        "hot": {
            "min_age": "0ms",
            "actions": {
                "rollover": {
                    "max_age": age(sizing.AUDIT_ROLLOVER),
                    "max_primary_shard_size": f"{plan.settings.retention.rollover_size}b",
                },
                "set_priority": {"priority": 100},
            },
        }
    }
    if plan.warm_after is not None:
        phases["warm"] = _warm(plan.warm_after)
    phases["delete"] = _delete(plan.audit_retention)
    return phases


def age(seconds: int) -> str:
    """A duration as Elasticsearch writes it: one number, one unit."""
    for unit, factor in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds % factor == 0:
            return f"{seconds // factor}{unit}"
    return f"{seconds}s"


def _warm(after: int) -> dict[str, Any]:
    return {
        "min_age": age(after),
        # Moving to the tier is what the phase does by itself.
        "actions": {"set_priority": {"priority": 50}, "forcemerge": {"max_num_segments": 1}},
    }


def _delete(after: int) -> dict[str, Any]:
    return {"min_age": age(after), "actions": {"delete": {}}}


def _template(
    name: str, mappings: str, pattern: str, *, priority: int, data_stream: bool = True
) -> dict[str, Any]:
    return {
        "index_patterns": [pattern],
        "priority": priority,
        "composed_of": [f"{PREFIX}-{mappings}", f"{PREFIX}-{name}-settings"],
        **({"data_stream": {}} if data_stream else {}),
        "_meta": {"managed_by": "autoglm-platform"},
    }


def _settings(plan: LoggingPlan, policy: str) -> dict[str, Any]:
    wanted = plan.settings.elasticsearch
    return {
        "index": {
            "number_of_shards": wanted.shards,
            "number_of_replicas": wanted.replicas,
            "lifecycle": {"name": policy},
            "codec": "best_compression",
            "refresh_interval": "10s",
            # A line must not be refused because a value is no number, or because it brings a field too many.
            "mapping": {
                "ignore_malformed": True,
                "total_fields": {"limit": 1000, "ignore_dynamic_beyond_limit": True},
            },
        }
    }


def _log_mappings() -> dict[str, Any]:
    return {
        "dynamic_templates": [
            {"text": {"match_mapping_type": "string", "mapping": dict(_KEYWORD)}},
        ],
        "properties": {
            "@timestamp": {"type": "date"},
            "message": {"type": "match_only_text"},
            "timestamp": dict(_KEYWORD),
            # Whatever programs write as JSON: one field, so that they cannot disagree about types.
            "json": {"type": "flattened", "ignore_above": 8191},
            "log": {
                "properties": {
                    "level": dict(_KEYWORD),
                    "offset": dict(_NUMBER),
                    "file": {"properties": {"path": dict(_KEYWORD)}},
                }
            },
            "source": {"properties": {"ip": {"type": "ip"}, "port": dict(_NUMBER)}},
            "http": {
                "properties": {
                    "request": {"properties": {"method": dict(_KEYWORD)}},
                    "response": {"properties": {"status_code": dict(_NUMBER), "bytes": dict(_NUMBER)}},
                }
            },
            "kubernetes": {
                "properties": {
                    "namespace": dict(_KEYWORD),
                    "pod": {"properties": {"name": dict(_KEYWORD), "uid": dict(_KEYWORD)}},
                    "container": {"properties": {"name": dict(_KEYWORD)}},
                }
            },
        },
    }


def _audit_mappings() -> dict[str, Any]:
    keywords = (
        "id",
        "source",
        "user",
        "action",
        "resource",
        "namespace",
        "name",
        "result",
        "trace_id",
        "node",
    )
    return {
        "dynamic_templates": [{"text": {"match_mapping_type": "string", "mapping": dict(_KEYWORD)}}],
        "properties": {
            "@timestamp": {"type": "date"},
            "timestamp": {"type": "date"},
            "ip": {"type": "ip"},
            "status": {"type": "short"},
            "bytes": dict(_NUMBER),
            **{name: dict(_KEYWORD) for name in keywords},
        },
    }
