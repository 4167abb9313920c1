"""The network of a cluster: VPC, subnets, routes, security groups, flow logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.names import bounded_name
from components.eks.arns import account_of, arn
from components.eks.cidr import ZoneSubnets
from components.eks.documents import Statement, policy_document, service_trust
from components.eks.identity import MAX_ROLE_NAME
from components.eks.plan import EksPlan
from components.eks.settings import EksNat

ANYWHERE: Final = "0.0.0.0/0"
HTTPS: Final = 443
NFS: Final = 2049
UNPRIVILEGED_PORTS: Final = (1025, 65535)
"""Where the control plane reaches kubelets (10250), webhooks and aggregated APIs."""
FLOW_LOG_SECONDS: Final = 60
"""Shortest interval in which flows are gathered into one record."""


def flow_log_group(cluster: str) -> str:
    """Name of the log group of the flow logs."""
    return f"/aws/vpc/{cluster}/flow-logs"


@dataclass(frozen=True)
class NetworkArgs:
    """Inputs of a Network."""

    plan: EksPlan
    logs_key: pulumi.Input[str]
    """ARN of the key that encrypts the flow logs."""


class Network(pulumi.ComponentResource):
    """VPC whose private subnets have no route out, except to the networks that NAT is set up for.

    Routes to peers are made where the connection is made: routes here are objects of their own, so that
    others stay.
    """

    vpc_id: pulumi.Output[str]
    node_subnets: Mapping[str, pulumi.Output[str]]
    """Ids by zone; likewise below."""
    endpoint_subnets: Mapping[str, pulumi.Output[str]]
    control_plane_subnets: Mapping[str, pulumi.Output[str]]
    nodes_group: pulumi.Output[str]
    """Security group of all nodes; likewise below."""
    control_plane_group: pulumi.Output[str]
    endpoints_group: pulumi.Output[str]
    files_group: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:Network", name, None, opts)
        self._name, self._plan = name, args.plan
        self._cluster = args.plan.settings.name
        self._child = pulumi.ResourceOptions(parent=self)
        network = args.plan.settings.network
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(network.cidr),
            # Private names of interface endpoints need both.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("vpc"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.plan.protect),
        )
        self.vpc_id = vpc.id
        # Whatever is created without naming a group gets this one, and with it nothing.
        aws.ec2.DefaultSecurityGroup(
            f"{name}-default-group",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=self._tags("default-unused"),
            opts=self._child,
        )
        self._flow_logs(args.logs_key)
        subnets = args.plan.subnets
        isolated = self._route_table("isolated")
        self.endpoint_subnets = {
            zone.zone: self._subnet("endpoints", zone, zone.endpoints, isolated) for zone in subnets
        }
        self.control_plane_subnets = {
            zone.zone: self._subnet("control-plane", zone, zone.control_plane, isolated) for zone in subnets
        }
        gateways = self._public(subnets, network.nat)
        self.node_subnets = {
            zone.zone: self._subnet(
                "nodes",
                zone,
                zone.nodes,
                self._node_routes(zone, network.nat, gateways.get(zone.zone)),
                **{
                    f"kubernetes.io/cluster/{self._cluster}": "shared",
                    "kubernetes.io/role/internal-elb": "1",
                },
            )
            for zone in subnets
        }
        self._security_groups()
        self.register_outputs({"vpcId": self.vpc_id})

    def _tags(self, name: str, **more: str) -> dict[str, str]:
        return {"Name": f"{self._cluster}-{name}", **more}

    def _route_table(self, name: str) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(
            f"{self._name}-{name}-routes", vpc_id=self.vpc_id, tags=self._tags(name), opts=self._child
        )

    def _subnet(
        self, kind: str, zone: ZoneSubnets, cidr: IPv4Network, routes: aws.ec2.RouteTable, **tags: str
    ) -> pulumi.Output[str]:
        name = f"{kind}-{zone.zone}"
        subnet = aws.ec2.Subnet(
            f"{self._name}-{name}",
            vpc_id=self.vpc_id,
            availability_zone=zone.zone,
            cidr_block=str(cidr),
            map_public_ip_on_launch=False,
            tags=self._tags(name, **tags),
            opts=self._child,
        )
        association = aws.ec2.RouteTableAssociation(
            f"{self._name}-{name}-routes", subnet_id=subnet.id, route_table_id=routes.id, opts=self._child
        )
        # Nothing may start in the subnet before its routes are in place.
        return pulumi.Output.all(subnet.id, association.id).apply(lambda ids: str(ids[0]))

    def _public(self, zones: Sequence[ZoneSubnets], nat: EksNat | None) -> dict[str, aws.ec2.NatGateway]:
        """Public subnets if there are any; the NAT gateway of each zone that has or shares one."""
        ranges = {zone.zone: zone.public for zone in zones if zone.public is not None}
        if not ranges:
            return {}
        gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=self.vpc_id, tags=self._tags("internet"), opts=self._child
        )
        routes = self._route_table("public")
        aws.ec2.Route(
            f"{self._name}-public-internet",
            route_table_id=routes.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )
        tags = {f"kubernetes.io/cluster/{self._cluster}": "shared", "kubernetes.io/role/elb": "1"}
        subnets = {
            zone.zone: self._subnet("public", zone, ranges[zone.zone], routes, **tags) for zone in zones
        }
        if nat is None:
            return {}
        own = list(subnets) if nat.gateways == "per-zone" else list(subnets)[:1]
        gateways = {zone: self._nat_gateway(zone, subnets[zone], gateway) for zone in own}
        return {zone: gateways.get(zone, gateways[own[0]]) for zone in subnets}

    def _nat_gateway(
        self, zone: str, subnet: pulumi.Output[str], internet: aws.ec2.InternetGateway
    ) -> aws.ec2.NatGateway:
        name = f"nat-{zone}"
        address = aws.ec2.Eip(f"{self._name}-{name}", domain="vpc", tags=self._tags(name), opts=self._child)
        return aws.ec2.NatGateway(
            f"{self._name}-{name}",
            subnet_id=subnet,
            allocation_id=address.allocation_id,
            tags=self._tags(name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[internet]),
        )

    def _node_routes(
        self, zone: ZoneSubnets, nat: EksNat | None, gateway: aws.ec2.NatGateway | None
    ) -> aws.ec2.RouteTable:
        routes = self._route_table(f"nodes-{zone.zone}")
        if nat is not None and gateway is not None:
            for destination in nat.destinations:
                aws.ec2.Route(
                    f"{self._name}-nodes-{zone.zone}-{_slug(destination)}",
                    route_table_id=routes.id,
                    destination_cidr_block=str(destination),
                    nat_gateway_id=gateway.id,
                    opts=self._child,
                )
        return routes

    def _flow_logs(self, key: pulumi.Input[str]) -> None:
        settings = self._plan.settings
        account, group_name = account_of(settings), flow_log_group(self._cluster)
        group = aws.cloudwatch.LogGroup(
            f"{self._name}-flow-logs",
            name=group_name,
            retention_in_days=settings.network.flow_log_retention_days,
            kms_key_id=key,
            deletion_protection_enabled=self._plan.protect,
            opts=pulumi.ResourceOptions(
                parent=self, protect=self._plan.protect, retain_on_delete=self._plan.protect
            ),
        )
        role = aws.iam.Role(
            f"{self._name}-flow-logs",
            name=bounded_name(self._cluster, "flow-logs", limit=MAX_ROLE_NAME),
            description=f"Flow logs of cluster {self._cluster}",
            assume_role_policy=service_trust(
                "vpc-flow-logs.amazonaws.com", account.account_id, arn(account, "ec2", "vpc-flow-log/*")
            ),
            opts=self._child,
        )
        log_group = arn(account, "logs", f"log-group:{group_name}")
        policy = aws.iam.RolePolicy(
            f"{self._name}-flow-logs",
            name="write",
            role=role.name,
            policy=policy_document(
                Statement(
                    "WriteFlowLogs",
                    ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
                    (log_group, f"{log_group}:log-stream:*"),
                ),
                # Finding a group knows no single one.
                Statement(
                    "FindLogGroup", ("logs:DescribeLogGroups",), (arn(account, "logs", "log-group:*"),)
                ),
            ),
            opts=self._child,
        )
        aws.ec2.FlowLog(
            f"{self._name}-flow-logs",
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=FLOW_LOG_SECONDS,
            tags=self._tags("flow-logs"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _security_groups(self) -> None:
        # The cloud controller opens ports for load balancers on the group with this tag.
        owned = {f"kubernetes.io/cluster/{self._cluster}": "owned"}
        self.nodes_group = self._group("nodes", "Nodes and pods", **owned)
        self.control_plane_group = self._group("control-plane", "Kubernetes API")
        self.endpoints_group = self._group("endpoints", "Interface endpoints of AWS services")
        self.files_group = self._group("files", "Shared file system")

        # Between pods, NetworkPolicies decide; Elastic Fabric Adapters need their group open to itself.
        self._allow("nodes", "nodes", None)
        self._allow("control-plane", "nodes", UNPRIVILEGED_PORTS)
        self._allow("nodes", "control-plane", (HTTPS, HTTPS))
        self._allow("nodes", "endpoints", (HTTPS, HTTPS))
        self._allow("nodes", "files", (NFS, NFS))
        for cidr in self._plan.settings.api.private_cidrs:
            aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-control-plane-from-{_slug(cidr)}",
                security_group_id=self.control_plane_group,
                description=f"Kubernetes API from {cidr}",
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                cidr_ipv4=str(cidr),
                opts=self._child,
            )
        nat = self._plan.settings.network.nat
        for cidr in nat.destinations if nat else ():
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-nodes-to-{_slug(cidr)}",
                security_group_id=self.nodes_group,
                description=f"Internet by NAT: {cidr}",
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                cidr_ipv4=str(cidr),
                opts=self._child,
            )

    def _group(self, name: str, description: str, **tags: str) -> pulumi.Output[str]:
        group = aws.ec2.SecurityGroup(
            f"{self._name}-{name}",
            # Named by Pulumi: a group that must be replaced is then made before the old one goes.
            description=f"{description} of cluster {self._cluster}",
            vpc_id=self.vpc_id,
            revoke_rules_on_delete=True,
            tags=self._tags(name, **tags),
            opts=self._child,
        )
        return group.id

    def _allow(self, source: str, target: str, ports: tuple[int, int] | None) -> None:
        """Let one group reach another, in the rules of both."""
        groups = {
            "nodes": self.nodes_group,
            "control-plane": self.control_plane_group,
            "endpoints": self.endpoints_group,
            "files": self.files_group,
        }
        protocol, first, last = ("-1", None, None) if ports is None else ("tcp", *ports)
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{target}-from-{source}",
            security_group_id=groups[target],
            referenced_security_group_id=groups[source],
            description=f"From {source}",
            ip_protocol=protocol,
            from_port=first,
            to_port=last,
            opts=self._child,
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{source}-to-{target}",
            security_group_id=groups[source],
            referenced_security_group_id=groups[target],
            description=f"To {target}",
            ip_protocol=protocol,
            from_port=first,
            to_port=last,
            opts=self._child,
        )


def _slug(cidr: IPv4Network) -> str:
    return str(cidr).replace("/", "-").replace(".", "-")
