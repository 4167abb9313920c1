"""Filebeat's configuration: what it reads, what it masks, what it keeps on disk, whom it tells.

Facts are Filebeat's reference (elastic.co/docs/reference/beats/filebeat): filestream input, container parser,
script processor, disk queue, Logstash output. `tests/artifacts/test_log_shipper.py` runs exactly this
configuration in a real Filebeat; only paths and addresses are others there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

LOGSTASH_PORT: Final = 5044
"""Conventional port of the Beats protocol."""
POD_LOGS: Final = "/var/log/pods"
"""Where kubelet keeps the logs of containers (`podLogsDir` of its configuration)."""
TLS: Final = "/etc/filebeat/tls"
"""Directory with `ca.crt`, `tls.crt` and `tls.key`."""
DATA: Final = "/usr/share/filebeat/data"
"""`path.data` of the image: positions in files and the disk queue."""
LONGEST_LINE: Final = 1024 * 1024
"""Bytes; what a line has beyond is cut off. A request with ten pictures would be larger, and no log."""
MASKING_SECONDS: Final = 5
"""For one line. Its text is withheld where the time does not suffice."""


@dataclass(frozen=True)
class HostLogs:
    """Files that a program of the node itself writes."""

    dataset: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Shipper:
    """What differs from stack to stack, and from the cluster to a test."""

    hosts: tuple[str, ...]
    """Logstash's `host:port`."""
    queue_bytes: int
    """Of the disk queue."""
    node: str = "${NODE_NAME}"
    """Name of the node; Filebeat replaces variables of its environment."""
    pod_logs: str = POD_LOGS
    host_logs: tuple[HostLogs, ...] = ()
    tls: str | None = TLS
    excluded_namespaces: tuple[str, ...] = ()
    """Of pods whose logs stay on the node."""
    unmasked: tuple[tuple[str, str], ...] = ()
    """Namespace and container whose lines are shipped as they are: records that must name who did it."""
    scan_seconds: int = 10
    """Between looks for new files."""
    retry_seconds: int = 60
    """Longest pause between attempts to reach Logstash."""


def masking_script() -> str:
    """The masking, as Filebeat's script processor takes it."""
    return resources.files(__package__).joinpath("mask.js").read_text(encoding="utf-8")


def configuration(shipper: Shipper) -> dict[str, Any]:
    """The whole configuration."""
    return {
        "filebeat.inputs": [_pods(shipper), *(_host(shipper, logs) for logs in shipper.host_logs)],
        "processors": _processors(shipper),
        # Back-pressure: when it is full, files are read no further, and kubelet keeps them for a while.
        "queue.disk": {"max_size": shipper.queue_bytes},
        "output.logstash": {
            "hosts": list(shipper.hosts),
            "loadbalance": True,
            "bulk_max_size": 1024,
            "compression_level": 3,
            "timeout": "30s",
            # Connections are made anew now and then, so that new replicas of Logstash get their share.
            "ttl": "120s",
            "pipelining": 0,
            "backoff.init": "1s",
            "backoff.max": f"{shipper.retry_seconds}s",
            **({} if shipper.tls is None else {"ssl": _tls(shipper.tls)}),
        },
        "logging.level": "warning",
        "logging.to_stderr": True,
        # Its own messages are of one line, and read by itself like any other container's.
        "logging.json": True,
        "http": {"enabled": True, "host": "localhost", "port": 5066},
        "monitoring.enabled": False,
        "setup.template.enabled": False,
        "setup.ilm.enabled": False,
    }


def _pods(shipper: Shipper) -> dict[str, Any]:
    excluded = [f"/{namespace}_[^/]*/[^/]*/[^/]*$" for namespace in shipper.excluded_namespaces]
    return {
        **_filestream(shipper, "pods", [f"{shipper.pod_logs}/*/*/*.log*"], excluded),
        "parsers": [{"container": {"stream": "all", "format": "auto"}}],
        "processors": [
            {
                # <namespace>_<pod>_<uid>/<container>/<restarts>.log: none of the names can hold `_` or
                # `/`, so the path says whose line it is and nobody has to ask the API server.
                "dissect": {
                    "tokenizer": (
                        f"{shipper.pod_logs}/%{{namespace}}_%{{pod.name}}_%{{pod.uid}}"
                        "/%{container.name}/%{}"
                    ),
                    "field": "log.file.path",
                    "target_prefix": "kubernetes",
                }
            }
        ],
    }


def _host(shipper: Shipper, logs: HostLogs) -> dict[str, Any]:
    return {
        **_filestream(shipper, f"host-{logs.dataset}", list(logs.paths), []),
        "processors": [{"add_fields": {"target": "data_stream", "fields": {"dataset": logs.dataset}}}],
    }


def _filestream(shipper: Shipper, name: str, paths: Sequence[str], excluded: Sequence[str]) -> dict[str, Any]:
    scan: Mapping[str, Any] = {
        "check_interval": f"{shipper.scan_seconds}s",
        # Files are known by inode: by content, one of less than a kilobyte would not be read at all.
        "fingerprint.enabled": False,
        "exclude_files": [r"\.gz$", r"\.tmp$", *excluded],
    }
    return {
        "type": "filestream",
        "id": name,
        "paths": list(paths),
        "prospector.scanner": dict(scan),
        "file_identity.native": None,
        "message_max_bytes": LONGEST_LINE,
    }


def _processors(shipper: Shipper) -> list[dict[str, Any]]:
    mask: dict[str, Any] = {
        "lang": "javascript",
        "tag": "mask",
        "timeout": f"{MASKING_SECONDS}s",
        "source": masking_script(),
    }
    if shipper.unmasked:
        exempt = [
            {
                "and": [
                    {"equals": {"kubernetes.namespace": namespace}},
                    {"equals": {"kubernetes.container.name": container}},
                ]
            }
            for namespace, container in shipper.unmasked
        ]
        mask["when"] = {"not": {"or": exempt}}
    return [
        {"script": mask},
        {"add_fields": {"target": "host", "fields": {"name": shipper.node}}},
        {
            # The same line gets the same id however often it is sent: the store keeps it once.
            "fingerprint": {
                "fields": [
                    # Not the path: kubelet renames files between one reading and the next.
                    "host.name",
                    "kubernetes.pod.uid",
                    "kubernetes.container.name",
                    "data_stream.dataset",
                    "log.offset",
                    "@timestamp",
                    "message",
                ],
                "ignore_missing": True,
                "method": "sha256",
                "target_field": "@metadata._id",
            }
        },
        {"drop_fields": {"fields": ["agent", "ecs", "input"], "ignore_missing": True}},
    ]


def _tls(directory: str) -> dict[str, Any]:
    return {
        "certificate_authorities": [f"{directory}/ca.crt"],
        "certificate": f"{directory}/tls.crt",
        "key": f"{directory}/tls.key",
        "verification_mode": "full",
        "supported_protocols": ["TLSv1.2", "TLSv1.3"],
    }
