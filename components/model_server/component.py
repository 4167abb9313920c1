"""The ModelServer component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, meta, networking

from components.accelerators.shapes import Taint
from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, isolation, networks, pods_elsewhere
from components.common.outputs import unknown_output
from components.common.pods import (
    annotation_volume,
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    requirements,
    scratch_volume,
    spread,
    toleration,
)
from components.common.quantities import Resources
from components.common.volumes import claim_volume, secret_volume
from components.common.workloads import (
    disruption_budget,
    object_metadata,
    scrape_annotations,
    service_spec,
)
from components.model_server.rollout import Rollout
from components.model_server.timing import STARTUP_PERIOD_SECONDS, ServerTiming
from components.model_server.vllm import CERTIFICATE_MOUNT, PORT
from components.model_store.manifest import ANNOTATION, FILE, MOUNT, Manifest

_WORKLOAD = "model-server"
PORT_NAME = "http"
"""Name of the container's port, also where it speaks TLS."""


def server_selector(model: str) -> dict[str, str]:
    """Labels of a model's servers, for those that send requests to them."""
    return selector_labels(_WORKLOAD, model)


@dataclass(frozen=True)
class ModelServerSpec:
    """What is planned for one model's server."""

    model: str
    """Name of the model: a DNS label, and the name of the Service."""
    engine_version: str
    arguments: tuple[str, ...]
    """Of the `vllm` command."""
    environment: Mapping[str, str]
    replicas: int
    resources: Resources
    verifier_resources: Resources
    shared_memory: int
    """Bytes of /dev/shm, part of the container's memory."""
    scratch: int
    """Bytes of /tmp, part of the container's ephemeral storage."""
    timing: ServerTiming
    rollout: Rollout
    model_path: str
    """Where the engine finds the weights."""
    manifest: Manifest
    """What the weights must be."""
    trusted_clients: Mapping[str, str]
    """Labels of the namespaces that may reach the API."""
    node_selector: Mapping[str, str]
    """Labels of the nodes that qualify."""
    tolerations: tuple[Taint, ...]
    """Taints of the nodes that qualify."""
    client_cidrs: tuple[str, ...] = ()
    """Addresses that may reach the API besides: those of proxies in the nodes' own network."""
    tls_secret: str | None = None
    """Secret of type kubernetes.io/tls whose certificate the server answers with; None: plain HTTP."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.tls_secret else "http"


@dataclass(frozen=True)
class ModelServerArgs:
    """Inputs of a ModelServer."""

    namespace: pulumi.Input[str]
    service_account: pulumi.Input[str]
    spec: ModelServerSpec
    image: pulumi.Input[str]
    """Image of the engine, by digest."""
    verifier_image: pulumi.Input[str]
    """Image of the weights verifier, by digest."""
    weights_claim: pulumi.Input[str]
    """Claim of the volume with the weights, at `<model>/<digest>/`."""
    weights_digest: pulumi.Input[str]
    """Digest of a version that is verified and published on that volume."""


class ModelServer(pulumi.ComponentResource):
    """vLLM serving one model: Deployment, Service, disruption budget and NetworkPolicy.

    The weights are hashed again before the engine starts, in an init container that fails closed. Only
    namespaces with the trusted clients' labels reach the API; the pods have no egress but DNS.
    """

    cluster_ip: pulumi.Output[str]
    """Address of the Service within the cluster."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:model_server:ModelServer", name, None, opts)
        spec = args.spec
        labels = object_labels(_WORKLOAD, spec.model, component="inference", version=spec.engine_version)
        selector = server_selector(spec.model)
        metadata = object_metadata(spec.model, args.namespace, labels)
        child = pulumi.ResourceOptions(parent=self)

        clients = (pods_elsewhere(spec.trusted_clients), *networks(spec.client_cidrs))
        guard = networking.v1.NetworkPolicy(
            name, metadata=metadata, spec=isolation(selector, ingress=[Flow(clients, (PORT,))]), opts=child
        )
        disruption_budget(name, metadata, selector, opts=child)
        service = core.v1.Service(
            name,
            # Readiness is the Deployment's to report; waiting for endpoints would report a failure twice.
            metadata=object_metadata(spec.model, args.namespace, labels, await_ready=False),
            spec=service_spec(selector, PORT_NAME, PORT),
            opts=child,
        )
        # A rollout may replace the pods one after the other.
        deadline = spec.timing.progress_deadline_seconds * (
            1 if spec.rollout.max_surge >= spec.replicas else spec.replicas
        )
        timeout = f"{deadline + spec.timing.termination_grace_period_seconds + 60}s"
        apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=apps.v1.DeploymentSpecArgs(
                replicas=spec.replicas,
                revision_history_limit=3,
                progress_deadline_seconds=spec.timing.progress_deadline_seconds,
                selector=meta.v1.LabelSelectorArgs(match_labels=selector),
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(
                        max_surge=spec.rollout.max_surge, max_unavailable=spec.rollout.max_unavailable
                    ),
                ),
                template=_pod_template(args, labels, selector),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[guard],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout, delete="5m"),
            ),
        )
        self.cluster_ip = service.spec.cluster_ip.apply(_assigned)
        self.register_outputs({"clusterIp": self.cluster_ip})


