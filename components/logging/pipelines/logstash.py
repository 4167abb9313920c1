"""Logstash's pipelines, as text.

`pods` takes what Filebeat sends, into data streams; `dead-letters` keeps what Elasticsearch refused of it;
`files` reads files itself, into daily indices; `trail` hands records of accesses to the audit trail. Facts
are the plugins' references (elastic.co/docs/reference/logstash), those of the output `http` also its source:
logstash-output-http 6.0.1, logstash-mixin-http_client 7.5.0 and manticore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from components.logging.pipelines.access import AccessLog, access_filter, recorded
from components.logging.pipelines.grok import ALL_DEFINITIONS, LEVELS, PATTERNS, TIME_FORMATS
from components.logging.pipelines.masks import MASKS
from components.logging.shipper.configuration import LOGSTASH_PORT

TLS: Final = "/etc/logstash/tls"
"""Directory with `ca.crt`, `tls.crt` and `tls.key` (PKCS 8: the input's library takes no other)."""
DATA: Final = "/usr/share/logstash/data"
"""`path.data` of the image."""
FILES: Final = "/var/log/files"
"""Where the volume of files is mounted."""
CLUSTER: Final = "logs"
"""Name by which ECK's variables for Elasticsearch begin, in capitals."""
DEAD_LETTERS: Final = "dead_letter"
TRAIL: Final = "audit-trail"
"""Virtual address of the pipeline that sends to the audit trail."""
TRAIL_TLS: Final = "/etc/logstash/trail-tls"
"""Directory with `ca.crt`, `tls.crt` and `tls.key` (PKCS 8: the output's library takes no other)."""
TRAIL_BATCH: Final = 125
"""Records in a request at most, on which the receiver's limits rest: Logstash's own default."""
DATASETS: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("vllm", "sglang", "verify-weights", "fetch", "registry"),
    "etcd": ("etcd",),
    "kubernetes": (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "coredns",
        "cert-manager-controller",
    ),
    "proxy": ("haproxy", "keepalived", "proxy", "envoy"),
}
"""Containers by the dataset that their lines belong to; all others are `generic`."""


def quoted(text: str) -> str:
    """A string of Logstash's configuration, which knows no escapes.

    :raises ValueError: it holds quotes of both kinds.
    """
    if '"' not in text:
        return f'"{text}"'
    if "'" in text:
        raise ValueError(f"{text!r} holds quotes of both kinds, and Logstash's configuration has no escapes")
    return f"'{text}'"


def pods(
    data_stream_namespace: str,
    audit: tuple[str, str] | None,
    access: Sequence[AccessLog] = (),
    *,
    trail: bool = False,
) -> str:
    """What comes from Filebeat.

    :param audit: namespace and container of what prints audit records, one JSON document a line.
    :param access: whose access lines become audit records here.
    :param trail: whether these records also go to the pipeline `trail`.
    """
    index = f"logs-%{{[data_stream][dataset]}}-{data_stream_namespace}"
    audit_condition = (
        "false"
        if audit is None
        else f'[kubernetes][namespace] == "{audit[0]}" and [kubernetes][container][name] == "{audit[1]}"'
    )
    return f"""\
input {{
  beats {{
    port => {LOGSTASH_PORT}
    ssl_enabled => true
    ssl_certificate => "{TLS}/tls.crt"
    ssl_key => "{TLS}/tls.key"
    ssl_client_authentication => "required"
    ssl_certificate_authorities => ["{TLS}/ca.crt"]
    ssl_supported_protocols => ["TLSv1.2", "TLSv1.3"]
    enrich => none
  }}
}}
filter {{
{_indent(_audit_filter(audit_condition, access), 1) if audit else ""}\
{_indent(_dataset_filter(), 1)}\
  if [data_stream][dataset] != "audit" {{
{_indent(_parse_filter(), 2)}\
{_indent(access_filter(access), 2) if access else ""}\
  }}
}}
output {{
{_indent(_output(index, document_id="%{[@metadata][_id]}"), 1)}\
{_indent(_to_trail(access), 1) if trail else ""}\
}}
"""


def _to_trail(access: Sequence[AccessLog]) -> str:
    """Not what the trail itself has printed."""
    return f"""\
if [data_stream][dataset] == "audit" and {recorded(access)} {{
  pipeline {{ send_to => ["{TRAIL}"] }}
}}
"""


