"""The GkeControlPlane component."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pulumi
from pulumi_gcp import container, logging, projects

from components.common.outputs import known_after
from components.gke.network import PODS_RANGE, SERVICES_RANGE
from components.gke.plan import GkePlan
from components.gke.settings import GkeMaintenance
from components.gke.workload_identity import workload_pool

CLOUD_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
"""What nodes may do is decided by their account's roles; scopes only take away from that."""
_FIRST_DAY: Final = "2026-01-01"
"""Any day before the first window."""
_RFC3339: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class GkeControlPlaneArgs:
    """Inputs of a GkeControlPlane."""

    plan: GkePlan
    network: pulumi.Input[str]
    subnetwork: pulumi.Input[str]
    secrets_key: pulumi.Input[str]
    """Key that encrypts Secrets in etcd."""
    disks_key: pulumi.Input[str]
    """Key of the boot disks."""
    service_account: pulumi.Input[str]
    """Address of the nodes' service account."""


class GkeControlPlane(pulumi.ComponentResource):
    """The private cluster without nodes, and who reads what happens in it."""

    name: pulumi.Output[str]
    """Name of the cluster; known in a preview."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig that asks `gke-gcloud-auth-plugin` for credentials: no secret is in it."""

    def __init__(
        self, name: str, args: GkeControlPlaneArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:gke:GkeControlPlane", name, None, opts)
        settings = args.plan.settings
        cluster = _cluster(name, args, self)
        if settings.audit_data_access:
            projects.IAMAuditConfig(
                f"{name}-audit",
                project=settings.project,
                service="container.googleapis.com",
                audit_log_configs=[
                    projects.IAMAuditConfigAuditLogConfigArgs(log_type=kind)
                    for kind in ("ADMIN_READ", "DATA_READ", "DATA_WRITE")
                ],
                # A forced destroy takes first what is not protected, and with it the record of itself.
                opts=pulumi.ResourceOptions(parent=self, protect=args.plan.protect),
            )
        if settings.log_retention_days is not None:
            # It is there in every project: the provider takes it over, and leaves it when it is destroyed.
            logging.ProjectBucketConfig(
                f"{name}-logs",
                project=settings.project,
                location="global",
                bucket_id="_Default",
                retention_days=settings.log_retention_days,
                opts=pulumi.ResourceOptions(parent=self, protect=args.plan.protect),
            )
        self.name = known_after(settings.name, cluster)
        self.kubeconfig = pulumi.Output.json_dumps(
            _kubeconfig(
                settings.name, cluster.endpoint, cluster.master_auth.apply(lambda a: a.cluster_ca_certificate)
            )
        )
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})


def _cluster(name: str, args: GkeControlPlaneArgs, parent: pulumi.Resource) -> container.Cluster:
    plan = args.plan
    settings = plan.settings
    return container.Cluster(
        name,
        name=settings.name,
        project=settings.project,
        location=settings.region,
        node_locations=list(settings.network.zones),
        description="Serves models",
        resource_labels=plan.labels,
        deletion_protection=plan.protect,
        # Version.
        min_master_version=settings.version,
        release_channel=container.ClusterReleaseChannelArgs(channel=settings.release_channel),
        maintenance_policy=container.ClusterMaintenancePolicyArgs(
            recurring_window=_maintenance_window(settings.maintenance)
        ),
        # Network.
        network=args.network,
        subnetwork=args.subnetwork,
        networking_mode="VPC_NATIVE",
        ip_allocation_policy=container.ClusterIpAllocationPolicyArgs(
            cluster_secondary_range_name=PODS_RANGE,
            services_secondary_range_name=SERVICES_RANGE,
            stack_type="IPV4",
        ),
        default_max_pods_per_node=settings.max_pods_per_node,
        datapath_provider="ADVANCED_DATAPATH",
        enable_intranode_visibility=True,
        in_transit_encryption_config=(
            "IN_TRANSIT_ENCRYPTION_INTER_NODE_TRANSPARENT"
            if settings.inter_node_encryption
            else "IN_TRANSIT_ENCRYPTION_DISABLED"
        ),
        # Internal load balancers then reach pods by endpoint groups, and keep the client's address.
        enable_l4_ilb_subsetting=True,
        dns_config=container.ClusterDnsConfigArgs(cluster_dns="KUBE_DNS"),
        gateway_api_config=container.ClusterGatewayApiConfigArgs(channel="CHANNEL_DISABLED"),
        service_external_ips_config=container.ClusterServiceExternalIpsConfigArgs(enabled=False),
        # Access to the Kubernetes API.
        private_cluster_config=container.ClusterPrivateClusterConfigArgs(
            enable_private_nodes=True,
            enable_private_endpoint=not settings.api.public_cidrs,
            master_ipv4_cidr_block=str(plan.addresses.control_plane),
            master_global_access_config=container.ClusterPrivateClusterConfigMasterGlobalAccessConfigArgs(
                enabled=settings.api.global_access
            ),
        ),
        master_authorized_networks_config=container.ClusterMasterAuthorizedNetworksConfigArgs(
            cidr_blocks=[
                container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs(
                    cidr_block=str(cidr), display_name=kind
                )
                for kind, cidrs in (
                    ("private", settings.api.private_cidrs),
                    ("public", settings.api.public_cidrs),
                )
                for cidr in cidrs
            ],
            # Else virtual machines of anybody in Google Cloud would be let in.
            gcp_public_cidrs_access_enabled=False,
        ),
        control_plane_endpoints_config=container.ClusterControlPlaneEndpointsConfigArgs(
            dns_endpoint_config=container.ClusterControlPlaneEndpointsConfigDnsEndpointConfigArgs(
                allow_external_traffic=False
            )
        ),
        master_auth=container.ClusterMasterAuthArgs(
            client_certificate_config=container.ClusterMasterAuthClientCertificateConfigArgs(
                issue_client_certificate=False
            )
        ),
        anonymous_authentication_config=container.ClusterAnonymousAuthenticationConfigArgs(mode="LIMITED"),
        authenticator_groups_config=(
            container.ClusterAuthenticatorGroupsConfigArgs(security_group=settings.security_group)
            if settings.security_group
            else None
        ),
        enable_legacy_abac=False,
        rbac_binding_config=container.ClusterRbacBindingConfigArgs(
            enable_insecure_binding_system_authenticated=False,
            enable_insecure_binding_system_unauthenticated=False,
        ),
        # Security of what runs.
        workload_identity_config=container.ClusterWorkloadIdentityConfigArgs(
            workload_pool=workload_pool(settings.project)
        ),
        database_encryption=container.ClusterDatabaseEncryptionArgs(
            state="ENCRYPTED", key_name=args.secrets_key
        ),
        enable_shielded_nodes=True,
        binary_authorization=container.ClusterBinaryAuthorizationArgs(
            evaluation_mode=settings.binary_authorization
        ),
        security_posture_config=container.ClusterSecurityPostureConfigArgs(mode=settings.security_posture),
        # Operation.
        logging_config=container.ClusterLoggingConfigArgs(enable_components=list(settings.logging)),
        monitoring_config=container.ClusterMonitoringConfigArgs(
            enable_components=list(settings.monitoring),
            managed_prometheus=container.ClusterMonitoringConfigManagedPrometheusArgs(enabled=True),
        ),
        cost_management_config=container.ClusterCostManagementConfigArgs(enabled=True),
        addons_config=_addons(),
        # Nodes: only those of the pools that are made for it.
        remove_default_node_pool=True,
        initial_node_count=1,
        node_config=_first_nodes(args),
        node_pool_defaults=container.ClusterNodePoolDefaultsArgs(
            node_config_defaults=container.ClusterNodePoolDefaultsNodeConfigDefaultsArgs(
                insecure_kubelet_readonly_port_enabled="FALSE"
            )
        ),
        opts=pulumi.ResourceOptions(
            parent=parent,
            protect=plan.protect,
            # The first two describe the pool that a cluster is born with, which is gone a moment later.
            # The third would replace the cluster, and every pool states its own number.
            ignore_changes=["initialNodeCount", "nodeConfig", "defaultMaxPodsPerNode"],
            custom_timeouts=pulumi.CustomTimeouts(create="60m", update="90m", delete="60m"),
        ),
    )