def _assigned(address: str | None) -> pulumi.Input[str]:
    """The address that the API server gives to a Service; none in the preview of its creation."""
    return address or unknown_output()


def _pod_template(
    args: ModelServerArgs, labels: dict[str, str], selector: dict[str, str]
) -> core.v1.PodTemplateSpecArgs:
    spec = args.spec
    scheme = spec.scheme.upper()
    weights = core.v1.VolumeMountArgs(
        name="weights",
        mount_path=spec.model_path,
        sub_path=pulumi.Output.format("{0}/{1}", spec.model, args.weights_digest),
        read_only=True,
    )
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels=labels,
            annotations={
                **scrape_annotations(PORT),
                "prometheus.io/scheme": spec.scheme,
                ANNOTATION: spec.manifest.text,
                "autoglm-platform/weights-digest": args.weights_digest,
                "kubectl.kubernetes.io/default-container": "vllm",
            },
        ),
        spec=core.v1.PodSpecArgs(
            service_account_name=args.service_account,
            automount_service_account_token=False,
            # Service variables such as VLLM_PORT would be read as the engine's own configuration.
            enable_service_links=False,
            node_selector=dict(spec.node_selector) or None,
            tolerations=[toleration(taint) for taint in spec.tolerations] or None,
            security_context=pod_security_context(),
            termination_grace_period_seconds=spec.timing.termination_grace_period_seconds,
            topology_spread_constraints=[
                spread(selector, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ],
            init_containers=[
                core.v1.ContainerArgs(
                    name="verify-weights",
                    image=args.verifier_image,
                    image_pull_policy="IfNotPresent",
                    command=["python3", "-m", "weights"],
                    args=["verify", f"--sums={MOUNT}/{FILE}", f"--path={spec.model_path}"],
                    env=[core.v1.EnvVarArgs(name="HOME", value="/tmp")],
                    resources=requirements(spec.verifier_resources),
                    security_context=container_security_context(),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        weights,
                        mount("sums", MOUNT),
                        core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                    ],
                )
            ],
            containers=[
                core.v1.ContainerArgs(
                    name="vllm",
                    image=args.image,
                    image_pull_policy="IfNotPresent",
                    command=["vllm"],
                    args=list(spec.arguments),
                    env=[
                        core.v1.EnvVarArgs(name=key, value=value)
                        for key, value in sorted(spec.environment.items())
                    ],
                    ports=[container_port(PORT_NAME, PORT)],
                    resources=requirements(spec.resources),
                    security_context=container_security_context(),
                    startup_probe=http_probe(
                        "/v1/models",
                        PORT_NAME,
                        period=STARTUP_PERIOD_SECONDS,
                        timeout=5,
                        failures=spec.timing.startup_failure_threshold,
                        scheme=scheme,
                    ),
                    # Readiness proves that the model is served; liveness restarts an engine that has died.
                    readiness_probe=http_probe("/v1/models", PORT_NAME, period=10, timeout=5, scheme=scheme),
                    liveness_probe=http_probe("/health", PORT_NAME, period=30, timeout=10, scheme=scheme),
                    lifecycle=core.v1.LifecycleArgs(
                        pre_stop=core.v1.LifecycleHandlerArgs(
                            sleep=core.v1.SleepActionArgs(seconds=spec.timing.pre_stop_seconds)
                        )
                    ),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        weights,
                        core.v1.VolumeMountArgs(name="shared-memory", mount_path="/dev/shm"),
                        core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                        *([mount("certificate", CERTIFICATE_MOUNT)] if spec.tls_secret else []),
                    ],
                )
            ],
            volumes=[
                claim_volume("weights", args.weights_claim),
                annotation_volume("sums", ANNOTATION, FILE),
                scratch_volume("shared-memory", spec.shared_memory, in_memory=True),
                scratch_volume("tmp", spec.scratch),
                *([secret_volume("certificate", spec.tls_secret)] if spec.tls_secret else []),
            ],
        ),
    )
