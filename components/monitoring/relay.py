"""The AlertRelay component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, Labels, isolation, networks, pods
from components.common.outputs import known_after
from components.common.pods import (
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    scratch_volume,
    spread,
)
from components.common.quantities import MIB
from components.common.volumes import config_map_volume, secret_volume
from components.common.workloads import (
    deployment_spec,
    disruption_budget,
    object_metadata,
    scrape_annotations,
    service_spec,
)
from components.monitoring import ports
from components.monitoring.containers import requirements
from components.monitoring.plan import RELAY_NAME, RELAY_PORT, MonitoringPlan
from components.monitoring.stack import ALERTMANAGER, PROMETHEUS

ROBOTS: Final = "/etc/alert-relay/robots"
AUTHORITY: Final = "/etc/alert-relay/authority"
_CA_FILE: Final = "ca.crt"
_ROBOT_KEYS: Final = ("access-token", "signing-secret")


@dataclass(frozen=True)
class AlertRelayArgs:
    """Inputs of an AlertRelay."""

    namespace: pulumi.Input[str]
    """Alertmanager's, whose pods alone may call it."""
    service_account: pulumi.Input[str]
    plan: MonitoringPlan


class AlertRelay(pulumi.ComponentResource):
    """Signs Alertmanager's messages to DingTalk: Deployment, Service, disruption budget and NetworkPolicy.

    The robots' tokens and secrets are mounted as files and read for each message: a changed Secret needs no
    restart.
    """

    address: pulumi.Output[str]
    """Base URL for Alertmanager."""

    def __init__(self, name: str, args: AlertRelayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:monitoring:AlertRelay", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        selector = selector_labels(RELAY_NAME, RELAY_NAME)
        labels = object_labels(RELAY_NAME, RELAY_NAME, component="alerting")
        metadata = object_metadata(RELAY_NAME, args.namespace, labels)

        guard = networking.v1.NetworkPolicy(
            name, metadata=metadata, spec=_isolation(selector, plan.settings.relay_egress_cidrs), opts=child
        )
        disruption_budget(name, metadata, selector, opts=child)
        if plan.settings.routing.proxy_ca is not None:
            core.v1.ConfigMap(
                name, metadata=metadata, data={_CA_FILE: plan.settings.routing.proxy_ca}, opts=child
            )
        service = core.v1.Service(
            name,
            # The Deployment reports readiness; waiting for endpoints would report a failure twice.
            metadata=object_metadata(RELAY_NAME, args.namespace, labels, await_ready=False),
            spec=service_spec(selector, "http", RELAY_PORT),
            opts=child,
        )
        apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=deployment_spec(
                labels,
                selector,
                _pod(args, selector),
                replicas=plan.settings.relay.replicas,
                annotations=scrape_annotations(RELAY_PORT),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[guard],
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m", delete="5m"),
            ),
        )
        self.address = known_after(f"http://{RELAY_NAME}.{plan.settings.namespace}.svc:{RELAY_PORT}", service)
        self.register_outputs({"address": self.address})


def _isolation(selector: Labels, cidrs: tuple[str, ...]) -> networking.v1.NetworkPolicySpecArgs:
    """Alertmanager and Prometheus reach it; it reaches DingTalk or the proxy to it."""
    callers = tuple(pods({"app.kubernetes.io/name": caller}) for caller in (ALERTMANAGER, PROMETHEUS))
    return isolation(
        selector,
        ingress=[Flow(callers, (RELAY_PORT,))],
        egress=[Flow(networks(cidrs), (ports.HTTPS,))],
    )


def _pod(args: AlertRelayArgs, selector: Labels) -> core.v1.PodSpecArgs:
    plan, routing = args.plan, args.plan.settings.routing
    authority = routing.proxy_ca is not None
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        termination_grace_period_seconds=30,
        topology_spread_constraints=[spread(selector)],
        containers=[
            core.v1.ContainerArgs(
                name="relay",
                image=plan.relay_image,
                image_pull_policy="IfNotPresent",
                command=["python3", "-m", "alert_relay"],
                args=[
                    f"--port={RELAY_PORT}",
                    f"--robots={ROBOTS}",
                    *([f"--endpoint={routing.dingtalk_url}"] if routing.dingtalk_url else []),
                ],
                env=[core.v1.EnvVarArgs(name="SSL_CERT_FILE", value=f"{AUTHORITY}/{_CA_FILE}")]
                if authority
                else None,
                ports=[container_port("http", RELAY_PORT)],
                resources=requirements(plan.shares.relay),
                security_context=container_security_context(),
                startup_probe=http_probe("/healthz", "http", period=5, failures=12),
                readiness_probe=http_probe("/healthz", "http", period=5),
                liveness_probe=http_probe("/healthz", "http", period=20),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    *(
                        mount(f"robot-{index}", f"{ROBOTS}/{robot.name}")
                        for index, robot in enumerate(plan.robots)
                    ),
                    *([mount("authority", AUTHORITY)] if authority else []),
                    core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                ],
            )
        ],
        volumes=[
            *(
                # One that is missing fails the messages of its robot, which Alertmanager counts.
                secret_volume(f"robot-{index}", robot.secret_name, _ROBOT_KEYS, optional=True)
                for index, robot in enumerate(plan.robots)
            ),
            *([config_map_volume("authority", RELAY_NAME)] if authority else []),
            scratch_volume("tmp", 16 * MIB),
        ],
    )
