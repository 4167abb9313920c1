"""What people write about operators in `Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.accelerators.settings import LabelKey
from components.common.cidr import Ipv4Cidr
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import MIB, Bytes, Millicores, Resources
from components.common.schema import FrozenModel, PositiveInt

ChartReference = Annotated[
    str, Field(pattern=r"^oci://[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$")
]
"""An OCI repository without tag and digest: they have keys of their own."""
ChartVersion = Annotated[
    str, Field(pattern=r"^v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$")
]
"""One version, no range (SemVer 2.0)."""
ChartDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class ExistingOperator(FrozenModel):
    """The cluster runs the operator, with its custom resource definitions, by somebody else's care."""

    kind: Literal["existing"]


class Chart(FrozenModel):
    """A Helm chart in a registry of one's own."""

    chart: ChartReference
    """Its repository, e.g. `oci://registry.example.com/charts/cert-manager`."""
    version: ChartVersion
    """Its exact version."""
    digest: ChartDigest
    """Digest of its manifest: what `helm push`, or a copy of the registry, prints. Any other content under
    the same version is refused."""


class OperatorResources(FrozenModel):
    """What each of an operator's containers gets, requests and limits alike."""

    cpu: Millicores = 200
    """CPU."""
    memory: Bytes = 256 * MIB
    """Memory."""
    ephemeral_storage: Bytes = 64 * MIB
    """Node-local disk: logs."""

    def resources(self) -> Resources:
        """The same, for pods."""
        return Resources(self.cpu, self.memory, self.ephemeral_storage)


class CertManagerChart(Chart):
    """cert-manager from its chart: controller, webhook and CA injector."""

    kind: Literal["chart"]
    namespace: DnsLabel = "cert-manager"
    """Namespace of its own."""
    replicas: PositiveInt = 2
    """Of the controller, of which one leads, of the webhook and of the CA injector."""
    resources: OperatorResources = Field(default_factory=OperatorResources)
    """Of each container."""


class PrometheusOperatorChart(Chart):
    """prometheus-operator from the chart kube-prometheus-stack, of which nothing else is installed."""

    kind: Literal["chart"]
    definitions: Chart
    """The chart prometheus-operator-crds: custom resource definitions apart from the operator, so that they
    can be kept when it goes."""
    namespace: DnsLabel = "prometheus-operator"
    """Namespace of its own."""
    resources: OperatorResources = Field(default_factory=OperatorResources)
    """Of the operator. The chart runs one replica of it: what it has made runs on without it."""
    config_reloader: OperatorResources = Field(
        default_factory=lambda: OperatorResources.model_validate(
            {"cpu": "20m", "memory": "64Mi", "ephemeralStorage": "16Mi"}
        )
    )
    """Of the container that it puts beside each Prometheus and Alertmanager."""


class EckChart(Chart):
    """Elastic Cloud on Kubernetes from the chart eck-operator."""

    kind: Literal["chart"]
    namespace: DnsLabel = "elastic-system"
    """Namespace of its own."""
    replicas: PositiveInt = 2
    """Of the operator, of which one leads."""
    resources: OperatorResources = Field(
        default_factory=lambda: OperatorResources.model_validate({"cpu": "500m", "memory": "512Mi"})
    )
    """Of each."""


CertManager = Annotated[CertManagerChart | ExistingOperator, Field(discriminator="kind")]
PrometheusOperator = Annotated[PrometheusOperatorChart | ExistingOperator, Field(discriminator="kind")]
Eck = Annotated[EckChart | ExistingOperator, Field(discriminator="kind")]


class Operators(FrozenModel):
    """Operators by name: installed from a chart, or there already. What nothing needs is left out."""

    cert_manager: CertManager | None = None
    """Issues and renews certificates. Needed by `logging`, and by `etcd.certificates` of kind
    `cert-manager`."""
    prometheus_operator: PrometheusOperator | None = None
    """Runs Prometheus and Alertmanager. Needed by `monitoring`."""
    eck: Eck | None = None
    """Runs Elasticsearch, Kibana, Logstash and Beats. Needed by `logging`."""
    api_server_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Networks of the API server, which operators watch and which calls their webhooks. Needed only where the
    settings of the cluster do not tell: a bare-metal cluster without `hosts`, or a kubeconfig alone."""
    metrics_clients: Annotated[dict[LabelKey, LabelValue], Field(min_length=1)] = Field(
        default_factory=lambda: {"purpose": "monitoring"}
    )
    """Labels of the namespaces that may read the operators' metrics."""
