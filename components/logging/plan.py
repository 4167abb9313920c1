"""From the settings of logging to what is built: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from components.common.demand import Demand, pod_demand
from components.common.names import AGENTS_NAMESPACE
from components.common.problems import Problem
from components.common.quantities import GIB, MIB, Resources, format_bytes, human_bytes
from components.logging import sizing
from components.logging.pipelines.access import AccessLog
from components.logging.settings import HotTier, Logging, WarmTier
from components.logging.shipper.configuration import LOGSTASH_PORT, HostLogs
from components.logging.shipper.configuration import Shipper as ShipperConfiguration
from components.monitoring.durations import DAY, format_duration

NAME: Final = "logs"
"""Of the Elasticsearch, Kibana, Logstash and Beat objects; ECK derives the names of theirs from it."""
IMAGES: Final = ("elasticsearch", "kibana", "logstash", "filebeat", "log-setup")
"""Names of the images in `images.references`."""
DATA_STREAM_NAMESPACE: Final = "default"
"""Third part of the data streams' names, as Elastic's own integrations have it."""
DEFAULT_WARM_AFTER: Final = 2 * DAY
SHORTEST_ACCESS_RECORDS: Final = 200 * DAY
"""Of what says who used the model: six calendar months can be 184 days, and somebody needs time to look. The
audit trail has the same (`components/audit/plan.py`)."""
SMALLEST_MEMORY: Final = GIB
"""Of an Elasticsearch or Logstash pod: ECK's own minimum for Elasticsearch is 2 GiB with a heap of half."""
SMALLEST_QUEUE: Final = 256 * MIB
"""Of Logstash: four of its pages (`queue.page_capacity`, 64 MiB)."""
SMALLEST_SHIPPER_QUEUE: Final = 100 * MIB
"""Filebeat keeps its queue in segments of a tenth of it, and one segment must hold the longest line."""
LARGEST_SHIPPER_QUEUE: Final = 64 * GIB
"""On a node's own disk, which images and the logs themselves share."""
SETUP_RESOURCES: Final = Resources(cpu=100, memory=128 * MIB, ephemeral_storage=64 * MIB)
"""Of the Job that sets up Elasticsearch and Kibana."""
POD_EPHEMERAL: Final = GIB
"""Node-local disk of each pod of the Elastic stack: its log files, and what images keep in `/tmp`."""
FILEBEAT_CPU_LIMIT: Final = 1_000
"""Thousandths of a CPU: one does the masking."""
OPERATOR_NAMESPACE: Final = "elastic-system"
"""Of the operator, where it is not the platform's: its own documentation's."""
SHARED_HOST_DIRECTORIES: Final = ("/", "/etc", "/root", "/home", "/proc", "/sys", "/dev", "/run", "/boot")
"""Directories of the node that no log is read from."""


@dataclass(frozen=True)
class TrailReceiver:
    """Who takes records of accesses for the audit trail."""

    namespace: str
    pod_labels: Mapping[str, str]
    port: int
    url: str


@dataclass(frozen=True)
class LoggingPlan:
    """Logging of a stack, checked."""

    settings: Logging
    images: Mapping[str, str]
    """Reference by name, of those in `IMAGES`."""
    shipper: ShipperConfiguration
    warm_after: int | None
    """Seconds after the rollover, where there is a warm tier."""
    audit_retention: int
    """Seconds that audit records are kept: of accesses, and the copies of the audit trail's."""
    access: tuple[AccessLog, ...]
    """Whose access lines become audit records."""
    agents_namespace: str
    """Where Filebeat runs."""
    operator_namespace: str
    """Of the Elastic operator, which asks Elasticsearch how it is."""
    reader_namespaces: tuple[str, ...]
    """Of pods that may reach Elasticsearch's API: those of the settings, and of the stack's own readers."""
    protect: bool
    trail: TrailReceiver | None = None
    """Who takes records of accesses, too; None where nobody does."""

    @property
    def logstash_volume(self) -> int:
        """Bytes of the volume of each Logstash that takes lines from Filebeat."""
        logstash = self.settings.logstash
        return logstash_files_volume(self.settings) + (logstash.trail_queue if self.trail else 0)

    @property
    def demand(self) -> Demand:
        """Of the namespace of logging; one more of what is replaced by adding one, and the Job."""
        settings = self.settings
        hot = settings.elasticsearch.hot
        parts = [_demand(hot.cpu, hot.memory, hot.volume.size) * hot.nodes]
        if (warm := settings.elasticsearch.warm) is not None:
            parts.append(_demand(warm.cpu, warm.memory, warm.volume.size) * warm.nodes)
        kibana, logstash = settings.kibana, settings.logstash
        parts.append(_demand(kibana.cpu, kibana.memory) * (kibana.replicas + 1))
        parts.append(_demand(logstash.cpu, logstash.memory, self.logstash_volume) * logstash.replicas)
        if logstash.files is not None:
            parts.append(_demand(logstash.cpu, logstash.memory, logstash_files_volume(settings)))
        parts.append(pod_demand(SETUP_RESOURCES, jobs=1))
        return sum(parts, Demand())

    @property
    def agents_demand(self) -> Demand:
        """Of Filebeat on one node."""
        shipper = self.settings.shipper
        return Demand(
            cpu=shipper.cpu,
            cpu_limits=max(shipper.cpu, FILEBEAT_CPU_LIMIT),
            memory=shipper.memory,
            ephemeral_storage=POD_EPHEMERAL,
            pods=1,
        )

    @property
    def elasticsearch_url(self) -> str:
        """Elasticsearch's API, by the Service that ECK makes."""
        return elasticsearch_url(self.settings.namespace)

    @property
    def kibana_url(self) -> str:
        """Kibana, by the Service that ECK makes."""
        return f"https://{NAME}-kb-http.{self.settings.namespace}.svc:5601"


