"""What people find in Kibana before they have searched for anything: data views and saved searches.

Saved objects as Kibana exports them, one JSON document a line; importing them again overwrites them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from components.logging.plan import DATA_STREAM_NAMESPACE


@dataclass(frozen=True)
class DataView:
    """Indices that are looked at together."""

    id: str
    name: str
    pattern: str

    def saved_object(self) -> dict[str, Any]:
        """As Kibana keeps it."""
        return {
            "id": self.id,
            "type": "index-pattern",
            "attributes": {"title": self.pattern, "name": self.name, "timeFieldName": "@timestamp"},
            "references": [],
        }


@dataclass(frozen=True)
class SavedSearch:
    """A question about the logs."""

    id: str
    title: str
    description: str
    view: DataView
    query: str
    """In Kibana's query language."""
    columns: tuple[str, ...]

    def saved_object(self) -> dict[str, Any]:
        """As Kibana keeps it."""
        reference = "kibanaSavedObjectMeta.searchSourceJSON.index"
        source = {
            "query": {"language": "kuery", "query": self.query},
            "filter": [],
            "indexRefName": reference,
        }
        return {
            "id": self.id,
            "type": "search",
            "attributes": {
                "title": self.title,
                "description": self.description,
                "columns": list(self.columns),
                "sort": [["@timestamp", "desc"]],
                "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
            },
            "references": [{"id": self.view.id, "name": reference, "type": "index-pattern"}],
        }


LOGS: Final = DataView("autoglm-logs", "All logs", f"logs-*-{DATA_STREAM_NAMESPACE},-logs-audit-*")
AUDIT: Final = DataView("autoglm-audit", "Audit records", f"logs-audit-{DATA_STREAM_NAMESPACE}")
FILES: Final = DataView("autoglm-files", "Files, by day", "logs-2*")
DATA_VIEWS: Final = (LOGS, AUDIT, FILES)
_WHERE: Final = ("kubernetes.namespace", "kubernetes.pod.name", "log.level", "message")

SAVED_SEARCHES: Final = (
    SavedSearch(
        "autoglm-errors",
        "Errors of everything",
        "Lines that programs themselves call errors.",
        LOGS,
        'log.level: ("error" or "critical" or "alert" or "fatal")',
        _WHERE,
    ),
    SavedSearch(
        "autoglm-model-failures",
        "Model servers: requests that failed",
        "Requests that vLLM answered with 4xx or 5xx.",
        LOGS,
        'data_stream.dataset: "model" and http.response.status_code >= 400',
        ("kubernetes.pod.name", "source.ip", "url.path", "http.response.status_code"),
    ),
    SavedSearch(
        "autoglm-model-messages",
        "Model servers: warnings and errors",
        "What engines say beside requests.",
        LOGS,
        'data_stream.dataset: "model" and log.level: ("warning" or "error" or "critical")',
        ("kubernetes.pod.name", "process.title", "log.origin.source", "log.level", "message"),
    ),
    SavedSearch(
        "autoglm-etcd",
        "etcd: warnings and errors",
        "Slow disks, elections, lost members.",
        LOGS,
        'data_stream.dataset: "etcd" and not log.level: ("info" or "debug")',
        ("kubernetes.pod.name", "log.origin.source", "log.level", "message"),
    ),
    SavedSearch(
        "autoglm-entry",
        "Entry: failed requests and moves of the address",
        "HAProxy's 5xx and broken connections, and what keepalived says.",
        LOGS,
        'data_stream.dataset: "proxy" and (http.response.status_code >= 500 '
        'or not haproxy.termination: "----" or kubernetes.container.name: "keepalived")',
        ("host.name", "haproxy.backend", "haproxy.server", "http.response.status_code", "message"),
    ),
    SavedSearch(
        "autoglm-not-understood",
        "Lines that were not taken apart, or refused",
        "No pattern fits them, masking withheld them, or Elasticsearch refused them at first.",
        LOGS,
        'tags: "unparsed" or labels.masking: "failed" or error.message: *',
        ("kubernetes.container.name", "error.message", "message"),
    ),
    SavedSearch(
        "autoglm-audit-model",
        "Audit: who used the model",
        "Requests to model servers and through the entry; probes that were answered are left out.",
        AUDIT,
        'source: ("model" or "gateway")',
        ("source", "ip", "action", "resource", "result", "node"),
    ),
    SavedSearch(
        "autoglm-audit-denied",
        "Audit: what was denied, and anomalies",
        "Who was refused what, and what rules have raised.",
        AUDIT,
        'result: ("denied" or "raised")',
        ("source", "user", "action", "resource", "ip", "result"),
    ),
)


def saved_objects() -> str:
    """All of them, as Kibana's import takes them: what others refer to first."""
    objects = [view.saved_object() for view in DATA_VIEWS]
    objects += [search.saved_object() for search in SAVED_SEARCHES]
    return "".join(json.dumps(one, sort_keys=True) + "\n" for one in objects)
