"""The AlertRelay component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking, policy

from components.common.labels import object_labels, selector_labels
from components.common.outputs import known_after
from components.common.pods import (
    container_security_context,
    http_probe,
    pod_security_context,
    scratch_volume,
)
from components.common.quantities import MIB
from components.monitoring.containers import requirements
from components.monitoring.plan import RELAY_NAME, RELAY_PORT, MonitoringPlan

ROBOTS: Final = "/etc/alert-relay/robots"
AUTHORITY: Final = "/etc/alert-relay/authority"
_CA_FILE: Final = "ca.crt"


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
        metadata = meta.v1.ObjectMetaArgs(name=RELAY_NAME, namespace=args.namespace, labels=labels)
        pods = meta.v1.LabelSelectorArgs(match_labels=selector)

        isolation = networking.v1.NetworkPolicy(
            name, metadata=metadata, spec=_isolation(pods, plan.settings.relay_egress_cidrs), opts=child
        )
        policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1, unhealthy_pod_eviction_policy="AlwaysAllow", selector=pods
            ),
            opts=child,
        )
        if plan.settings.routing.proxy_ca is not None:
            core.v1.ConfigMap(
                name, metadata=metadata, data={_CA_FILE: plan.settings.routing.proxy_ca}, opts=child
            )
        service = core.v1.Service(
            name,
            metadata=meta.v1.ObjectMetaArgs(
                name=RELAY_NAME,
                namespace=args.namespace,
                labels=labels,
                # The Deployment reports readiness; waiting for endpoints would report a failure twice.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP",
                selector=selector,
                ports=[
                    core.v1.ServicePortArgs(name="http", port=RELAY_PORT, target_port="http", protocol="TCP")
                ],
            ),
            opts=child,
        )
        apps.v1.Deployment(
            name,
            metadata=metadata,
            spec=apps.v1.DeploymentSpecArgs(
                replicas=plan.settings.relay.replicas,
                revision_history_limit=3,
                selector=pods,
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=labels,
                        annotations={
                            "prometheus.io/scrape": "true",
                            "prometheus.io/port": str(RELAY_PORT),
                            "prometheus.io/path": "/metrics",
                        },
                    ),
                    spec=_pod(args, pods),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[isolation],
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m", delete="5m"),
            ),
        )
        self.address = known_after(f"http://{RELAY_NAME}.{plan.settings.namespace}.svc:{RELAY_PORT}", service)
        self.register_outputs({"address": self.address})


def _isolation(
    pods: meta.v1.LabelSelectorArgs, cidrs: tuple[str, ...]
) -> networking.v1.NetworkPolicySpecArgs:
    """Alertmanager and Prometheus reach it; it reaches DingTalk or the proxy to it."""
    callers = [
        networking.v1.NetworkPolicyPeerArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels={"app.kubernetes.io/name": caller})
        )
        for caller in ("alertmanager", "prometheus")
    ]
    return networking.v1.NetworkPolicySpecArgs(
        pod_selector=pods,
        policy_types=["Ingress", "Egress"],
        ingress=[
            networking.v1.NetworkPolicyIngressRuleArgs(
                from_=callers, ports=[networking.v1.NetworkPolicyPortArgs(port=RELAY_PORT, protocol="TCP")]
            )
        ],
        egress=[
            networking.v1.NetworkPolicyEgressRuleArgs(
                to=[
                    networking.v1.NetworkPolicyPeerArgs(ip_block=networking.v1.IPBlockArgs(cidr=cidr))
                    for cidr in cidrs
                ],
                ports=[networking.v1.NetworkPolicyPortArgs(port=443, protocol="TCP")],
            )
        ],
    )


def _pod(args: AlertRelayArgs, pods: meta.v1.LabelSelectorArgs) -> core.v1.PodSpecArgs:
    plan, routing = args.plan, args.plan.settings.routing
    authority = routing.proxy_ca is not None
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        termination_grace_period_seconds=30,
        topology_spread_constraints=[
            core.v1.TopologySpreadConstraintArgs(
                max_skew=1,
                topology_key="kubernetes.io/hostname",
                when_unsatisfiable="ScheduleAnyway",
                label_selector=pods,
            )
        ],
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
                ports=[core.v1.ContainerPortArgs(name="http", container_port=RELAY_PORT, protocol="TCP")],
                resources=requirements(plan.shares.relay),
                security_context=container_security_context(),
                startup_probe=http_probe("/healthz", "http", period=5, failures=12),
                readiness_probe=http_probe("/healthz", "http", period=5),
                liveness_probe=http_probe("/healthz", "http", period=20),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    *(
                        core.v1.VolumeMountArgs(
                            name=f"robot-{index}", mount_path=f"{ROBOTS}/{robot.name}", read_only=True
                        )
                        for index, robot in enumerate(plan.robots)
                    ),
                    *(
                        [core.v1.VolumeMountArgs(name="authority", mount_path=AUTHORITY, read_only=True)]
                        if authority
                        else []
                    ),
                    core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                ],
            )
        ],
        volumes=[
            *(
                core.v1.VolumeArgs(
                    name=f"robot-{index}",
                    secret=core.v1.SecretVolumeSourceArgs(
                        secret_name=robot.secret_name,
                        # One that is missing fails the messages of its robot, which Alertmanager counts.
                        optional=True,
                        default_mode=0o440,
                        items=[
                            core.v1.KeyToPathArgs(key=key, path=key)
                            for key in ("access-token", "signing-secret")
                        ],
                    ),
                )
                for index, robot in enumerate(plan.robots)
            ),
            *(
                [
                    core.v1.VolumeArgs(
                        name="authority",
                        config_map=core.v1.ConfigMapVolumeSourceArgs(name=RELAY_NAME, default_mode=0o444),
                    )
                ]
                if authority
                else []
            ),
            scratch_volume("tmp", 16 * MIB),
        ],
    )
