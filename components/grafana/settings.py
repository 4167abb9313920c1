"""What people write about Grafana in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.accelerators.settings import LabelKey
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import MIB, Bytes, Millicores
from components.common.schema import FrozenModel, PositiveInt


class GrafanaResources(FrozenModel):
    """What each replica gets, requests and limits alike."""

    cpu: Millicores = 250
    """CPU. Panels are drawn in the browser; the server passes queries on."""
    memory: Bytes = 512 * MIB
    """Memory."""
    ephemeral_storage: Bytes = 512 * MIB
    """Node-local disk: logs, and the database of sessions, 256 MiB at most."""


class LogStore(FrozenModel):
    """How Grafana reads the log store, where the stack has one."""

    secret_name: DnsLabel
    """Secret in Grafana's namespace with the keys `username`, `password` and `ca.crt` of the log store: a
    user that may read the audit records, and nothing else."""


class Grafana(FrozenModel):
    """Dashboards of the stack. They are part of this program: what is changed in the browser is not kept."""

    admin_secret_name: DnsLabel
    """Secret in Grafana's namespace with the keys `admin-user`, `admin-password` and `secret-key` (32 random
    characters, by which Grafana encrypts sessions). It is mounted as files: no value of it is ever in the
    stack's state."""
    root_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")]
    """Where browsers reach it: scheme, host and port, without a path. `http` is for a port forwarded to one's
    own machine: over it, cookies are sent in the clear."""
    clients: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the namespaces that may reach it, e.g. that of the ingress; without any, only
    `kubectl port-forward` does."""
    replicas: PositiveInt = 1
    """Each holds its own sessions: a client keeps to one of them, and logs in anew when it goes away."""
    resources: GrafanaResources = Field(default_factory=GrafanaResources)
    """Of each replica."""
    log_store: LogStore | None = None
    """Credentials of the log store; without them, there are no panels of audit records."""
