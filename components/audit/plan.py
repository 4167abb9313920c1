"""From the settings of the audit trail to what is built: pure functions, every problem collected."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

from components.audit.settings import SHORTEST_RETENTION_DAYS, Audit, GeneratedKey, SecretKey
from components.common.demand import Demand
from components.common.problems import Problem
from components.common.quantities import MIB, format_bytes
from components.monitoring.stack import AUDIT_COLLECTOR

IMAGE: Final = "audit"
NAME: Final = AUDIT_COLLECTOR
PUBLISHER: Final = "audit-publisher"
"""Name of the publishers, and of their service account."""
METRICS_PORT: Final = 9464
RECORDS_PORT: Final = 8443
"""Where a collector that is a receiver takes batches."""
KEPT_JOBS: Final = 2
"""Ended jobs of each CronJob that are kept for their logs: the last that succeeded, the last that failed."""
RECORD_BYTES: Final = 500
"""Of one record with its digest: 380 and 65 bytes, measured on a real API server, rounded up."""
ID_BYTES: Final = 150
"""Memory of an id in a receiver, of today and of yesterday: 126 measured."""
RECEIVER_BYTES: Final = 96 * MIB
"""Memory of a receiver beside its ids: 23 MiB at rest, measured; the rest is for the largest batches."""
_ED25519_PUBLIC: Final = bytes.fromhex("302a300506032b6570032100")
"""What the DER form of every Ed25519 public key begins with (RFC 8410)."""
_KEY_BYTES: Final = 32
_OF_NODES: Final = {"collectors": "collectors", "apiServerLog": "api_server_log", "podLogs": "pod_logs"}
"""Keys that mean something on nodes alone, with their attributes."""


@dataclass(frozen=True)
class Logs:
    """Logs of the pods whose access lines become records; patterns below the folder of pod logs."""

    model: tuple[str, ...] = ()
    """Of model servers."""
    gateway: tuple[str, ...] = ()
    """Of proxies in front of them."""


@dataclass(frozen=True)
class Sender:
    """Who sends records to a receiver: the stack's Logstash."""

    namespace: str
    pod_labels: Mapping[str, str]
    name: str
    """DNS name in the certificate that it shows."""
    cluster_issuer: str
    """Of cert-manager, for both sides' certificates."""
    records_per_day: int
    """That the log store makes room for."""


