"""The AlertmanagerServers component: Alertmanager, run by prometheus-operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, isolation, networks, pods
from components.common.quantities import format_bytes
from components.common.workloads import disruption_budget, object_metadata
from components.monitoring import ports
from components.monitoring.access import service_account
from components.monitoring.alertmanager import SECRETS, WECOM_SECRET
from components.monitoring.objects import API_VERSION
from components.monitoring.plan import RELAY_NAME, MonitoringPlan
from components.monitoring.prometheus import CLIENTS, INSTANCE, pod_security_document, spread_document
from components.monitoring.stack import ALERTMANAGER, PROMETHEUS

NAME: Final = "alertmanager"
_CONFIGURATION: Final = "alertmanager-configuration"
SELECTOR: Final = selector_labels(ALERTMANAGER, INSTANCE)
"""Labels that prometheus-operator gives to the pods."""


@dataclass(frozen=True)
class AlertmanagerArgs:
    """Inputs of AlertmanagerServers."""

    namespace: pulumi.Input[str]
    plan: MonitoringPlan
    image: pulumi.Input[str]


class AlertmanagerServers(pulumi.ComponentResource):
    """Alertmanager with its configuration, volume, NetworkPolicy and disruption budget.

    Secrets of receivers are mounted where they exist: one that is missing fails the messages to its receiver,
    which is an alert of its own, and nothing else.
    """

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:monitoring:AlertmanagerServers", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels(ALERTMANAGER, INSTANCE, component="alerting")

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, args.namespace, labels)

        account = service_account(name, metadata(NAME), child)
        isolated = [
            networking.v1.NetworkPolicy(name, metadata=metadata(NAME), spec=_isolation(plan), opts=child),
            networking.v1.NetworkPolicy(
                f"{name}-cluster", metadata=metadata(f"{NAME}-cluster"), spec=_gossip(), opts=child
            ),
        ]
        disruption_budget(name, metadata(NAME), SELECTOR, opts=child)
        configuration = core.v1.Secret(
            name,
            metadata=metadata(_CONFIGURATION),
            type="Opaque",
            string_data={"alertmanager.yaml": plan.alertmanager},
            opts=child,
        )
        apiextensions.CustomResource(
            name,
            api_version=API_VERSION,
            kind="Alertmanager",
            metadata=metadata(INSTANCE),
            spec=_spec(args, labels),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account, *isolated, configuration]),
        )
        self.register_outputs({})


def _spec(args: AlertmanagerArgs, labels: dict[str, str]) -> dict[str, Any]:
    plan, server = args.plan, args.plan.settings.alertmanager
    storage_class = plan.settings.prometheus.storage_class
    return {
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "version": server.version,
        "replicas": server.replicas,
        # The file is taken as it is: no AlertmanagerConfig of anybody is merged into it.
        "configSecret": _CONFIGURATION,
        "retention": "120h",
        "storage": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    **({"storageClassName": storage_class} if storage_class else {}),
                    "resources": {"requests": {"storage": format_bytes(server.volume)}},
                }
            }
        },
        "resources": plan.shares.alertmanager.document(),
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "securityContext": pod_security_document(),
        "enableServiceLinks": False,
        "podMetadata": {"labels": labels},
        "topologySpreadConstraints": [spread_document(SELECTOR)],
        "volumes": [
            {
                "name": f"receiver-{index}",
                "secret": {
                    "secretName": secret,
                    "optional": True,
                    "defaultMode": 0o440,
                    "items": [{"key": WECOM_SECRET, "path": WECOM_SECRET}],
                },
            }
            for index, secret in enumerate(plan.alertmanager_secrets)
        ],
        "volumeMounts": [
            {"name": f"receiver-{index}", "mountPath": f"{SECRETS}/{secret}", "readOnly": True}
            for index, secret in enumerate(plan.alertmanager_secrets)
        ],
    }


def _isolation(plan: MonitoringPlan) -> networking.v1.NetworkPolicySpecArgs:
    """Prometheus, Grafana and the weekly report reach it; it reaches the relay, and WeCom or its proxy."""
    name = "app.kubernetes.io/name"
    return isolation(
        SELECTOR,
        ingress=[
            Flow(tuple(pods({name: one}) for one in (PROMETHEUS, *CLIENTS)), (ports.ALERTMANAGER,)),
        ],
        egress=[
            Flow((pods({name: RELAY_NAME}),), (ports.ALERT_RELAY,)),
            Flow(networks(plan.settings.wecom_egress_cidrs), (ports.HTTPS,)),
        ],
    )


def _gossip() -> networking.v1.NetworkPolicySpecArgs:
    """What replicas tell each other, over TCP and UDP."""
    selector = meta.v1.LabelSelectorArgs(match_labels=SELECTOR)
    peers = [networking.v1.NetworkPolicyPeerArgs(pod_selector=selector)]
    allowed = [
        networking.v1.NetworkPolicyPortArgs(port=ports.ALERTMANAGER_CLUSTER, protocol=protocol)
        for protocol in ("TCP", "UDP")
    ]
    return networking.v1.NetworkPolicySpecArgs(
        pod_selector=selector,
        policy_types=["Ingress", "Egress"],
        ingress=[networking.v1.NetworkPolicyIngressRuleArgs(from_=peers, ports=allowed)],
        egress=[networking.v1.NetworkPolicyEgressRuleArgs(to=peers, ports=allowed)],
    )
