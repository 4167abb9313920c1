"""The cluster autoscaler: adds nodes for pods that fit nowhere, and removes those that nobody needs.

On EKS nothing else does: without it, pools stay at the size they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking, policy, rbac

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, cluster_dns, egress_rules, networks
from components.common.outputs import known_after
from components.common.pods import container_security_context, pod_security_context, requirements
from components.common.quantities import MIB, Resources
from components.eks.arns import account_of, arn
from components.eks.documents import Statement
from components.eks.identity import PodIdentitySpec
from components.eks.plan import EksPlan
from components.eks.settings import EksCluster

NAMESPACE: Final = "kube-system"
"""Only there may pods be critical to the cluster, and so stay when others have to go."""
NAME: Final = "cluster-autoscaler"
PORT: Final = 8085
"""Health and metrics."""
REPLICAS: Final = 2
"""One leads, one waits."""
RESOURCES: Final = Resources(cpu=100, memory=600 * MIB, ephemeral_storage=64 * MIB)
"""As the examples of kubernetes/autoscaler have it."""
TOKEN_SECONDS: Final = 3600
_API_CREDENTIALS: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_DISCOVERY: Final = "k8s.io/cluster-autoscaler"
_READ: Final = ["get", "list", "watch"]


def autoscaler_identity(settings: EksCluster) -> PodIdentitySpec:
    """What the autoscaler may do on AWS: look at everything, and resize the groups of this cluster."""
    account = account_of(settings)
    groups = arn(account, "autoscaling", "autoScalingGroup:*:autoScalingGroupName/eks-*")
    return PodIdentitySpec(
        name=NAME,
        namespace=NAMESPACE,
        service_account=NAME,
        statements=(
            Statement(
                "Look",
                # None of these knows resources (Service Authorization Reference).
                (
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeLaunchConfigurations",
                    "autoscaling:DescribeScalingActivities",
                    "autoscaling:DescribeTags",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeLaunchTemplateVersions",
                ),
                ("*",),
            ),
            Statement(
                "LookAtNodeGroups",
                ("eks:DescribeNodegroup",),
                (arn(account, "eks", f"nodegroup/{settings.name}/*/*"),),
            ),
            Statement(
                "ResizeGroupsOfThisCluster",
                ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"),
                (groups,),
                # EKS tags the groups that it makes.
                {"StringEquals": {f"aws:ResourceTag/{_DISCOVERY}/{settings.name}": "owned"}},
            ),
        ),
    )


@dataclass(frozen=True)
class ClusterAutoscalerArgs:
    """Inputs of a ClusterAutoscaler."""

    plan: EksPlan
    image: str
    """Cluster autoscaler of the cluster's minor version, by digest."""


