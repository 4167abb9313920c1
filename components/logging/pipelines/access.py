"""Who used the model: audit records, made of the access lines of model servers and of the entry's proxy.

A record has the fields, and the values, that the audit trail's own readers make of the same line
(apps/audit, `tests/artifacts/test_log_access_records.py` compares them), save for two: `id` is Filebeat's
fingerprint of the line, and `timestamp` of a model server's line has milliseconds, as Beats send them.
The line itself stays among the logs of its container: what an engine says beside it explains it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

GATEWAY: Final = "gateway"
MODEL: Final = "model"
QUIET_METHODS: Final = ("GET", "HEAD")
QUIET_PATHS: Final = ("/health", "/ping", "/metrics", "/v1/models")
"""What probes and monitoring ask for all the time; no record while it is answered, as in the trail."""
FIELDS: Final = (
    "id",
    "timestamp",
    "source",
    "action",
    "resource",
    "result",
    "ip",
    "status",
    "bytes",
    "trace_id",
    "node",
)
"""Of a record; no line of these says which user it was."""
_TAG: Final = "access-record"
"""Of the copy that becomes the record. `clone` tags its copies where ECS is on, as it is here."""
_STATUS: Final = "[http][response][status_code]"
_LONGEST: Final = 1024
"""Characters of a field, of the trail's records."""


@dataclass(frozen=True)
class AccessLog:
    """Containers whose access lines become records."""

    source: str
    """Of the records: `model` or `gateway`."""
    namespace: str
    container: str

    @property
    def condition(self) -> str:
        """In Logstash's language: whether it is a line of these."""
        return (
            f'[kubernetes][namespace] == "{self.namespace}" '
            f'and [kubernetes][container][name] == "{self.container}"'
        )


def recorded(logs: Sequence[AccessLog]) -> str:
    """Whether a record of the audit trail is one that is made of the original line here, too."""
    return f"[source] in {_list(dict.fromkeys(log.source for log in logs))}"


def access_filter(logs: Sequence[AccessLog]) -> str:
    """What comes after lines were taken apart: a copy of each access line becomes a record."""
    return f"""\
{_origins(logs)}\
if [access][source] and !({_quiet()}) {{
  mutate {{ add_field => {{ "[access][id]" => "%{{[@metadata][_id]}}" }} }}
  clone {{ clones => ["{_TAG}"] }}
}}
if "{_TAG}" in [tags] {{
  mutate {{
    rename => {{
      "[http][request][method]" => "action"
      "[url][path]" => "resource"
      "[source][ip]" => "ip"
      "{_STATUS}" => "status"
      "[http][response][bytes]" => "bytes"
      "[trace][id]" => "trace_id"
      "[host][name]" => "node"
    }}
  }}
  date {{
    match => ["timestamp", "dd/MMM/yyyy:HH:mm:ss.SSS"]
    timezone => "Etc/UTC"
    locale => "en"
    tag_on_failure => []
  }}
  mutate {{
    replace => {{
      "id" => "%{{[access][id]}}"
      "[@metadata][_id]" => "%{{[access][id]}}"
      "source" => "%{{[access][source]}}"
      "timestamp" => "%{{+yyyy-MM-dd'T'HH:mm:ss.SSS}}000Z"
      "[data_stream][dataset]" => "audit"
    }}
  }}
  if ![action] {{
    mutate {{ replace => {{ "action" => "-" "resource" => "<BADREQ>" }} }}
  }} else if ![resource] {{
    mutate {{ replace => {{ "resource" => "/" }} }}
  }}
  mutate {{
    gsub => [
      "resource", "^(.{{{_LONGEST - 1}}}).{{2,}}$", "\\1…",
      "ip", "(?i)^::ffff:(?=[0-9]+[.])", ""
    ]
  }}
  if [status] == 401 or [status] == 403 {{
    mutate {{ replace => {{ "result" => "denied" }} }}
  }} else if [status] >= 0 and [status] < 400 {{
    mutate {{ replace => {{ "result" => "success" }} }}
  }} else {{
    mutate {{ replace => {{ "result" => "failure" }} }}
  }}
  if [status] < 0 {{
    mutate {{ remove_field => ["status"] }}
  }}
  prune {{
    whitelist_names => {_list(f"^{name}$" for name in ("@timestamp", "data_stream", *FIELDS))}
  }}
}} else if [access] {{
  mutate {{ remove_field => ["access"] }}
}}
"""


def _origins(logs: Sequence[AccessLog]) -> str:
    """Mark access lines; what is nearly one and could not be read is found among what was not understood."""
    branches = "".join(
        f"""\
{"else if" if index else "if"} {log.condition} {{
  if {_STATUS} {{
    mutate {{ add_field => {{ "[access][source]" => "{log.source}" }} }}
  }} else if [message] =~ ' "[A-Z]+ .* HTTP/[0-9.]+"' {{
    mutate {{ add_tag => ["unparsed"] }}
  }}
}}
"""
        for index, log in enumerate(logs)
    )
    return branches


def _quiet() -> str:
    return (
        f"[http][request][method] in {_list(QUIET_METHODS)} and [url][path] in {_list(QUIET_PATHS)} "
        f"and {_STATUS} >= 0 and {_STATUS} < 400"
    )


def _list(words: Iterable[str]) -> str:
    quoted = ", ".join(f'"{word}"' for word in words)
    return f"[{quoted}]"
