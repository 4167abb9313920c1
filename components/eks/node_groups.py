"""Groups of nodes: launch template, placement group and managed node group of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from components.common.outputs import known_after
from components.common.quantities import GIB
from components.eks.bootstrap import user_data
from components.eks.pools import NodeGroupPlan
from components.eks.settings import EksCluster

ROOT_DEVICE: Final = "/dev/xvda"
"""Root device of the Amazon Linux 2023 images."""
HOP_LIMIT: Final = 1
"""Network hops that answers of the metadata service survive: none reaches a pod with a network of its own."""


@dataclass(frozen=True)
class NodeGroupArgs:
    """Inputs of a NodeGroup."""

    cluster: EksCluster
    cluster_name: pulumi.Input[str]
    """Name of the cluster, once it is there with what nodes need to join."""
    group: NodeGroupPlan
    role_arn: pulumi.Input[str]
    subnets: Mapping[str, pulumi.Input[str]]
    """Private subnets by zone."""
    security_group_id: pulumi.Input[str]
    volumes_key: pulumi.Input[str]
    """ARN of the key for the root volumes."""


class NodeGroup(pulumi.ComponentResource):
    """One managed node group. Its name is versioned: a changed one is there before the old one goes."""

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:eks:NodeGroup", name, None, opts)
        self._name, self._args, self._group = name, args, args.group
        settings, group = args.cluster, args.group
        template = self._launch_template()
        node_group = aws.eks.NodeGroup(
            name,
            cluster_name=args.cluster_name,
            node_group_name=group.name,
            node_role_arn=args.role_arn,
            subnet_ids=[args.subnets[zone] for zone in group.zones],
            ami_type=group.ami_type,
            version=settings.version,
            release_version=group.release_version,
            capacity_type=group.capacity_type,
            # Of a capacity block, the launch template names the type.
            instance_types=None if group.capacity_type == "CAPACITY_BLOCK" else [group.machine.name],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=group.min_nodes, max_size=group.max_nodes, desired_size=group.min_nodes
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(
                max_unavailable=1,
                # Reserved capacity has no room for a node more: the old one goes first.
                update_strategy="DEFAULT" if group.reservation_id is None else "MINIMAL",
            ),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=group.labels,
            taints=[
                aws.eks.NodeGroupTaintArgs(key=key, value=value or None, effect=effect)
                for key, value, effect in group.api_taints
            ]
            or None,
            tags=self._tags(),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The cluster autoscaler's.
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )
        if group.min_nodes == 0:
            self._autoscaler_tags(node_group)
        self.register_outputs({})

    def _tags(self) -> dict[str, str]:
        return {**self._args.cluster.tags, "Name": f"{self._args.cluster.name}-{self._group.name}"}

    def _launch_template(self) -> aws.ec2.LaunchTemplate:
        args, group = self._args, self._group
        security_groups = [args.security_group_id]
        return aws.ec2.LaunchTemplate(
            f"{self._name}-template",
            name=f"{args.cluster.name}-{group.name}",
            description=f"Nodes of pool {group.pool} of cluster {args.cluster.name}",
            user_data=user_data(group.bootstrap),
            update_default_version=True,
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                http_put_response_hop_limit=HOP_LIMIT,
                instance_metadata_tags="disabled",
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=group.disk // GIB,
                        encrypted="true",
                        kms_key_id=args.volumes_key,
                        delete_on_termination="true",
                    ),
                )
            ],
            vpc_security_group_ids=None if group.efa_interfaces else security_groups,
            network_interfaces=_efa_interfaces(group.efa_interfaces, security_groups) or None,
            placement=self._placement(),
            instance_type=group.machine.name if group.capacity_type == "CAPACITY_BLOCK" else None,
            instance_market_options=aws.ec2.LaunchTemplateInstanceMarketOptionsArgs(
                market_type="capacity-block"
            )
            if group.capacity_type == "CAPACITY_BLOCK"
            else None,
            capacity_reservation_specification=_reservation(group.reservation_id),
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=self._tags())
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _placement(self) -> aws.ec2.LaunchTemplatePlacementArgs | None:
        """Close to each other, in one zone: what Elastic Fabric Adapters are for."""
        if not self._group.placement_group:
            return None
        name = f"{self._args.cluster.name}-{self._group.name}"
        placement_group = aws.ec2.PlacementGroup(
            f"{self._name}-placement",
            name=name,
            strategy="cluster",
            tags=self._tags(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.ec2.LaunchTemplatePlacementArgs(group_name=known_after(name, placement_group))

    def _autoscaler_tags(self, node_group: aws.eks.NodeGroup) -> None:
        """From no nodes, the cluster autoscaler cannot read what one would offer: it takes it from these."""
        scaling_group = node_group.resources[0].autoscaling_groups[0].name
        for key, value in self._group.autoscaler_tags.items():
            aws.autoscaling.Tag(
                f"{self._name}-{key.removeprefix('k8s.io/cluster-autoscaler/node-template/')}",
                autoscaling_group_name=scaling_group,
                # Nodes get their labels and taints from EKS.
                tag=aws.autoscaling.TagTagArgs(key=key, value=value, propagate_at_launch=False),
                opts=pulumi.ResourceOptions(parent=self),
            )


def _efa_interfaces(
    count: int, security_groups: Sequence[pulumi.Input[str]]
) -> list[aws.ec2.LaunchTemplateNetworkInterfaceArgs]:
    """One interface on each network card; only the first has addresses (EC2: EFA-only interfaces)."""
    return [
        aws.ec2.LaunchTemplateNetworkInterfaceArgs(
            description=f"EFA {card}",
            network_card_index=card,
            device_index=0 if card == 0 else 1,
            interface_type="efa" if card == 0 else "efa-only",
            associate_public_ip_address="false",
            delete_on_termination="true",
            security_groups=security_groups,
        )
        for card in range(count)
    ]


def _reservation(
    reservation_id: str | None,
) -> aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs | None:
    if reservation_id is None:
        return None
    target = aws.ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
        capacity_reservation_id=reservation_id
    )
    return aws.ec2.LaunchTemplateCapacityReservationSpecificationArgs(capacity_reservation_target=target)
