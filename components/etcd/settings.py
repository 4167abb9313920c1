"""What people write about an etcd cluster in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.accelerators.settings import LabelKey
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import GIB, MIB, Bytes, Millicores
from components.common.schema import FrozenModel, PositiveInt

_CRON_FIELD = r"[0-9*,/-]+"
CronSchedule = Annotated[str, Field(pattern=rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$")]
"""Minute, hour, day of month, month, day of week; in UTC."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EtcdMemberResources(FrozenModel):
    """What one member gets."""

    cpu: Millicores = 1000
    """CPU that is set aside for it."""
    cpu_limit: Millicores | None = None
    """CPU that it may use at most; without it, `cpu`. A member that is throttled misses heartbeats, so where
    little is set aside, the limit should be higher."""
    memory: Bytes = 4 * GIB
    """Memory; holds the whole database and its index, so more than `backendQuota`."""
    ephemeral_storage: Bytes = 256 * MIB
    """Node-local disk: logs."""


class EtcdToolResources(FrozenModel):
    """What each of the small programs beside the members gets: snapshots, defragmentation, registration."""

    cpu: Millicores = 100
    """CPU that is set aside for it."""
    cpu_limit: Millicores | None = None
    """CPU that it may use at most; without it, `cpu`. They do little, but to start takes a tenth of a CPU
    second."""
    memory: Bytes = 128 * MIB
    """Memory, requests and limits alike."""
    ephemeral_storage: Bytes = 64 * MIB
    """Node-local disk, requests and limits alike."""


class EtcdMemberStorage(FrozenModel):
    """Volume of one member."""

    size: Bytes = 16 * GIB
    """Capacity: the database, its copy while it is defragmented, and 1 GiB of write-ahead log."""
    storage_class: DnsLabel | None = None
    """Storage class; without it, the cluster's default. Every write waits for this disk: local NVMe, not a
    network file system."""


class EtcdElection(FrozenModel):
    """Timing of heartbeats and elections, the same on all members."""

    heartbeat_milliseconds: Annotated[int, Field(strict=True, ge=10)] = 100
    """Between heartbeats of the leader: about the longest round trip between two members."""
    timeout_milliseconds: Annotated[int, Field(strict=True, ge=50, le=50_000)] = 1000
    """Without a heartbeat for this long (at most twice as long), followers elect a new leader: at least ten
    round trips, and five to fifty heartbeats. etcd takes no more than 50000."""


class EtcdCompaction(FrozenModel):
    """How much of the keys' history is kept."""

    mode: Literal["periodic", "revision"] = "periodic"
    """By age or by number of revisions."""
    retention_minutes: PositiveInt | None = None
    """Age to keep, for `periodic`; 60 unless set."""
    retention_revisions: PositiveInt | None = None
    """Revisions to keep, for `revision`; 10000 unless set."""


class EtcdSnapshots(FrozenModel):
    """Copies of the whole database on a volume of their own."""

    schedule: CronSchedule = "17 */6 * * *"
    """When one is taken."""
    keep: Annotated[int, Field(strict=True, ge=2)] = 28
    """How many are kept, the newest ones: at least two, so that one that turns out bad is not the only
    one."""
    size: Bytes = 32 * GIB
    """Capacity of the volume."""
    storage_class: DnsLabel | None = None
    """Storage class of the volume; without it, the cluster's default. Not on the disks of the members."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """ReadWriteMany lets members on several nodes restore from it."""


class EtcdDefragmentation(FrozenModel):
    """Giving the space of deleted keys back to the disk, one member at a time, the leader last."""

    schedule: CronSchedule = "41 3 * * *"
    """When it is looked whether there is something to gain."""
    free_percent: Annotated[int, Field(strict=True, ge=1, le=99)] = 30
    """A member is defragmented when at least this part of its database file is free."""


class EtcdRestore(FrozenModel):
    """A snapshot that members whose volumes are empty start from. Members that have data ignore it."""

    snapshot: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.db$")]
    """File name on the volume of the snapshots."""
    sha256: Sha256
    """SHA-256 of that file, as noted when it was taken: a snapshot with any other content is refused."""


class EtcdClient(FrozenModel):
    """A program that may use the cluster: it gets a certificate, and its pods are let in."""

    name: DnsLabel
    """Common name of its certificate. Its pods carry the label `autoglm-platform/etcd-client: <name>`."""
    namespace: DnsLabel | None = None
    """Namespace of its pods; without it, the cluster's own."""


class CertManagerCertificates(FrozenModel):
    """cert-manager issues and renews the certificates, from authorities of this cluster only."""

    kind: Literal["cert-manager"]
    lifetime_hours: Annotated[int, Field(strict=True, ge=1)] = 90 * 24
    """Validity of a member's or client's certificate; cert-manager issues none for less than an hour."""
    renew_before_hours: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Renewed this long before the end; without it, after two thirds of the lifetime."""
    authority_lifetime_hours: Annotated[int, Field(strict=True, ge=1)] = 10 * 365 * 24
    """Validity of the two authorities: one for members among themselves, one for members and clients."""


class SecretCertificates(FrozenModel):
    """Secrets with certificates that somebody else issues and renews: `tls.crt`, `tls.key`, `ca.crt` in each.

    Their names are those that cert-manager would write: `<name>-server`, `<name>-peer`,
    `<name>-client-<client>`.
    """

    kind: Literal["secrets"]


class EtcdSettings(FrozenModel):
    """An etcd cluster of three or five members."""

    name: DnsLabel = "etcd"
    """Name of the cluster and of its Service."""
    members: PositiveInt = 3
    """3 or 5. An even number survives no more failures than one member less."""
    anti_affinity: Literal["required", "preferred"] = "required"
    """`required`: never two members on one node. `preferred` is for a cluster with fewer nodes than members:
    there a lost node can take the quorum with it."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the nodes that qualify."""
    resources: EtcdMemberResources = Field(default_factory=EtcdMemberResources)
    """Of each member."""
    storage: EtcdMemberStorage = Field(default_factory=EtcdMemberStorage)
    """Of each member."""
    backend_quota: Bytes = 2 * GIB
    """Size of the database at which writes are refused; at most 8Gi."""
    election: EtcdElection = Field(default_factory=EtcdElection)
    """Heartbeats and elections."""
    compaction: EtcdCompaction = Field(default_factory=EtcdCompaction)
    """History of the keys."""
    corruption_check_minutes: PositiveInt = 240
    """Between comparisons of all members' data."""
    certificates: Annotated[CertManagerCertificates | SecretCertificates, Field(discriminator="kind")] = (
        Field(default_factory=lambda: CertManagerCertificates(kind="cert-manager"))
    )
    """Where the certificates of members and clients come from."""
    clients: tuple[EtcdClient, ...] = ()
    """Who may use the cluster besides the platform's own service registry and maintenance."""
    metrics_clients: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)] = Field(
        default_factory=lambda: {"purpose": "monitoring"}
    )
    """Labels of the namespaces that may read the metrics."""
    snapshots: EtcdSnapshots = Field(default_factory=EtcdSnapshots)
    """Scheduled copies."""
    defragmentation: EtcdDefragmentation = Field(default_factory=EtcdDefragmentation)
    """Scheduled defragmentation."""
    restore: EtcdRestore | None = None
    """After a total loss: the snapshot to start from."""
    tools: EtcdToolResources = Field(default_factory=EtcdToolResources)
    """Of each maintenance job and of the service registry."""
