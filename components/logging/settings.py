"""What people write about logging in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from components.common.names import DnsLabel
from components.common.quantities import GIB, MIB, Bytes, Millicores
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt
from components.monitoring.durations import DAY, HOUR, Duration

STACK_VERSION: Final = "9.4.3"
"""Of Elasticsearch, Kibana, Logstash and Filebeat: what ECK 3.5.0 ships its own examples with."""
StackVersion = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
HostPath = Annotated[str, Field(pattern=r"^/([A-Za-z0-9._-]+/)*[A-Za-z0-9._*-]+$")]
"""Absolute path; `*` only in the name of the file."""
Dataset = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,99}$")]
"""Second part of a data stream's name: no dash, which separates the parts."""


class Volume(FrozenModel):
    """Volume of one pod."""

    size: Bytes
    """Capacity."""
    storage_class: DnsLabel | None = None
    """Storage class; without it, the cluster's default."""


class HotTier(FrozenModel):
    """Elasticsearch nodes that take what comes in. Each can also be master."""

    nodes: PositiveInt = 3
    """How many, each on a node of its own: three survive the loss of one."""
    cpu: Millicores = 2000
    """CPU of each."""
    memory: Bytes = 8 * GIB
    """Memory of each; half of it, at most 31 GiB, is the heap, the rest caches files."""
    volume: Volume = Field(default_factory=lambda: Volume.model_validate({"size": 200 * GIB}))
    """Volume of each: the faster, the better."""


class WarmTier(FrozenModel):
    """Elasticsearch nodes for what is no longer written to."""

    nodes: PositiveInt = 2
    """How many: at least two where nothing may be lost."""
    cpu: Millicores = 1000
    """CPU of each."""
    memory: Bytes = 4 * GIB
    """Memory of each."""
    volume: Volume
    """Volume of each: larger and slower than those of the hot tier."""


class Elasticsearch(FrozenModel):
    """What keeps the logs."""

    hot: HotTier = Field(default_factory=HotTier)
    """Nodes that take what comes in."""
    warm: WarmTier | None = None
    """Nodes for older data; without them, everything stays on the hot tier."""
    replicas: NonNegativeInt = 1
    """Copies of each shard beside itself: with one, a node may be lost."""
    shards: PositiveInt = 1
    """Primary shards of each data stream; more than one only where one node cannot write fast enough."""


class Retention(FrozenModel):
    """How long logs are kept. Age counts from the rollover: from when an index was last written to."""

    rollover_after: Duration = DAY
    """A new index begins after this long at the latest…"""
    rollover_size: Bytes = 50 * GIB
    """…or once a primary shard has this size. Elastic advises 10 to 50 GB."""
    warm_after: Duration | None = None
    """Older indices move to the warm tier; 2d where there is one."""
    delete_after: Duration = 30 * DAY
    """Older indices are deleted."""
    access_records: Duration = 400 * DAY
    """Records of who used the model are kept for so long, in a data stream of their own with those of the
    audit trail; 200d at least. Where the audit trail keeps its own longer, so are these."""


class Kibana(FrozenModel):
    """What people read the logs with."""

    replicas: PositiveInt = 2
    """How many."""
    cpu: Millicores = 1000
    """CPU of each."""
    memory: Bytes = 2 * GIB
    """Memory of each: ECK gives Kibana 1 GiB, its heap 60 % of it."""


class LogFiles(FrozenModel):
    """Files on a volume, which Logstash reads itself: exports and programs that write no standard output."""

    claim: DnsLabel
    """PersistentVolumeClaim in the namespace of logging."""
    pattern: HostPath = "/*.log"
    """Files on it, from its root."""


class Logstash(FrozenModel):
    """What parses logs on their way to Elasticsearch."""

    replicas: PositiveInt = 2
    """How many."""
    cpu: Millicores = 1000
    """CPU of each."""
    memory: Bytes = 2 * GIB
    """Memory of each; half of it is the heap."""
    queue: Bytes = 8 * GIB
    """Of the queue on the disk of each, which takes what Elasticsearch does not."""
    dead_letters: Bytes = GIB
    """For events that Elasticsearch refuses for good, of each."""
    trail_queue: Bytes = GIB
    """Of the queue on the disk of each for the audit trail, which takes what its receiver does not. Only
    where the section `audit` has `source: logs`."""
    storage_class: DnsLabel | None = None
    """Of their volumes; without it, the cluster's default."""
    files: LogFiles | None = None
    """Files that it reads itself, into daily indices `logs-YYYY.MM.dd`."""


class HostLog(FrozenModel):
    """Files that a program of the node itself writes."""

    dataset: Dataset
    """What they are kept as, e.g. `haproxy`."""
    path: HostPath
    """On the node, e.g. `/var/log/haproxy.log`."""


class Shipper(FrozenModel):
    """Filebeat on every node: reads, masks, keeps on disk, sends."""

    cpu: Millicores = 200
    """CPU that is set aside for it; it may use a whole one. One CPU masks some 3000 lines per second."""
    memory: Bytes = 512 * MIB
    """Memory."""
    queue: Bytes | None = None
    """Of the queue on the node's disk; without it, planned from `ingest` and `outage`."""
    host_logs: tuple[HostLog, ...] = ()
    """Files of the nodes beside the logs of containers."""
    excluded_namespaces: tuple[DnsLabel, ...] = ()
    """Namespaces whose pods' logs stay on the node."""


class Ingest(FrozenModel):
    """What is written, on average over a day. Compare it with what Kibana shows."""

    lines_per_second: PositiveInt = 20
    """Lines of all containers of one node together."""
    bytes_per_line: PositiveInt = 250
    """Of one line."""
    access_records_per_day: PositiveInt = 100_000
    """Records of who used the model, of the whole stack: one for each request to a model server, and one more
    for each that comes through the entry's proxy. 100 000 are 1.2 requests a second, day and night."""


class Logging(FrozenModel):
    """Logs, with the Elastic operator (ECK) of the cluster."""

    namespace: DnsLabel = "logging"
    """Where Elasticsearch, Kibana and Logstash are."""
    version: StackVersion = STACK_VERSION
    """Of the Elastic stack; all parts have the same."""
    cluster_issuer: DnsLabel
    """cert-manager's ClusterIssuer whose certificates Filebeat and Logstash show each other."""
    elasticsearch: Elasticsearch = Field(default_factory=Elasticsearch)
    """What keeps the logs."""
    retention: Retention = Field(default_factory=Retention)
    """How long."""
    kibana: Kibana = Field(default_factory=Kibana)
    """What people read them with."""
    logstash: Logstash = Field(default_factory=Logstash)
    """What parses them."""
    shipper: Shipper = Field(default_factory=Shipper)
    """What reads and masks them on the nodes."""
    ingest: Ingest = Field(default_factory=Ingest)
    """How much there is."""
    outage: Duration = 12 * HOUR
    """How long Logstash or Elasticsearch may be down before a node stops reading its logs."""
    readers: tuple[DnsLabel, ...] = ()
    """Secrets of type `kubernetes.io/basic-auth` in the namespace, with a key `roles` that names
    `logs_reader` (all logs, audit records included) or `audit_reader` (audit records alone): users who may
    read these and nothing else, such as Grafana."""
    reader_namespaces: tuple[DnsLabel, ...] = ()
    """Namespaces whose pods may reach Elasticsearch's API. That of the stack's own Grafana is let in by its
    `logStore`."""
    kibana_clients: tuple[DnsLabel, ...] = ()
    """Namespaces whose pods may reach Kibana, such as an ingress controller's."""
