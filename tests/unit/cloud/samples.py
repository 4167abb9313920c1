"""Small programs for both clouds: one good example of what the checks look at."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws
import pulumi_gcp as gcp
import pulumi_kubernetes as kubernetes


def aws_sample() -> dict[str, pulumi.Output[str]]:
    """A cluster with a GPU pool and a bucket."""
    provider = aws.Provider("aws", region="eu-central-1", allowed_account_ids=["111122223333"])
    opts = pulumi.ResourceOptions(provider=provider)
    key = aws.kms.Key(
        "key", enable_key_rotation=True, customer_master_key_spec="SYMMETRIC_DEFAULT", opts=opts
    )
    role = aws.iam.Role("node", assume_role_policy=json.dumps(trust("ec2.amazonaws.com")), opts=opts)
    aws.iam.RolePolicyAttachment(
        "node-worker",
        role=role.name,
        policy_arn="arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        opts=opts,
    )
    aws.iam.RolePolicy(
        "node-read",
        role=role.name,
        policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Read",
                        "Effect": "Allow",
                        "Action": ["s3:GetObject", "s3:ListBucket"],
                        "Resource": ["arn:aws:s3:::models", "arn:aws:s3:::models/*"],
                    }
                ],
            }
        ),
        opts=opts,
    )
    cluster = aws.eks.Cluster(
        "cluster",
        role_arn=role.arn,
        enabled_cluster_log_types=["api", "audit"],
        encryption_config=aws.eks.ClusterEncryptionConfigArgs(
            provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
        ),
        vpc_config=aws.eks.ClusterVpcConfigArgs(
            subnet_ids=["subnet-1", "subnet-2"], endpoint_private_access=True, endpoint_public_access=False
        ),
        opts=opts,
    )
    template = aws.ec2.LaunchTemplate(
        "template",
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_tokens="required", http_put_response_hop_limit=1
        ),
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name="/dev/xvda",
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_size=100, volume_type="gp3", encrypted="true"
                ),
            )
        ],
        opts=opts,
    )
    aws.eks.NodeGroup(
        "pool",
        cluster_name=cluster.name,
        node_role_arn=role.arn,
        subnet_ids=["subnet-1"],
        ami_type="AL2023_x86_64_NVIDIA",
        capacity_type="ON_DEMAND",
        instance_types=["p5.48xlarge"],
        scaling_config=aws.eks.NodeGroupScalingConfigArgs(min_size=0, max_size=2, desired_size=0),
        taints=[aws.eks.NodeGroupTaintArgs(key="nvidia.com/gpu", value="present", effect="NO_SCHEDULE")],
        launch_template=aws.eks.NodeGroupLaunchTemplateArgs(id=template.id, version=template.latest_version),
        labels={"accelerator": "h100"},
        opts=opts,
    )
    bucket = aws.s3.Bucket("models", bucket="models", tags={"purpose": "weights"}, opts=opts)
    aws.s3.BucketVersioning(
        "models-versioning",
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        opts=opts,
    )
    return {"cluster": cluster.name}


def trust(service: str) -> dict[str, object]:
    """A role's trust in a service of AWS."""
    principal = {"Service": service}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }


def gcp_sample() -> dict[str, pulumi.Output[str]]:
    """A cluster with a GPU pool and a bucket."""
    provider = gcp.Provider("gcp", project="example-project", region="europe-west4")
    opts = pulumi.ResourceOptions(provider=provider)
    cluster = gcp.container.Cluster(
        "cluster",
        location="europe-west4",
        datapath_provider="ADVANCED_DATAPATH",
        initial_node_count=1,
        release_channel=gcp.container.ClusterReleaseChannelArgs(channel="REGULAR"),
        private_cluster_config=gcp.container.ClusterPrivateClusterConfigArgs(
            enable_private_nodes=True, enable_private_endpoint=True
        ),
        opts=opts,
    )
    gcp.container.NodePool(
        "pool",
        cluster=cluster.name,
        location="europe-west4",
        autoscaling=gcp.container.NodePoolAutoscalingArgs(
            total_min_node_count=0, total_max_node_count=2, location_policy="ANY"
        ),
        node_config=gcp.container.NodePoolNodeConfigArgs(
            machine_type="g2-standard-8",
            guest_accelerators=[
                gcp.container.NodePoolNodeConfigGuestAcceleratorArgs(
                    type="nvidia-l4",
                    count=1,
                    gpu_driver_installation_config=(
                        gcp.container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(
                            gpu_driver_version="DEFAULT"
                        )
                    ),
                )
            ],
            taints=[
                gcp.container.NodePoolNodeConfigTaintArgs(
                    key="nvidia.com/gpu", value="present", effect="NO_SCHEDULE"
                )
            ],
            workload_metadata_config=gcp.container.NodePoolNodeConfigWorkloadMetadataConfigArgs(
                mode="GKE_METADATA"
            ),
        ),
        opts=opts,
    )
    gcp.storage.Bucket(
        "models",
        location="EUROPE-WEST4",
        public_access_prevention="enforced",
        uniform_bucket_level_access=True,
        versioning=gcp.storage.BucketVersioningArgs(enabled=True),
        opts=opts,
    )
    return {"cluster": cluster.name}


def kubernetes_sample() -> dict[str, pulumi.Output[str]]:
    """A Service behind a load balancer."""
    provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig", enable_server_side_apply=True)
    service = kubernetes.core.v1.Service(
        "entry",
        metadata=kubernetes.meta.v1.ObjectMetaArgs(name="entry", namespace="autoglm"),
        spec=kubernetes.core.v1.ServiceSpecArgs(
            type="LoadBalancer", ports=[kubernetes.core.v1.ServicePortArgs(port=443, target_port="http")]
        ),
        opts=pulumi.ResourceOptions(provider=provider),
    )
    return {"service": service.id}