class ClusterAutoscaler(pulumi.ComponentResource):
    """Two replicas that may read what the scheduler reads, taint nodes and evict pods, and nothing else."""

    def __init__(
        self, name: str, args: ClusterAutoscalerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:eks:ClusterAutoscaler", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = object_labels(NAME, NAME, component="autoscaler")
        self._selector = meta.v1.LabelSelectorArgs(match_labels=selector_labels(NAME, NAME))
        account = core.v1.ServiceAccount(
            f"{name}-account",
            metadata=self._metadata(),
            automount_service_account_token=False,
            opts=self._child,
        )
        bindings = self._permissions()
        self._network_policy()
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=self._metadata(),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=self._selector),
            opts=self._child,
        )
        apps.v1.Deployment(
            f"{name}-deployment",
            metadata=self._metadata(),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=REPLICAS,
                selector=self._selector,
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=self._labels,
                        annotations={"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
                    ),
                    spec=self._pod(known_after(NAME, account, *bindings)),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create="5m", update="5m", delete="5m")
            ),
        )
        self.register_outputs({})

    def _metadata(self) -> meta.v1.ObjectMetaArgs:
        return meta.v1.ObjectMetaArgs(name=NAME, namespace=NAMESPACE, labels=self._labels)

    def _permissions(self) -> list[pulumi.Resource]:
        """As in the examples of kubernetes/autoscaler, less what only other clouds and old versions need."""
        subject = rbac.v1.SubjectArgs(kind="ServiceAccount", name=NAME, namespace=NAMESPACE)
        rule = rbac.v1.PolicyRuleArgs
        cluster_wide = meta.v1.ObjectMetaArgs(name=NAME, labels=self._labels)
        rbac.v1.ClusterRole(
            f"{self._name}-cluster-role",
            metadata=cluster_wide,
            rules=[
                rule(
                    api_groups=[""],
                    resources=[
                        "namespaces",
                        "nodes",
                        "persistentvolumeclaims",
                        "persistentvolumes",
                        "pods",
                        "replicationcontrollers",
                        "services",
                    ],
                    verbs=_READ,
                ),
                rule(
                    api_groups=["apps"], resources=["daemonsets", "replicasets", "statefulsets"], verbs=_READ
                ),
                rule(api_groups=["batch"], resources=["cronjobs", "jobs"], verbs=_READ),
                rule(api_groups=["policy"], resources=["poddisruptionbudgets"], verbs=_READ),
                rule(
                    api_groups=["resource.k8s.io"],
                    resources=["deviceclasses", "resourceclaims", "resourceslices"],
                    verbs=_READ,
                ),
                rule(
                    api_groups=["storage.k8s.io"],
                    resources=[
                        "csidrivers",
                        "csinodes",
                        "csistoragecapacities",
                        "storageclasses",
                        "volumeattachments",
                    ],
                    verbs=_READ,
                ),
                # Nodes that are about to go are tainted.
                rule(api_groups=[""], resources=["nodes"], verbs=["update"]),
                rule(api_groups=[""], resources=["pods/eviction"], verbs=["create"]),
                rule(api_groups=[""], resources=["pods/status"], verbs=["update"]),
                rule(api_groups=[""], resources=["events"], verbs=["create", "patch"]),
            ],
            opts=self._child,
        )
        rbac.v1.Role(
            f"{self._name}-role",
            metadata=self._metadata(),
            rules=[
                rule(api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create"]),
                rule(
                    api_groups=["coordination.k8s.io"],
                    resources=["leases"],
                    resource_names=[NAME],
                    verbs=["get", "update"],
                ),
                rule(api_groups=[""], resources=["configmaps"], verbs=["create", "list", "watch"]),
                rule(
                    api_groups=[""],
                    resources=["configmaps"],
                    resource_names=[f"{NAME}-status"],
                    verbs=["delete", "get", "update"],
                ),
            ],
            opts=self._child,
        )
        api = "rbac.authorization.k8s.io"
        return [
            rbac.v1.ClusterRoleBinding(
                f"{self._name}-cluster-binding",
                metadata=cluster_wide,
                role_ref=rbac.v1.RoleRefArgs(api_group=api, kind="ClusterRole", name=NAME),
                subjects=[subject],
                opts=self._child,
            ),
            rbac.v1.RoleBinding(
                f"{self._name}-binding",
                metadata=self._metadata(),
                role_ref=rbac.v1.RoleRefArgs(api_group=api, kind="Role", name=NAME),
                subjects=[subject],
                opts=self._child,
            ),
        ]

    def _network_policy(self) -> None:
        """Out to the Kubernetes API, to the services of AWS, to credentials and DNS; nothing comes in."""
        plan = self._args.plan
        service = plan.settings.network.service_cidr
        api = [f"{service[1]}/32", *(str(zone.control_plane) for zone in plan.subnets)]
        destinations = [
            *((cidr, 443) for cidr in (*api, *plan.object_storage_cidrs)),
            *plan.identity_endpoints,
        ]
        networking.v1.NetworkPolicy(
            f"{self._name}-network",
            metadata=self._metadata(),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=self._selector,
                policy_types=["Ingress", "Egress"],
                egress=[
                    cluster_dns(),
                    *egress_rules([Flow(networks([cidr]), (port,)) for cidr, port in destinations]),
                ],
            ),
            opts=self._child,
        )

    def _pod(self, account: pulumi.Input[str]) -> core.v1.PodSpecArgs:
        settings = self._args.plan.settings
        health = core.v1.HTTPGetActionArgs(path="/health-check", port="http")
        return core.v1.PodSpecArgs(
            service_account_name=account,
            automount_service_account_token=False,
            enable_service_links=False,
            priority_class_name="system-cluster-critical",
            security_context=pod_security_context(),
            topology_spread_constraints=[
                core.v1.TopologySpreadConstraintArgs(
                    max_skew=1,
                    topology_key="topology.kubernetes.io/zone",
                    when_unsatisfiable="ScheduleAnyway",
                    label_selector=self._selector,
                )
            ],
            containers=[
                core.v1.ContainerArgs(
                    name=NAME,
                    image=self._args.image,
                    command=["./cluster-autoscaler"],
                    args=[
                        "--cloud-provider=aws",
                        f"--namespace={NAMESPACE}",
                        "--node-group-auto-discovery="
                        f"asg:tag={_DISCOVERY}/enabled,{_DISCOVERY}/{settings.name}",
                        "--balance-similar-node-groups",
                        "--expander=least-waste",
                        # Engines keep caches in emptyDirs, which may go with their node.
                        "--skip-nodes-with-local-storage=false",
                    ],
                    env=[core.v1.EnvVarArgs(name="AWS_REGION", value=settings.region)],
                    ports=[core.v1.ContainerPortArgs(name="http", container_port=PORT)],
                    liveness_probe=core.v1.ProbeArgs(
                        http_get=health, period_seconds=20, failure_threshold=6, timeout_seconds=5
                    ),
                    readiness_probe=core.v1.ProbeArgs(http_get=health, period_seconds=10, timeout_seconds=5),
                    resources=requirements(RESOURCES),
                    security_context=container_security_context(),
                    volume_mounts=[
                        core.v1.VolumeMountArgs(name="api", mount_path=_API_CREDENTIALS, read_only=True)
                    ],
                )
            ],
            volumes=[_api_credentials()],
        )


def _api_credentials() -> core.v1.VolumeArgs:
    """What every client looks for, with a token that expires and is renewed by the kubelet."""
    projection = core.v1.VolumeProjectionArgs
    return core.v1.VolumeArgs(
        name="api",
        projected=core.v1.ProjectedVolumeSourceArgs(
            sources=[
                projection(
                    service_account_token=core.v1.ServiceAccountTokenProjectionArgs(
                        path="token", expiration_seconds=TOKEN_SECONDS
                    )
                ),
                projection(
                    config_map=core.v1.ConfigMapProjectionArgs(
                        name="kube-root-ca.crt", items=[core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")]
                    )
                ),
                projection(
                    downward_api=core.v1.DownwardAPIProjectionArgs(
                        items=[
                            core.v1.DownwardAPIVolumeFileArgs(
                                path="namespace",
                                field_ref=core.v1.ObjectFieldSelectorArgs(field_path="metadata.namespace"),
                            )
                        ]
                    )
                ),
            ]
        ),
    )