@dataclass(frozen=True)
class AuditPlan:
    """What is built."""

    settings: Audit
    logs: Logs
    protect: bool
    print_records: bool
    """Whether collectors also tell each record to whoever ships their logs."""
    scrape_interval: int | None = None
    """Seconds between samples of the collectors' figures; None where nobody scrapes."""
    identity_endpoints: tuple[tuple[str, int], ...] = ()
    """Networks and TCP ports where publishers get credentials; none where a Secret has them."""
    sender: Sender | None = None
    """Who sends records; None where collectors read them from their nodes."""

    @property
    def own_identity(self) -> bool:
        """Whether publishers are known to the cloud by their service account."""
        publish = self.settings.publish
        return publish is not None and publish.credentials_secret is None

    @property
    def trails(self) -> tuple[str, ...]:
        """Names of the trails, which are those of the collectors' pods."""
        return tuple(f"{NAME}-{index}" for index in range(self.settings.collectors))

    @property
    def demand(self) -> Demand:
        """With every job of every trail running at once."""
        settings, resources = self.settings, self.settings.resources
        jobs = 3 if settings.publish is not None else 2
        containers = 1 + jobs
        one = Demand(
            cpu=containers * resources.cpu,
            cpu_limits=containers * (resources.cpu_limit or resources.cpu),
            memory=containers * resources.memory,
            ephemeral_storage=containers * resources.ephemeral_storage,
            storage=settings.storage.size,
            claims=1,
            pods=containers,
            jobs=jobs * (KEPT_JOBS + 1),
        )
        return one * settings.collectors

    @property
    def thresholds(self) -> str:
        """The rules as the collector takes them."""
        rules = self.settings.anomalies
        return json.dumps(
            {
                "time_zone": self.settings.time_zone,
                "night_begins": rules.night.begins,
                "night_ends": rules.night.ends,
                "export_reads": rules.export_reads,
                "export_bytes": rules.export_bytes,
                "denials": rules.denials,
                "window_seconds": rules.window_minutes * 60,
                "learning_days": rules.learning_days,
                "ignored_users": list(rules.ignored_users),
            },
            sort_keys=True,
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Arguments that say what is read; none of a receiver."""
        settings = self.settings
        if settings.source == "logs":
            return ()
        found = []
        if settings.api_server_log is not None:
            found.append(f"--kubernetes={settings.api_server_log}/audit*.log")
        found += [f"--model={settings.pod_logs}/{pattern}" for pattern in self.logs.model]
        found += [f"--gateway={settings.pod_logs}/{pattern}" for pattern in self.logs.gateway]
        return tuple(found)


def receiver_host(namespace: str) -> str:
    """Name of the Service to which records are sent."""
    return f"{NAME}.{namespace}.svc"


def receiver_url(namespace: str) -> str:
    """Where records are sent to (apps/audit, serve.py)."""
    return f"https://{receiver_host(namespace)}:{RECORDS_PORT}/records"


def needed_bytes(settings: Audit) -> int:
    """What the records of the whole retention take on one trail's volume, with a fifth to spare."""
    return settings.records_per_day * settings.retention_days * RECORD_BYTES * 6 // 5


def plan_audit(
    settings: Audit,
    *,
    images: Mapping[str, str],
    logs: Logs,
    protect: bool,
    print_records: bool = False,
    scrape_interval: int | None = None,
    managed_api_server: bool = False,
    nodes: int | None = None,
    identity_endpoints: tuple[tuple[str, int], ...] = (),
    sender: Sender | None = None,
) -> tuple[AuditPlan | None, list[Problem]]:
    """The plan, or None and everything that is wrong; paths are relative to the section.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param managed_api_server: the API server runs where no pod can read its log.
    :param identity_endpoints: where service accounts become identities of the cloud.
    :param nodes: number of nodes that the selector means, where that is known.
    :param sender: who would send records; None where the stack has no Logstash.
    """
    problems = [
        *_retention(settings),
        *_signing(settings, protect=protect),
        *(
            _placement(settings, managed_api_server, nodes)
            if settings.source == "nodes"
            else _receiver(settings, sender)
        ),
        *_times(settings),
    ]
    if images and IMAGE not in images:
        problems.append(
            Problem("", f"needs the image {IMAGE!r}, which is not listed; add it with its digest")
        )
    resources = settings.resources
    if resources.cpu_limit is not None and resources.cpu_limit < resources.cpu:
        problems.append(
            Problem(
                "resources.cpuLimit",
                f"{resources.cpu_limit}m: less than cpu {resources.cpu}m; raise it or leave it out",
            )
        )
    plan = AuditPlan(settings, logs, protect, print_records, scrape_interval)
    if plan.own_identity:
        plan = replace(plan, identity_endpoints=identity_endpoints)
    if settings.source == "logs":
        plan = replace(plan, sender=sender)
    elif not plan.inputs:
        problems.append(Problem("apiServerLog", "null: nothing is left to collect; remove the section"))
    return (None, problems) if problems else (plan, [])


def _retention(settings: Audit) -> Iterator[Problem]:
    if settings.retention_days < SHORTEST_RETENTION_DAYS:
        yield Problem(
            "retentionDays",
            f"{settings.retention_days}: six months can be 184 days and need time to be looked at; write "
            f"{SHORTEST_RETENTION_DAYS} or more",
        )
    needed = needed_bytes(settings)
    if settings.storage.size < needed:
        yield Problem(
            "storage.size",
            f"{format_bytes(settings.storage.size)}: {settings.records_per_day} records a day for "
            f"{settings.retention_days} days take {needed / 2**30:.1f}Gi; raise it, or lower recordsPerDay",
        )


def _signing(settings: Audit, *, protect: bool) -> Iterator[Problem]:
    signing = settings.signing
    if isinstance(signing, GeneratedKey):
        if protect:
            yield Problem(
                "signing.kind",
                "'generated': the key would lie beside what it is to protect; write 'secret' with a key of "
                "your own, or dataProtection none",
            )
        return
    assert isinstance(signing, SecretKey)
    seen: dict[bytes, int] = {}
    for index, pem in enumerate(signing.public_keys):
        key = _public_key(pem)
        if key is None:
            yield Problem(
                f"signing.publicKeys[{index}]",
                "no Ed25519 public key in PEM; write what `keygen` has written to its public file",
            )
        elif key in seen:
            yield Problem(
                f"signing.publicKeys[{index}]", f"the same as publicKeys[{seen[key]}]; remove one of them"
            )
        else:
            seen[key] = index


def _public_key(pem: str) -> bytes | None:
    lines = [line.strip() for line in pem.strip().splitlines()]
    if len(lines) < 3 or lines[0] != "-----BEGIN PUBLIC KEY-----" or lines[-1] != "-----END PUBLIC KEY-----":
        return None
    try:
        content = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error:
        return None
    head = content[: len(_ED25519_PUBLIC)]
    return content if head == _ED25519_PUBLIC and len(content) == len(head) + _KEY_BYTES else None


def _placement(settings: Audit, managed_api_server: bool, nodes: int | None) -> Iterator[Problem]:
    if managed_api_server and settings.api_server_log is not None:
        yield Problem(
            "apiServerLog",
            f"{settings.api_server_log!r}: the cloud runs the API server, and keeps its audit log itself; "
            "write null",
        )
    if nodes is not None and nodes != settings.collectors:
        yield Problem(
            "collectors",
            f"{settings.collectors}: nodeSelector means {nodes} nodes, and each has a log of its own; "
            f"write {nodes}",
        )


def _receiver(settings: Audit, sender: Sender | None) -> Iterator[Problem]:
    for key, attribute in _OF_NODES.items():
        if attribute in settings.model_fields_set:
            yield Problem(
                key,
                f"{getattr(settings, attribute)!r}: with source 'logs' nothing is read on nodes; remove it",
            )
    if sender is None:
        yield Problem(
            "source",
            "'logs': the stack has no section logging, whose Logstash makes the records; add it, or write "
            "nodes with collectors on a pool of a fixed size",
        )
        return
    if settings.records_per_day < sender.records_per_day:
        yield Problem(
            "recordsPerDay",
            f"{settings.records_per_day}: logging.ingest.accessRecordsPerDay is {sender.records_per_day}, "
            "and all of them come here; write as many or more",
        )
    needed = RECEIVER_BYTES + 2 * settings.records_per_day * ID_BYTES
    if settings.resources.memory < needed:
        yield Problem(
            "resources.memory",
            f"{format_bytes(settings.resources.memory)}: the ids of two days of {settings.records_per_day} "
            f"records each are held, which takes {needed / 2**20:.0f}Mi with the rest; raise it",
        )


def _times(settings: Audit) -> Iterator[Problem]:
    try:
        ZoneInfo(settings.time_zone)
    except (KeyError, ValueError, OSError):
        yield Problem(
            "timeZone",
            f"{settings.time_zone!r}: no time zone; write an IANA name such as Asia/Shanghai",
        )
