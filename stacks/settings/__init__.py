"""The settings of a stack, as people write them in `Pulumi.<stack>.yaml`.

Each section is one structured value under the project's namespace. `docs/settings.md` and the JSON Schema
beside it are generated from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.audit.settings import Audit
from components.common.schema import FrozenModel
from components.etcd.settings import EtcdSettings
from components.load_balancer.settings import Entry
from components.logging.settings import Logging
from components.monitoring.settings import Monitoring
from components.object_storage.settings import Buckets
from components.operators.settings import Operators
from stacks.cost.ceiling import CostCeiling
from stacks.settings.cluster import Cluster
from stacks.settings.images import LocalImages, RegistryImages
from stacks.settings.model import Model
from stacks.settings.tenant import Tenant


class Settings(FrozenModel):
    """All sections of a stack's settings."""

    cluster: Annotated[Cluster, Field(discriminator="kind")]
    """Where everything runs."""
    tenant: Tenant
    """Namespace, quota and who may call."""
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    """What is served. The first model's server is the stack's endpoint."""
    images: Annotated[LocalImages | RegistryImages, Field(discriminator="kind")]
    """Where container images come from."""
    entry: Entry | None = None
    """How clients outside the cluster reach the first model; without it, they do not. On EKS and GKE."""
    buckets: Buckets | None = None
    """Buckets for published models and for the audit trail. On EKS and GKE."""
    etcd: EtcdSettings | None = None
    """The platform's own etcd, which the registry of model servers is kept in; without it, there is none."""
    operators: Operators | None = None
    """Operators that other sections need: installed from their charts, or there already."""
    monitoring: Monitoring | None = None
    """Metrics, alerts, dashboards and reports; without it, nobody is told of anything."""
    logging: Logging | None = None
    """Logs of every node, masked and searchable; without it, they stay on the nodes until kubelet deletes
    them."""
    audit: Audit | None = None
    """Records of who did what; without it, none are kept."""
    cost_ceiling: CostCeiling | None = None
    """The most that the stack may cost a month; without it, there is no bound. On EKS and GKE."""
    data_protection: Literal["none", "protected"] = "protected"
    """`protected` refuses to delete what holds data, and keeps it if forced; `none` is for trying out."""