def _demand(cpu: int, memory: int, storage: int = 0) -> Demand:
    return pod_demand(Resources(cpu, memory, POD_EPHEMERAL), storage=storage)


def logstash_files_volume(settings: Logging) -> int:
    """Bytes of the volume of the Logstash that reads files: the queues that every one of them has."""
    return settings.logstash.queue + settings.logstash.dead_letters + sizing.LOGSTASH_RESERVE


def trail_client(namespace: str) -> str:
    """Name in the certificate that Logstash shows to the audit trail's receiver."""
    return f"logstash.{namespace}"


def elasticsearch_url(namespace: str) -> str:
    """Elasticsearch's API, by the Service that ECK makes."""
    return f"https://{NAME}-es-http.{namespace}.svc:9200"


def logstash_host(namespace: str) -> str:
    """Name of the Service to which Filebeat sends."""
    return f"{NAME}-ls-beats.{namespace}.svc"


def plan_logging(
    settings: Logging,
    *,
    nodes: int,
    images: Mapping[str, str],
    protect: bool,
    agents_namespace: str = AGENTS_NAMESPACE,
    operator_namespace: str = OPERATOR_NAMESPACE,
    trail_retention: int = 0,
    trail_per_day: int = 0,
    access: tuple[AccessLog, ...] = (),
    unmasked: tuple[tuple[str, str], ...] = (),
    readers: tuple[str, ...] = (),
    trail: TrailReceiver | None = None,
) -> tuple[LoggingPlan | None, list[Problem]]:
    """The plan, or what is wrong with the settings.

    :param nodes: of the cluster, at most; each writes `ingest`.
    :param images: references with digest by name; an empty mapping has been reported already.
    :param trail_retention: seconds for which the audit trail keeps its records; 0 without one.
    :param trail_per_day: bytes of records that all its collectors make a day.
    :param access: whose access lines become audit records.
    :param unmasked: namespace and container of those whose lines are records, not logs.
    :param readers: namespaces of the stack whose pods read the store, besides those of the settings.
    :param trail: who takes the records of accesses, too.
    """
    warm = settings.elasticsearch.warm
    warm_after = settings.retention.warm_after
    if warm_after is None and warm is not None:
        warm_after = DEFAULT_WARM_AFTER
    audit_retention = max(settings.retention.access_records, trail_retention)
    accesses = settings.ingest.access_records_per_day * sizing.ACCESS_RECORD if access else 0
    queue = settings.shipper.queue or sizing.shipper_queue(settings.ingest, settings.outage)
    problems = [
        *_elasticsearch(settings, protect=protect),
        *_retention(settings, warm_after),
        *_disks(settings, nodes, warm_after, trail_per_day + accesses, audit_retention),
        *_logstash(settings, trail),
        *_shipper(settings, queue),
        *_access(settings, access),
        *_names(settings),
        *_images(images),
    ]
    if problems:
        return None, problems
    return (
        LoggingPlan(
            settings=settings,
            images={name: images.get(name, "") for name in IMAGES},
            shipper=ShipperConfiguration(
                hosts=(f"{logstash_host(settings.namespace)}:{LOGSTASH_PORT}",),
                queue_bytes=queue,
                host_logs=tuple(HostLogs(log.dataset, (log.path,)) for log in settings.shipper.host_logs),
                excluded_namespaces=settings.shipper.excluded_namespaces,
                unmasked=unmasked,
            ),
            warm_after=warm_after,
            audit_retention=audit_retention,
            access=access,
            agents_namespace=agents_namespace,
            operator_namespace=operator_namespace,
            reader_namespaces=tuple(dict.fromkeys((*settings.reader_namespaces, *readers))),
            protect=protect,
            trail=trail,
        ),
        [],
    )