def _maintenance_window(
    maintenance: GkeMaintenance,
) -> container.ClusterMaintenancePolicyRecurringWindowArgs:
    start = datetime.fromisoformat(f"{_FIRST_DAY}T{maintenance.start}:00+00:00")
    end = start + timedelta(hours=maintenance.hours)
    return container.ClusterMaintenancePolicyRecurringWindowArgs(
        start_time=start.strftime(_RFC3339),
        end_time=end.strftime(_RFC3339),
        recurrence=f"FREQ=WEEKLY;BYDAY={','.join(maintenance.days)}",
    )


def _addons() -> container.ClusterAddonsConfigArgs:
    return container.ClusterAddonsConfigArgs(
        gce_persistent_disk_csi_driver_config=container.ClusterAddonsConfigGcePersistentDiskCsiDriverConfigArgs(
            enabled=True
        ),
        gcp_filestore_csi_driver_config=container.ClusterAddonsConfigGcpFilestoreCsiDriverConfigArgs(
            enabled=True
        ),
        horizontal_pod_autoscaling=container.ClusterAddonsConfigHorizontalPodAutoscalingArgs(disabled=False),
        # Makes the endpoint groups of internal load balancers, too.
        http_load_balancing=container.ClusterAddonsConfigHttpLoadBalancingArgs(disabled=False),
        # Its pods would answer DNS instead of kube-dns, which is what NetworkPolicies admit.
        dns_cache_config=container.ClusterAddonsConfigDnsCacheConfigArgs(enabled=False),
        # Dataplane V2 enforces NetworkPolicies itself; the add-on is Calico.
        network_policy_config=container.ClusterAddonsConfigNetworkPolicyConfigArgs(disabled=True),
    )


def _first_nodes(args: GkeControlPlaneArgs) -> container.ClusterNodeConfigArgs:
    """The nodes that a cluster is born with: as closed as the others for the minutes that they live."""
    return container.ClusterNodeConfigArgs(
        machine_type=args.plan.settings.system_pool.machine_type,
        image_type="COS_CONTAINERD",
        service_account=args.service_account,
        oauth_scopes=[CLOUD_SCOPE],
        boot_disk_kms_key=args.disks_key,
        tags=[args.plan.node_tag],
        metadata={"disable-legacy-endpoints": "true"},
        shielded_instance_config=container.ClusterNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=True, enable_integrity_monitoring=True
        ),
        workload_metadata_config=container.ClusterNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
    )


def _kubeconfig(
    name: str, endpoint: pulumi.Input[str], certificate: pulumi.Input[str | None]
) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": pulumi.Output.format("https://{0}", endpoint),
                    "certificate-authority-data": certificate,
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "users": [
            {
                "name": name,
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "gke-gcloud-auth-plugin",
                        "installHint": "https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl",
                        "provideClusterInfo": True,
                        "interactiveMode": "Never",
                    }
                },
            }
        ],
    }
