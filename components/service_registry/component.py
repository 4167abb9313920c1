"""The ServiceRegistry component."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.names import bounded_name
from components.common.network_policies import Flow, admission, egress_rules, pods
from components.common.pods import (
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    scratch_volume,
)
from components.common.quantities import MIB
from components.common.volumes import secret_volume
from components.common.workloads import deployment_spec, object_metadata
from components.etcd.certificates import SERVICE_REGISTRY, client_secret
from components.etcd.component import CLIENT_LABEL, tools_environment, tools_requirements
from components.etcd.configuration import TLS
from components.etcd.plan import EtcdPlan
from components.model_server.component import server_selector

_WORKLOAD = "service-registry"
_HEALTH_PORT = 8080


@dataclass(frozen=True)
class ModelServers:
    """The servers of one model, as the registry finds them."""

    model: str
    """Name of the model: the instance label of its servers' pods."""
    port: int
    """Where they serve `/v1/models`."""
    scheme: str = "http"
    """`http` or `https`."""


@dataclass(frozen=True)
class RegistryPlan:
    """A registry, planned."""

    etcd: EtcdPlan
    servers: tuple[ModelServers, ...]
    lease_seconds: int = 15
    """An entry outlives the registry by this much; its own restart takes less."""
    interval_seconds: int = 5
    """Between two looks at a server: entries are at most this much behind."""

    @property
    def name(self) -> str:
        """Of the Deployment."""
        return bounded_name(self.etcd.name, "registry")


def endpoints_name(model: str) -> str:
    """Headless Service that leads to the ready servers of a model."""
    return bounded_name(model, "endpoints")


@dataclass(frozen=True)
class ServiceRegistryArgs:
    """Inputs of a ServiceRegistry."""

    namespace: pulumi.Input[str]
    service_account: pulumi.Input[str]
    plan: RegistryPlan


class ServiceRegistry(pulumi.ComponentResource):
    """Keeps in etcd which model server serves what, and since when it has been ready.

    Each entry hangs on a lease that is kept alive while the server answers. Brings what it needs to find the
    servers and to be let in by them; the servers know nothing of it.
    """

    def __init__(
        self, name: str, args: ServiceRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:service_registry:ServiceRegistry", name, None, opts)
        plan = args.plan
        labels = object_labels(_WORKLOAD, plan.name, component="registry")
        selector = selector_labels(_WORKLOAD, plan.name)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(object_name: str, *, await_ready: bool = True) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, args.namespace, labels, await_ready=await_ready)

        before: list[pulumi.Resource] = []
        for servers in plan.servers:
            served = server_selector(servers.model)
            before.append(
                core.v1.Service(
                    f"{name}-{servers.model}-endpoints",
                    # There are no endpoints until the model server is ready, which is reported there.
                    metadata=metadata(endpoints_name(servers.model), await_ready=False),
                    spec=core.v1.ServiceSpecArgs(
                        type="ClusterIP",
                        cluster_ip="None",
                        selector=served,
                        ports=[
                            core.v1.ServicePortArgs(
                                name="http", port=servers.port, target_port=servers.port, protocol="TCP"
                            )
                        ],
                    ),
                    opts=child,
                )
            )
            before.append(
                networking.v1.NetworkPolicy(
                    f"{name}-{servers.model}",
                    metadata=metadata(bounded_name(servers.model, "from", plan.name)),
                    spec=admission(served, Flow((pods(selector),), (servers.port,))),
                    opts=child,
                )
            )
        before.append(
            networking.v1.NetworkPolicy(
                name,
                metadata=metadata(plan.name),
                spec=networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.v1.LabelSelectorArgs(match_labels=selector),
                    policy_types=["Ingress", "Egress"],
                    # etcd is reached as one of its named clients.
                    egress=egress_rules(
                        [
                            Flow((pods(server_selector(servers.model)),), (servers.port,))
                            for servers in plan.servers
                        ]
                    ),
                ),
                opts=child,
            )
        )
        apps.v1.Deployment(
            name,
            metadata=metadata(plan.name),
            # Two would renew each other's leases; the entries outlive the moment between one and the next.
            spec=deployment_spec(labels | {CLIENT_LABEL: SERVICE_REGISTRY}, selector, _pod(args), alone=True),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=before,
                custom_timeouts=pulumi.CustomTimeouts(create="10m", update="10m", delete="5m"),
            ),
        )
        self.register_outputs({})


def _pod(args: ServiceRegistryArgs) -> core.v1.PodSpecArgs:
    plan = args.plan
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        termination_grace_period_seconds=15,
        containers=[
            core.v1.ContainerArgs(
                name="registry",
                image=plan.etcd.tools_image,
                image_pull_policy="IfNotPresent",
                command=["python3", "-m", "etcd_tools"],
                args=[
                    "registry",
                    f"--ttl={plan.lease_seconds}",
                    f"--interval={plan.interval_seconds}",
                    f"--health-port={_HEALTH_PORT}",
                    *(
                        f"--server={servers.model}={servers.scheme}://{endpoints_name(servers.model)}:{servers.port}"
                        for servers in plan.servers
                    ),
                ],
                env=[tools_environment(plan.etcd)],
                ports=[container_port("health", _HEALTH_PORT)],
                resources=tools_requirements(plan.etcd),
                security_context=container_security_context(),
                # Ready once etcd has taken what there is to say, be it that no server is ready yet.
                readiness_probe=http_probe("/readyz", "health", period=10, timeout=5),
                liveness_probe=http_probe("/livez", "health", period=30, timeout=5),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    mount("client-tls", f"{TLS}/client"),
                    core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                ],
            )
        ],
        volumes=[
            secret_volume("client-tls", client_secret(plan.etcd.name, SERVICE_REGISTRY)),
            scratch_volume("tmp", 16 * MIB),
        ],
    )