def _elasticsearch(settings: Logging, *, protect: bool) -> Iterator[Problem]:
    wanted = settings.elasticsearch
    hot, warm = wanted.hot, wanted.warm
    if hot.nodes == 2:
        yield Problem(
            "elasticsearch.hot.nodes",
            "2: without either of them there is no majority, so two fail more often than one; write 3",
        )
    elif hot.nodes < 3 and protect:
        yield Problem(
            "elasticsearch.hot.nodes", f"{hot.nodes}: its loss would lose the logs; write 3 or more"
        )
    if protect and wanted.replicas == 0:
        yield Problem("elasticsearch.replicas", "0: the loss of a volume would lose logs; write 1 or more")
    for path, tier in (("hot", hot), *((("warm", warm),) if warm else ())):
        if wanted.replicas >= tier.nodes:
            yield Problem(
                "elasticsearch.replicas",
                f"{wanted.replicas}: a shard and its copies need {wanted.replicas + 1} nodes, "
                f"elasticsearch.{path}.nodes is {tier.nodes}; write {tier.nodes - 1} or add nodes",
            )
        if tier.memory < SMALLEST_MEMORY:
            yield Problem(
                f"elasticsearch.{path}.memory",
                f"{format_bytes(tier.memory)}: Elasticsearch does not start in it; write 2Gi or more",
            )
    if wanted.shards > hot.nodes:
        yield Problem(
            "elasticsearch.shards",
            f"{wanted.shards}: more than elasticsearch.hot.nodes {hot.nodes}, so nodes would write several "
            f"of each; write at most {hot.nodes}",
        )


def _retention(settings: Logging, warm_after: int | None) -> Iterator[Problem]:
    retention = settings.retention
    if retention.warm_after is not None and settings.elasticsearch.warm is None:
        yield Problem(
            "retention.warmAfter",
            f"{format_duration(retention.warm_after)}: there is no warm tier; remove it, or add "
            "elasticsearch.warm",
        )
    if warm_after is not None and warm_after >= retention.delete_after:
        yield Problem(
            "retention.deleteAfter",
            f"{format_duration(retention.delete_after)}: before an index would move to the warm tier "
            f"({format_duration(warm_after)}); raise it, or lower retention.warmAfter",
        )
    if retention.rollover_after > retention.delete_after:
        yield Problem(
            "retention.rolloverAfter",
            f"{format_duration(retention.rollover_after)}: age counts from the rollover, so logs would be "
            f"kept for more than twice retention.deleteAfter {format_duration(retention.delete_after)}; "
            "lower it",
        )
    if retention.access_records < SHORTEST_ACCESS_RECORDS:
        yield Problem(
            "retention.accessRecords",
            f"{format_duration(retention.access_records)}: six months can be 184 days and need time to be "
            f"looked at; write {format_duration(SHORTEST_ACCESS_RECORDS)} or more",
        )


def _disks(
    settings: Logging, nodes: int, warm_after: int | None, audit_per_day: int, audit_retention: int
) -> Iterator[Problem]:
    wanted, retention = settings.elasticsearch, settings.retention
    copies = wanted.replicas + 1
    per_day = sizing.stored_per_day(settings.ingest, nodes, copies)
    audited = sizing.stored(audit_per_day, copies)
    tiers: list[tuple[str, HotTier | WarmTier, float, float]] = [
        (
            "hot",
            wanted.hot,
            sizing.hot_days(retention.rollover_after, retention.delete_after, warm_after),
            sizing.hot_days(sizing.AUDIT_ROLLOVER, audit_retention, warm_after),
        )
    ]
    if wanted.warm is not None and warm_after is not None:
        tiers.append(
            (
                "warm",
                wanted.warm,
                sizing.warm_days(retention.delete_after, warm_after),
                sizing.warm_days(audit_retention, warm_after),
            )
        )
    for path, tier, days, audit_days in tiers:
        volume, count = tier.volume.size, tier.nodes
        needed = sizing.needed_per_node(wanted, per_day * days + audited * audit_days, count)
        if needed > sizing.usable(volume):
            records = (
                f", and {audit_days:g} days of audit records at {human_bytes(audited)} a day,"
                if audited
                else ""
            )
            yield Problem(
                f"elasticsearch.{path}.volume.size",
                f"{format_bytes(volume)}: {days:g} days of {nodes} nodes at {human_bytes(per_day)} a "
                f"day{records} need {human_bytes(needed)} on each of {count} while one is down; "
                f"Elasticsearch fills {human_bytes(sizing.usable(volume))}; raise it, add nodes or shorten "
                "retention",
            )