def trail(url: str) -> str:
    """Records of accesses, to the receiver of the audit trail.

    Behind a disk queue of its own: while the receiver takes nothing, that fills, and logs go on. A batch is
    sent until it is answered, 403 and 404 included, which are somebody's mistake and not the batch's; 400 and
    413 are not, as the receiver has kept what it could not read.
    """
    return f"""\
input {{
  pipeline {{ address => "{TRAIL}" }}
}}
filter {{
  mutate {{ remove_field => ["data_stream"] }}
}}
output {{
  http {{
    url => "{url}"
    http_method => "post"
    format => "json_batch"
    retry_failed => true
    retryable_codes => [403, 404, 408, 429, 500, 502, 503, 504]
    automatic_retries => 1
    retry_non_idempotent => true
    connect_timeout => 10
    socket_timeout => 60
    request_timeout => 90
    pool_max => 4
    pool_max_per_route => 4
    follow_redirects => false
    cookies => false
    ssl_enabled => true
    ssl_certificate => "{TRAIL_TLS}/tls.crt"
    ssl_key => "{TRAIL_TLS}/tls.key"
    ssl_certificate_authorities => ["{TRAIL_TLS}/ca.crt"]
    ssl_verification_mode => "full"
    ssl_supported_protocols => ["TLSv1.2", "TLSv1.3"]
  }}
}}
"""


def dead_letters(data_stream_namespace: str) -> str:
    """What Elasticsearch refused of `pods`: its text and why, without the fields that may be the reason."""
    return f"""\
input {{
  dead_letter_queue {{
    path => "{DATA}/dead_letter_queue"
    pipeline_id => "pods"
    commit_offsets => true
    clean_consumed => true
  }}
}}
filter {{
  mutate {{
    add_field => {{ "[error][message]" => "%{{[@metadata][dead_letter_queue][reason]}}" }}
    convert => {{ "message" => "string" }}
  }}
  prune {{
    whitelist_names => ["^@timestamp$", "^message$", "^error$", "^kubernetes$", "^host$", "^log$"]
  }}
  mutate {{
    remove_field => ["[log][level]", "[log][origin]"]
  }}
}}
output {{
{_indent(_output(f"logs-{DEAD_LETTERS}-{data_stream_namespace}"), 1)}\
}}
"""


def files(pattern: str) -> str:
    """Files that Logstash reads itself."""
    masks = ",\n".join(
        f'      "message", {quoted(mask.pattern)}, {quoted(mask.replacement)}' for mask in MASKS
    )
    return f"""\
input {{
  file {{
    path => ["{FILES}{pattern}"]
    mode => "tail"
    start_position => "beginning"
    sincedb_path => "{DATA}/files.sincedb"
    file_chunk_size => 262144
  }}
}}
filter {{
  mutate {{
    gsub => [
{masks}
    ]
  }}
{_indent(_parse_filter(), 1)}\
  date {{
    match => ["timestamp", {", ".join(quoted(form) for form in TIME_FORMATS)}]
    timezone => "Etc/UTC"
    tag_on_failure => []
  }}
}}
output {{
{_indent(_output("logs-%{+YYYY.MM.dd}"), 1)}\
}}
"""


def settings(queue_bytes: int, dead_letter_bytes: int) -> dict[str, Any]:
    """`logstash.yml`: what all pipelines have in common."""
    return {
        "log.level": "warn",
        "log.format": "json",
        # Kept on disk before it is acknowledged: what Filebeat was told is safe survives this process.
        "queue.type": "persisted",
        "queue.max_bytes": queue_bytes,
        "queue.checkpoint.writes": 1024,
        "queue.drain": False,
        "dead_letter_queue.enable": True,
        "dead_letter_queue.max_bytes": dead_letter_bytes,
        "dead_letter_queue.storage_policy": "drop_older",
        "pipeline.ecs_compatibility": "v8",
        "config.support_escapes": False,
    }


def _dataset_filter() -> str:
    branches: list[str] = []
    for dataset, containers in DATASETS.items():
        names = ", ".join(f'"{name}"' for name in containers)
        keyword = "else if" if branches else "if"
        branches.append(
            f"""\
{keyword} [kubernetes][container][name] in [{names}] {{
  mutate {{ add_field => {{ "[data_stream][dataset]" => "{dataset}" }} }}
}}
"""
        )
    return f"""\
if ![data_stream][dataset] {{
{_indent("".join(branches), 1)}\
  else {{
    mutate {{ add_field => {{ "[data_stream][dataset]" => "generic" }} }}
  }}
}}
"""


