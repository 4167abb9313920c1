"""The GkeNetwork component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_gcp import compute, dns

from components.common.outputs import known_after
from components.gke.addresses import PRIVATE_DOMAINS, RESTRICTED_APIS, EgressRule
from components.gke.plan import GkePlan

PODS_RANGE: Final = "pods"
SERVICES_RANGE: Final = "services"
_DNS_TTL_SECONDS: Final = 300
_INTERNET_GATEWAY: Final = "default-internet-gateway"
_ALLOW_PRIORITY: Final = 1000
_DENY_PRIORITY: Final = 65000
"""After every rule that allows something, GKE's own included; lower numbers come first."""


@dataclass(frozen=True)
class GkeNetworkArgs:
    """Inputs of a GkeNetwork."""

    plan: GkePlan


class GkeNetwork(pulumi.ComponentResource):
    """VPC and subnet of one cluster, from which nothing leads to the Internet unless a network is named.

    Google's APIs are reached by their restricted addresses: there is a route to these, private zones answer
    with them, and the firewall lets through what `GkePlan.egress_rules` says and drops the rest.
    """

    network: pulumi.Output[str]
    """Path of the VPC within its project's resources."""
    subnetwork: pulumi.Output[str]
    """Path of the subnet."""
    ready: pulumi.Output[str]
    """Path of the VPC, for those that need its routes, names and firewall too."""

    def __init__(self, name: str, args: GkeNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:gke:GkeNetwork", name, None, opts)
        self._name = name
        self._plan = args.plan
        self._child = pulumi.ResourceOptions(parent=self)
        settings = args.plan.settings

        vpc = compute.Network(
            name,
            name=settings.name,
            project=settings.project,
            description="Cluster, its nodes and pods",
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            delete_default_routes_on_create=True,
            opts=pulumi.ResourceOptions(parent=self, protect=args.plan.protect),
        )
        self.network = known_after(f"projects/{settings.project}/global/networks/{settings.name}", vpc)
        subnet = self._subnet()
        self.subnetwork = known_after(
            f"projects/{settings.project}/regions/{settings.region}/subnetworks/{settings.name}", subnet
        )
        reachable = [subnet, *self._routes(), *self._zones(), *self._firewall()]
        if settings.network.nat is not None:
            reachable.append(self._nat())
        self.ready = known_after(
            f"projects/{settings.project}/global/networks/{settings.name}", vpc, *reachable
        )
        self.register_outputs({"network": self.network, "subnetwork": self.subnetwork})

    def _subnet(self) -> compute.Subnetwork:
        settings, addresses = self._plan.settings, self._plan.addresses
        return compute.Subnetwork(
            f"{self._name}-nodes",
            name=settings.name,
            project=settings.project,
            region=settings.region,
            network=self.network,
            ip_cidr_range=str(addresses.nodes),
            secondary_ip_ranges=[
                compute.SubnetworkSecondaryIpRangeArgs(
                    range_name=PODS_RANGE, ip_cidr_range=str(addresses.pods)
                ),
                compute.SubnetworkSecondaryIpRangeArgs(
                    range_name=SERVICES_RANGE, ip_cidr_range=str(addresses.services)
                ),
            ],
            private_ip_google_access=True,
            stack_type="IPV4_ONLY",
            log_config=compute.SubnetworkLogConfigArgs(
                aggregation_interval="INTERVAL_5_SEC",
                flow_sampling=settings.network.flow_log_sampling,
                metadata="INCLUDE_ALL_METADATA",
            ),
            opts=self._child,
        )

    def _routes(self) -> list[pulumi.Resource]:
        """Ways out, one for each destination: there is no default route."""
        settings = self._plan.settings
        destinations = {"google-apis": str(RESTRICTED_APIS)}
        if settings.network.nat is not None:
            destinations |= {
                f"internet-{str(cidr).replace('.', '-').replace('/', '-')}": str(cidr)
                for cidr in settings.network.nat.destinations
            }
        return [
            compute.Route(
                f"{self._name}-{suffix}",
                name=f"{settings.name}-{suffix}",
                project=settings.project,
                network=self.network,
                dest_range=destination,
                # So called also where, as for the restricted addresses, nothing goes to the Internet.
                next_hop_gateway=_INTERNET_GATEWAY,
                priority=_ALLOW_PRIORITY,
                opts=self._child,
            )
            for suffix, destination in destinations.items()
        ]

    def _zones(self) -> list[pulumi.Resource]:
        """Private zones that answer for Google's domains with the restricted addresses."""
        settings = self._plan.settings
        records: list[pulumi.Resource] = []
        for domain in PRIVATE_DOMAINS:
            label = domain.replace(".", "-")
            zone = dns.ManagedZone(
                f"{self._name}-{label}",
                name=f"{settings.name}-{label}",
                project=settings.project,
                dns_name=f"{domain}.",
                description=f"{domain} by restricted addresses",
                visibility="private",
                private_visibility_config=dns.ManagedZonePrivateVisibilityConfigArgs(
                    networks=[dns.ManagedZonePrivateVisibilityConfigNetworkArgs(network_url=self.network)]
                ),
                opts=self._child,
            )
            target = "restricted.googleapis.com." if domain == "googleapis.com" else f"{domain}."
            for suffix, record, kind, answers in (
                ("addresses", target, "A", [str(address) for address in RESTRICTED_APIS]),
                ("names", f"*.{domain}.", "CNAME", [target]),
            ):
                records.append(
                    dns.RecordSet(
                        f"{self._name}-{label}-{suffix}",
                        project=settings.project,
                        managed_zone=known_after(f"{settings.name}-{label}", zone),
                        name=record,
                        type=kind,
                        ttl=_DNS_TTL_SECONDS,
                        rrdatas=answers,
                        opts=self._child,
                    )
                )
        return records

    def _firewall(self) -> list[pulumi.Resource]:
        settings = self._plan.settings
        deny = compute.Firewall(
            f"{self._name}-deny-egress",
            name=f"{settings.name}-deny-egress",
            project=settings.project,
            network=self.network,
            description="Nothing leaves unless another rule allows it",
            direction="EGRESS",
            priority=_DENY_PRIORITY,
            destination_ranges=["0.0.0.0/0"],
            denies=[compute.FirewallDenyArgs(protocol="all")],
            log_config=compute.FirewallLogConfigArgs(metadata="INCLUDE_ALL_METADATA"),
            opts=self._child,
        )
        return [deny, *(self._allow(rule) for rule in self._plan.egress_rules)]

    def _allow(self, rule: EgressRule) -> compute.Firewall:
        settings = self._plan.settings
        return compute.Firewall(
            f"{self._name}-allow-{rule.name}",
            name=f"{settings.name}-allow-{rule.name}",
            project=settings.project,
            network=self.network,
            description=rule.description,
            direction="EGRESS",
            priority=_ALLOW_PRIORITY,
            destination_ranges=list(rule.destinations),
            target_tags=[self._plan.node_tag],
            allows=[
                compute.FirewallAllowArgs(protocol=protocol, ports=list(rule.ports) or None)
                for protocol in rule.protocols
            ],
            opts=self._child,
        )

    def _nat(self) -> compute.RouterNat:
        settings = self._plan.settings
        router = compute.Router(
            f"{self._name}-router",
            name=settings.name,
            project=settings.project,
            region=settings.region,
            network=self.network,
            opts=self._child,
        )
        return compute.RouterNat(
            f"{self._name}-nat",
            name=settings.name,
            project=settings.project,
            region=settings.region,
            router=known_after(settings.name, router),
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[
                compute.RouterNatSubnetworkArgs(
                    name=self.subnetwork,
                    source_ip_ranges_to_nats=["PRIMARY_IP_RANGE", "LIST_OF_SECONDARY_IP_RANGES"],
                    secondary_ip_range_names=[PODS_RANGE],
                )
            ],
            log_config=compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
            opts=self._child,
        )
