"""The LoadBalancer component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import core, meta, networking

from components.common.labels import object_labels
from components.common.names import bounded_name
from components.common.outputs import known_after, unknown_output
from components.load_balancer.plan import PORT_NAME, EntryPlan

_TIMEOUT = "10m"
"""For the cloud to make the load balancer and tell its address."""


@dataclass(frozen=True)
class LoadBalancerArgs:
    """Inputs of a LoadBalancer."""

    namespace: pulumi.Input[str]
    model: str
    """Name of the model: a DNS label."""
    selector: Mapping[str, str]
    """Labels of the model's servers."""
    container_port: int
    """TCP port that the servers listen on."""
    plan: EntryPlan


class LoadBalancer(pulumi.ComponentResource):
    """A network load balancer of the cloud in front of one model's servers, and the NetworkPolicy that lets
    it in.

    It passes connections only to nodes with a ready server (externalTrafficPolicy Local), so that servers see
    the clients' addresses: filter and NetworkPolicy are about the same networks.

    Its objects are named after the exposure. A load balancer cannot change from internal to public in place
    (neither controller does it), so the new one is made before the old one goes.
    """

    address: pulumi.Output[str]
    """Host name or IP address of the load balancer, for the DNS record of the entry's host name."""
    endpoint: pulumi.Output[str]
    """Base URL of the API, for dependents only once the load balancer is there."""

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:load_balancer:LoadBalancer", name, None, opts)
        plan = args.plan
        exposure = plan.settings.exposure
        object_name = bounded_name(args.model, exposure)
        labels = object_labels("entry", args.model, component="load-balancer")

        admission = networking.v1.NetworkPolicy(
            f"{name}-{exposure}",
            metadata=meta.v1.ObjectMetaArgs(name=object_name, namespace=args.namespace, labels=labels),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(match_labels=dict(args.selector)),
                policy_types=["Ingress"],
                ingress=[
                    networking.v1.NetworkPolicyIngressRuleArgs(
                        from_=[
                            networking.v1.NetworkPolicyPeerArgs(
                                ip_block=networking.v1.IPBlockArgs(
                                    cidr=block.cidr, except_=list(block.excluded) or None
                                )
                            )
                            for block in plan.clients
                        ],
                        ports=[networking.v1.NetworkPolicyPortArgs(port=args.container_port, protocol="TCP")],
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        service = core.v1.Service(
            f"{name}-{exposure}",
            metadata=meta.v1.ObjectMetaArgs(
                name=object_name,
                namespace=args.namespace,
                labels=labels,
                annotations=dict(plan.annotations),
            ),
            spec=core.v1.ServiceSpecArgs(
                type="LoadBalancer",
                selector=dict(args.selector),
                external_traffic_policy="Local",
                allocate_load_balancer_node_ports=plan.node_ports > 0,
                load_balancer_source_ranges=list(plan.source_ranges),
                ports=[
                    core.v1.ServicePortArgs(
                        name=PORT_NAME,
                        port=plan.settings.port,
                        target_port=args.container_port,
                        protocol="TCP",
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[admission],
                custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT, delete=_TIMEOUT),
            ),
        )
        self.address = service.status.apply(_address)
        self.endpoint = known_after(plan.endpoint, service)
        self.register_outputs({"address": self.address, "endpoint": self.endpoint})


def _address(status: Any) -> pulumi.Input[str]:
    """What the cloud assigned: AWS gives host names, Google addresses.

    Unknown in the preview of its creation. An update waits for it; where nobody assigns one, it is empty.
    """
    load_balancer = getattr(status, "load_balancer", None)
    for ingress in getattr(load_balancer, "ingress", None) or ():
        if address := ingress.hostname or ingress.ip:
            return str(address)
    return unknown_output() if pulumi.runtime.is_dry_run() else ""
