"""What people write about the audit trail in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from components.accelerators.settings import LabelKey, LabelText, Taint
from components.common.cidr import Ipv4Cidr
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import GIB, MIB, Bytes, Millicores
from components.common.schema import FrozenModel, PositiveInt

SHORTEST_RETENTION_DAYS: Final = 200
"""Six calendar months are up to 184 days; the rest is for reading what happened after they are over. The same
as of the audit bucket (components/object_storage/settings.py)."""

RetentionDays = Annotated[PositiveInt, Field(json_schema_extra={"minimum": SHORTEST_RETENTION_DAYS})]
Hour = Annotated[int, Field(strict=True, ge=0, le=23)]
AbsolutePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._-]+)+$")]
CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"
"""Label and taint that kubeadm gives to nodes with an API server."""


class Night(FrozenModel):
    """Hours in which much reading is unusual, in the trail's time zone."""

    begins: Hour = 22
    """Hour of the evening."""
    ends: Hour = 6
    """Hour of the morning; the same as `begins` makes no night."""


class AnomalyRules(FrozenModel):
    """When somebody is told to look."""

    night: Night = Field(default_factory=Night)
    """Hours for the rule on bulk exports."""
    export_reads: PositiveInt = 500
    """Reads by one user or address within the window, at night."""
    export_bytes: Bytes = GIB
    """Bytes sent to one address within the window, at night."""
    denials: PositiveInt = 20
    """Denied requests from one address within the window."""
    window_minutes: PositiveInt = 10
    """Length of the window."""
    learning_days: Annotated[int, Field(strict=True, ge=0)] = 7
    """Days from the first record on in which what users do is learned, and not called unusual."""
    ignored_users: tuple[str, ...] = ("system:apiserver",)
    """Users that no rule looks at. Their records are kept all the same."""


class GeneratedKey(FrozenModel):
    """A key that is made with the first seal and lies beside the trail: for trying out, since whoever can
    change the trail can sign it, too."""

    kind: Literal["generated"]


class SecretKey(FrozenModel):
    """A key that you have made (`python -m audit_trail keygen`) and keep elsewhere, too."""

    kind: Literal["secret"]
    secret_name: DnsLabel
    """Secret in the namespace of the collectors, with the private key as `private.pem`."""
    public_keys: Annotated[tuple[str, ...], Field(min_length=1)]
    """Public keys in PEM, the oldest first: the last one belongs to the private key, the others have signed
    before it. None may be removed while days are kept that it has signed."""


class Publish(FrozenModel):
    """A bucket that sealed days are copied to, and that keeps them from change."""

    uri: Annotated[str, Field(pattern=r"^(s3|gs)://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$")]
    """`s3://bucket/prefix` or `gs://bucket/prefix`."""

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.uri.split("/")[2]

    @property
    def prefix(self) -> str:
        """Prefix in the bucket, without a slash at its end; empty if there is none."""
        return "/".join(self.uri.split("/")[3:])

    region: Annotated[str, Field(pattern=r"^[a-z]{2}[a-z0-9-]+$")] | None = None
    """Region of an S3 bucket."""
    endpoint: Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.:-]+$")] | None = None
    """Address of a service that speaks the S3 API; without it, Amazon's."""
    credentials_secret: DnsLabel | None = None
    """Secret whose keys become environment variables (`AWS_ACCESS_KEY_ID` …), of an identity that may add
    objects, and nothing else. Without it, the bucket is the stack's own audit bucket, and the publishers'
    service account is given that right."""
    egress_cidrs: Annotated[tuple[Ipv4Cidr, ...], Field(min_length=1)]
    """Networks of the service and of whoever gives out credentials, TCP 443."""


class AuditStorage(FrozenModel):
    """Volume of each collector."""

    size: Bytes = 20 * GIB
    """Capacity: what is recorded in `retentionDays`."""
    storage_class: DnsLabel | None = None
    """Storage class; without it, the cluster's default."""


class AuditResources(FrozenModel):
    """What the collector gets, and each of its Jobs; requests and limits alike."""

    cpu: Millicores = 50
    """CPU that is set aside."""
    cpu_limit: Millicores | None = None
    """CPU that may be used at most; without it, `cpu`."""
    memory: Bytes = 256 * MIB
    """Memory."""
    ephemeral_storage: Bytes = 64 * MIB
    """Node-local disk: logs."""


class Audit(FrozenModel):
    """Records of who did what: collected on the nodes, sealed day by day, verified, kept."""

    source: Literal["nodes", "logs"] = "nodes"
    """Where records come from. `nodes`: collectors on nodes of a fixed number read what the API server, the
    entry and model servers write there. `logs`: one collector receives the records that Logstash makes of the
    access lines of all nodes (section `logging`), for clusters whose nodes come and go."""
    retention_days: RetentionDays = 400
    """How long records are kept, 200 days at least."""
    time_zone: str = "UTC"
    """Zone of the night (IANA name, e.g. Asia/Shanghai). Records and days are in UTC all the same."""
    collectors: PositiveInt = 1
    """Number of nodes whose logs are collected; each has a trail of its own. One, with `source: logs`."""
    node_selector: dict[LabelKey, LabelText] | None = None
    """Labels of these nodes; without it, those with an API server, and any with `source: logs`."""
    tolerations: tuple[Taint, ...] = ()
    """Taints of these nodes, besides the one of control-plane nodes."""
    api_server_log: AbsolutePath | None = "/var/log/kubernetes/audit"
    """Folder of the API server's audit log on the node; null where the API server is not ours (EKS, GKE)."""
    pod_logs: AbsolutePath = "/var/log/pods"
    """Folder of the containers' logs on the node."""
    records_per_day: PositiveInt = 50_000
    """Records that come to one trail; the volume has to hold them for `retentionDays`."""
    signing: Annotated[GeneratedKey | SecretKey, Field(discriminator="kind")]
    """Key that seals are signed with."""
    anomalies: AnomalyRules = Field(default_factory=AnomalyRules)
    """Rules over records."""
    publish: Publish | None = None
    """Copies in a bucket; without it, the volume is all there is."""
    storage: AuditStorage = Field(default_factory=AuditStorage)
    """Volume of each collector."""
    resources: AuditResources = Field(default_factory=AuditResources)
    """Of the collector and of each Job."""
    metrics_clients: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)] = Field(
        default_factory=lambda: {"purpose": "monitoring"}
    )
    """Labels of the namespaces that may read the metrics."""

    @property
    def selector(self) -> Mapping[str, str]:
        """Labels of the nodes that collectors run on."""
        if self.node_selector is not None:
            return self.node_selector
        return {CONTROL_PLANE: ""} if self.source == "nodes" else {}