def _logstash(settings: Logging, trail: TrailReceiver | None) -> Iterator[Problem]:
    logstash = settings.logstash
    queues = {"queue": logstash.queue, **({"trailQueue": logstash.trail_queue} if trail else {})}
    for key, size in queues.items():
        if size < SMALLEST_QUEUE:
            yield Problem(
                f"logstash.{key}",
                f"{format_bytes(size)}: holds less than four pages; write "
                f"{format_bytes(SMALLEST_QUEUE)} or more",
            )
    if logstash.memory < SMALLEST_MEMORY:
        yield Problem(
            "logstash.memory",
            f"{format_bytes(logstash.memory)}: leaves no room beside the heap; write 1Gi or more",
        )


def _shipper(settings: Logging, queue: int) -> Iterator[Problem]:
    needed = sizing.shipper_queue(settings.ingest, settings.outage)
    ingest = settings.ingest
    what = (
        f"{format_duration(settings.outage)} of {ingest.lines_per_second} lines per second need "
        f"{format_bytes(needed)}"
    )
    if needed > LARGEST_SHIPPER_QUEUE:
        yield Problem(
            "outage",
            f"{format_duration(settings.outage)}: {what} on each node's disk, more than "
            f"{format_bytes(LARGEST_SHIPPER_QUEUE)}; shorten it",
        )
    elif queue < needed:
        yield Problem(
            "shipper.queue", f"{format_bytes(queue)}: {what}; raise it, remove it or shorten outage"
        )
    if queue < SMALLEST_SHIPPER_QUEUE:
        yield Problem(
            "shipper.queue",
            f"{format_bytes(queue)}: too small for one long line; write "
            f"{format_bytes(SMALLEST_SHIPPER_QUEUE)} or more",
        )
    for index, log in enumerate(settings.shipper.host_logs):
        directory = str(PurePosixPath(log.path).parent)
        if directory in SHARED_HOST_DIRECTORIES or directory.startswith(("/etc/", "/proc/", "/root/")):
            yield Problem(
                f"shipper.hostLogs[{index}].path",
                f"{log.path}: {directory} of the node would be shown to Filebeat; name a directory of logs, "
                "such as /var/log/haproxy.log",
            )


def _access(settings: Logging, access: tuple[AccessLog, ...]) -> Iterator[Problem]:
    """A namespace whose lines stay on the node has no records."""
    recorded = {log.namespace for log in access}
    for index, name in enumerate(settings.shipper.excluded_namespaces):
        if name in recorded:
            yield Problem(
                f"shipper.excludedNamespaces[{index}]",
                f"{name!r}: records of who used the model are made of its lines; remove it",
            )


def _names(settings: Logging) -> Iterator[Problem]:
    datasets = [log.dataset for log in settings.shipper.host_logs]
    for index, name in enumerate(datasets):
        if datasets.index(name) != index:
            yield Problem(
                f"shipper.hostLogs[{index}].dataset",
                f"{name!r}: already that of shipper.hostLogs[{datasets.index(name)}]; choose another",
            )
    for key, names in (
        ("readers", settings.readers),
        ("readerNamespaces", settings.reader_namespaces),
        ("kibanaClients", settings.kibana_clients),
        ("shipper.excludedNamespaces", settings.shipper.excluded_namespaces),
    ):
        for index, name in enumerate(names):
            if names.index(name) != index:
                yield Problem(f"{key}[{index}]", f"{name!r}: is listed twice; remove one")


def _images(images: Mapping[str, str]) -> Iterator[Problem]:
    missing = [name for name in IMAGES if images and name not in images]
    if missing:
        yield Problem(
            "", f"needs the images {', '.join(missing)}, which are not listed; add them with their digests"
        )