def _audit_filter(condition: str, access: Sequence[AccessLog]) -> str:
    """Records that the audit trail prints, as they are.

    Its collectors have read the same access lines, on the nodes where they are: those records are left to
    what is made of the lines of all nodes, so that each access is kept once.
    """
    twice = f"    if {recorded(access)} {{\n      drop {{ }}\n    }}\n" if access else ""
    return f"""\
if {condition} and [stream] == "stdout" {{
  json {{
    source => "message"
    tag_on_failure => ["unparsed"]
  }}
  if "unparsed" not in [tags] {{
{twice}\
    mutate {{
      add_field => {{ "[data_stream][dataset]" => "audit" }}
      remove_field => ["message"]
    }}
    if [id] {{
      mutate {{ replace => {{ "[@metadata][_id]" => "%{{id}}" }} }}
    }}
    date {{
      match => ["timestamp", "ISO8601"]
      tag_on_failure => []
    }}
  }}
}}
"""


def _parse_filter() -> str:
    """Time, level and text of a line, JSON or not."""
    definitions = "".join(
        f'      "{name}" => {quoted(pattern)}\n' for name, pattern in ALL_DEFINITIONS.items()
    )
    patterns = "".join(
        f"        {quoted(one.pattern)}{',' if one is not PATTERNS[-1] else ''}\n" for one in PATTERNS
    )
    levels = "".join(f'      "{word}" => "{level}"\n' for word, level in LEVELS.items())
    return f"""\
if [message] =~ "^\\{{" {{
  json {{
    source => "message"
    target => "json"
    skip_on_invalid_json => true
  }}
  if [json] {{
    mutate {{
      copy => {{
        "[json][level]" => "[log][level]"
        "[json][severity]" => "[log][level]"
        "[json][ts]" => "timestamp"
        "[json][time]" => "timestamp"
        "[json][timestamp]" => "timestamp"
        "[json][@timestamp]" => "timestamp"
        "[json][logger]" => "[log][logger]"
        "[json][caller]" => "[log][origin][source]"
        "[json][message]" => "[@metadata][text]"
        "[json][msg]" => "[@metadata][text]"
      }}
    }}
  }}
}} else if [message] {{
  grok {{
    pattern_definitions => {{
{definitions}\
    }}
    match => {{
      "message" => [
{patterns}\
      ]
    }}
    timeout_millis => 1000
    tag_on_failure => ["unparsed"]
    tag_on_timeout => "unparsed"
  }}
}}
if [@metadata][text] {{
  mutate {{ replace => {{ "message" => "%{{[@metadata][text]}}" }} }}
}}
if [log][level] {{
  translate {{
    source => "[log][level]"
    target => "[log][level]"
    override => true
    dictionary => {{
{levels}\
    }}
    fallback => "%{{[log][level]}}"
  }}
  mutate {{ lowercase => ["[log][level]"] }}
}}
"""


def _output(index: str, *, document_id: str | None = None) -> str:
    """To Elasticsearch, whose address and user ECK puts into the environment.

    Not by the plugin's own `data_stream`, which takes no ids: with one, what is sent twice is kept once, as
    Elasticsearch answers 409 and the plugin goes on.
    """
    variable = CLUSTER.upper()
    identity = "" if document_id is None else f'  document_id => "{document_id}"\n'
    return f"""\
elasticsearch {{
  hosts => ["${{{variable}_ES_HOSTS}}"]
  user => "${{{variable}_ES_USER}}"
  password => "${{{variable}_ES_PASSWORD}}"
  ssl_enabled => true
  ssl_certificate_authorities => ["${{{variable}_ES_SSL_CERTIFICATE_AUTHORITY}}"]
  index => "{index}"
  action => "create"
{identity}\
  data_stream => false
  manage_template => false
  ilm_enabled => false
}}
"""


def _indent(text: str, levels: int) -> str:
    return "".join(f"{'  ' * levels}{line}\n" if line else "\n" for line in text.splitlines())


def pipeline_ids(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of ECK's pipeline documents."""
    return [str(document["pipeline.id"]) for document in documents]
