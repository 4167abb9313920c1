"""The TenantNamespace component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pulumi
from pulumi_kubernetes import core, meta, networking

from components.common.demand import Demand
from components.common.labels import object_labels
from components.common.network_policies import cluster_dns
from components.common.outputs import known_after
from components.common.quantities import Resources, format_bytes, format_millicores
from components.common.workloads import object_metadata

SERVICE_ACCOUNT = "workload"


@dataclass(frozen=True)
class Quota:
    """Upper bounds on everything that the tenant may ask for at once."""

    cpu: int
    """Thousandths of a CPU that are asked for."""
    cpu_limits: int
    """Thousandths of a CPU that may be used; more than `cpu` where limits exceed requests."""
    memory: int
    """Bytes, requests and limits alike."""
    ephemeral_storage: int
    """Bytes, requests and limits alike."""
    storage: int
    """Bytes of persistent volumes."""
    persistent_volume_claims: int
    pods: int
    jobs: int
    load_balancers: int = 0
    """Services of type LoadBalancer: entry to the cluster is the platform's business, not a tenant's."""
    node_ports: int = 0
    """Ports that such Services take on every node."""
    accelerators: Mapping[str, int] = field(default_factory=dict)
    """By extended resource name, 0 forbids; what is not named is not limited by the API server."""

    @classmethod
    def of(cls, demand: Demand) -> Quota:
        """What is demanded and nothing beside it."""
        return cls(
            cpu=demand.cpu,
            cpu_limits=demand.cpu_limits,
            memory=demand.memory,
            ephemeral_storage=demand.ephemeral_storage,
            storage=demand.storage,
            persistent_volume_claims=demand.claims,
            pods=demand.pods,
            jobs=demand.jobs,
        )

    def hard(self) -> dict[str, str]:
        """The `hard` section of a ResourceQuota."""
        return {
            "requests.cpu": format_millicores(self.cpu),
            "limits.cpu": format_millicores(self.cpu_limits),
            "requests.memory": format_bytes(self.memory),
            "limits.memory": format_bytes(self.memory),
            "requests.ephemeral-storage": format_bytes(self.ephemeral_storage),
            "limits.ephemeral-storage": format_bytes(self.ephemeral_storage),
            "requests.storage": format_bytes(self.storage),
            "persistentvolumeclaims": str(self.persistent_volume_claims),
            "pods": str(self.pods),
            "count/jobs.batch": str(self.jobs),
            "services.loadbalancers": str(self.load_balancers),
            "services.nodeports": str(self.node_ports),
            **{f"requests.{name}": str(count) for name, count in sorted(self.accelerators.items())},
        }


@dataclass(frozen=True)
class ContainerLimits:
    """Bounds of a single container, and what it gets if it asks for nothing."""

    default: Resources
    maximum: Resources


@dataclass(frozen=True)
class TenantNamespaceArgs:
    """Inputs of a TenantNamespace."""

    namespace: str
    pod_security_version: str
    """Kubernetes minor version whose `restricted` standard is enforced, e.g. `v1.36`: pinned, so that
    an upgrade of the cluster cannot change what is admitted."""
    quota: Quota
    container_limits: ContainerLimits
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the namespace, by which NetworkPolicies elsewhere know it."""
    enforce: Literal["restricted", "baseline", "privileged"] = "restricted"
    """Pod security standard; less than `restricted` only where nothing but agents of the nodes run. What
    `restricted` would refuse is warned of and audited all the same."""
    protect: bool = False
    """Refuse to delete the namespace, and with it all that it holds."""


class TenantNamespace(pulumi.ComponentResource):
    """Namespace with pod security, default-deny network, quota, limits and a service account.

    Nothing reaches its pods and its pods reach nothing but cluster DNS; each workload adds the NetworkPolicy
    that it needs. The service account has no token.
    """

    name: pulumi.Output[str]
    """Name of the namespace."""
    service_account: pulumi.Output[str]
    """Name of the service account that the tenant's pods run as."""

    def __init__(
        self, name: str, args: TenantNamespaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("autoglm:tenant_namespace:TenantNamespace", name, None, opts)
        labels = object_labels("tenant", args.namespace, component="namespace")
        child = pulumi.ResourceOptions(parent=self)

        namespace = core.v1.Namespace(
            name,
            metadata=meta.v1.ObjectMetaArgs(
                name=args.namespace,
                labels={**args.labels, **labels, **_pod_security(args.enforce, args.pod_security_version)},
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                custom_timeouts=pulumi.CustomTimeouts(create="1m", update="1m", delete="5m"),
            ),
        )
        self.name = known_after(args.namespace, namespace)

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, self.name, labels)

        networking.v1.NetworkPolicy(
            f"{name}-default-deny",
            metadata=metadata("default-deny"),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
            ),
            opts=child,
        )
        networking.v1.NetworkPolicy(
            f"{name}-allow-dns",
            metadata=metadata("allow-dns"),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(),
                policy_types=["Egress"],
                egress=[cluster_dns()],
            ),
            opts=child,
        )
        core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=metadata("tenant-quota"),
            spec=core.v1.ResourceQuotaSpecArgs(hard=args.quota.hard()),
            opts=child,
        )
        default = args.container_limits.default.amounts()
        core.v1.LimitRange(
            f"{name}-limits",
            metadata=metadata("tenant-limits"),
            spec=core.v1.LimitRangeSpecArgs(
                limits=[
                    core.v1.LimitRangeItemArgs(
                        type="Container",
                        default=default,
                        default_request=default,
                        max=args.container_limits.maximum.amounts(),
                    )
                ]
            ),
            opts=child,
        )
        service_account = core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=metadata(SERVICE_ACCOUNT),
            automount_service_account_token=False,
            opts=child,
        )
        self.service_account = known_after(SERVICE_ACCOUNT, service_account)
        self.register_outputs({"name": self.name, "serviceAccount": self.service_account})


def _pod_security(enforce: str, version: str) -> dict[str, str]:
    return {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode, standard in (("enforce", enforce), ("audit", "restricted"), ("warn", "restricted"))
        for suffix, value in (("", standard), ("-version", version))
    }
