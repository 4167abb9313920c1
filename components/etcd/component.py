"""The EtcdCluster component."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, batch, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import (
    Flow,
    egress_rules,
    isolation,
    pods,
    pods_elsewhere,
    pods_in,
)
from components.common.outputs import known_after
from components.common.pods import (
    annotation_volume,
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    requirements,
    scratch_volume,
)
from components.common.quantities import MIB, Resources
from components.common.volumes import claim_spec, claim_volume, secret_volume
from components.common.workloads import (
    cron_job_spec,
    disruption_budget,
    object_metadata,
    program_pod,
    scrape_annotations,
    service_port,
    service_spec,
)
from components.etcd.cert_manager import certificate, issuer
from components.etcd.certificates import MAINTENANCE, SERVICE_REGISTRY, client_secret
from components.etcd.configuration import CLIENT_PORT, DATA, METRICS_PORT, PEER_PORT, TLS
from components.etcd.plan import KEPT_JOBS, SNAPSHOT_CLAIM_SUFFIX, EtcdPlan
from components.etcd.settings import EtcdMemberResources, EtcdToolResources

CLIENT_LABEL = "autoglm-platform/etcd-client"
"""Label by which a client's pods are let in; its value is the client's name."""
CONFIGURATION_ANNOTATION = "autoglm-platform/etcd-configuration"
TEMPLATE_MOUNT = "/etc/etcd/configuration"
TEMPLATE_FILE = "etcd.json"
RUN = "/run/etcd"
SNAPSHOTS = "/snapshots"
_WORKLOAD = "etcd"
_MAINTENANCE_WORKLOAD = "etcd-maintenance"
_TERMINATION_SECONDS = 30
_STARTUP_SECONDS = 600
"""A member that has fallen behind first receives the whole database from the leader."""
_SNAPSHOT_DEADLINE_SECONDS = 1800
_DEFRAGMENTATION_DEADLINE_SECONDS = 3600


@dataclass(frozen=True)
class EtcdClusterArgs:
    """Inputs of an EtcdCluster."""

    namespace: pulumi.Input[str]
    service_account: pulumi.Input[str]
    plan: EtcdPlan


class EtcdCluster(pulumi.ComponentResource):
    """etcd with mutual TLS: StatefulSet, Services, certificates, disruption budget, isolation, maintenance.

    The members' pods are replaced by nobody but who knows about quorums: the update strategy is OnDelete, and
    a rolling update by ordinal could take the quorum with it. A member whose volume is lost waits until it
    has been replaced (`etcd_tools replace`), a change of its configuration until its pod is restarted
    (`etcd_tools order`).
    """

    endpoint: pulumi.Output[str]
    """Address that clients use, with TLS."""

    def __init__(self, name: str, args: EtcdClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:etcd:EtcdCluster", name, None, opts)
        self._args = args
        self._plan = args.plan
        self._selector = selector_labels(_WORKLOAD, args.plan.name)
        self._labels = object_labels(_WORKLOAD, args.plan.name, component="database")
        self._maintenance_labels = object_labels(
            _MAINTENANCE_WORKLOAD, args.plan.name, component="maintenance"
        )

        certificates = self._certificates(name)
        policies = self._isolation(name)
        service = self._services(name)
        members = self._members(name, [*certificates, *policies])
        self._maintenance(name, [members])
        self.endpoint = known_after(args.plan.endpoint, service, members)
        self.register_outputs({"endpoint": self.endpoint})

    def _metadata(
        self, name: str, labels: Mapping[str, str] | None = None, *, await_ready: bool = True
    ) -> meta.v1.ObjectMetaArgs:
        return object_metadata(name, self._args.namespace, labels or self._labels, await_ready=await_ready)

    def _certificates(self, name: str) -> list[pulumi.Resource]:
        """The authorities, and what they sign; nothing where somebody else fills the Secrets."""
        plan, wanted = self._plan, self._plan.certificates
        if not wanted.issued:
            return []
        child = pulumi.ResourceOptions(parent=self)
        self_signed_name = f"{plan.name}-self-signed"
        self_signed = issuer(
            f"{name}-self-signed", self._metadata(self_signed_name), authority=None, opts=child
        )
        resources: list[pulumi.Resource] = [self_signed]
        for authority in wanted.authorities:
            root = certificate(
                f"{name}-{authority.name.removeprefix(f'{plan.name}-')}",
                self._metadata(authority.name),
                secret=authority.name,
                issuer_name=self_signed_name,
                common_name=authority.common_name,
                usages=("cert sign", "crl sign"),
                lifetime_hours=wanted.authority_lifetime_hours,
                renew_before_hours=max(wanted.authority_lifetime_hours // 3, 1),
                is_authority=True,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[self_signed]),
            )
            signer = issuer(
                f"{name}-{authority.name.removeprefix(f'{plan.name}-')}-issuer",
                self._metadata(authority.name),
                authority=authority.name,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[root]),
            )
            resources += [root, signer]
            resources += [
                certificate(
                    f"{name}-{leaf.name.removeprefix(f'{plan.name}-')}",
                    self._metadata(leaf.name),
                    secret=leaf.name,
                    issuer_name=leaf.authority,
                    common_name=leaf.common_name,
                    usages=leaf.usages,
                    dns_names=leaf.dns_names,
                    ip_addresses=leaf.ip_addresses,
                    lifetime_hours=wanted.lifetime_hours,
                    renew_before_hours=wanted.renew_before_hours,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[signer]),
                )
                for leaf in wanted.leaves
                if leaf.authority == authority.name
            ]
        return resources

    def _isolation(self, name: str) -> list[pulumi.Resource]:
        """Members reach members, named clients reach members, monitoring reads metrics; nothing else."""
        plan = self._plan
        members = pods(self._selector)
        maintenance = selector_labels(_MAINTENANCE_WORKLOAD, plan.name)
        inside = [SERVICE_REGISTRY, *(c.name for c in plan.settings.clients if c.namespace is None)]
        clients = [pods({CLIENT_LABEL: client}) for client in inside] + [
            pods_in(client.namespace, {CLIENT_LABEL: client.name})
            for client in plan.settings.clients
            if client.namespace is not None
        ]
        monitoring = pods_elsewhere(plan.settings.metrics_clients)
        each_other = Flow((members,), (PEER_PORT, CLIENT_PORT))
        to_members = egress_rules([Flow((members,), (CLIENT_PORT,))])
        child = pulumi.ResourceOptions(parent=self)
        return [
            networking.v1.NetworkPolicy(
                name,
                metadata=self._metadata(plan.name),
                spec=isolation(
                    self._selector,
                    ingress=[
                        each_other,
                        Flow((pods(maintenance), *clients), (CLIENT_PORT,)),
                        Flow((monitoring,), (METRICS_PORT,)),
                    ],
                    egress=[each_other],
                ),
                opts=child,
            ),
            networking.v1.NetworkPolicy(
                f"{name}-maintenance",
                metadata=self._metadata(f"{plan.name}-maintenance", self._maintenance_labels),
                spec=networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.v1.LabelSelectorArgs(match_labels=maintenance),
                    policy_types=["Ingress", "Egress"],
                    egress=to_members,
                ),
                opts=child,
            ),
            networking.v1.NetworkPolicy(
                f"{name}-clients",
                metadata=self._metadata(f"{plan.name}-clients"),
                spec=networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.v1.LabelSelectorArgs(
                        match_expressions=[
                            meta.v1.LabelSelectorRequirementArgs(
                                key=CLIENT_LABEL, operator="In", values=inside
                            )
                        ]
                    ),
                    policy_types=["Egress"],
                    egress=to_members,
                ),
                opts=child,
            ),
        ]

    def _services(self, name: str) -> core.v1.Service:
        plan = self._plan
        child = pulumi.ResourceOptions(parent=self)
        # Readiness is reported by the pods; waiting for endpoints would report a failure twice.
        core.v1.Service(
            f"{name}-peers",
            metadata=self._metadata(f"{plan.name}-peers", await_ready=False),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP",
                cluster_ip="None",
                # Members find each other before any of them is ready.
                publish_not_ready_addresses=True,
                selector=self._selector,
                ports=[service_port("client", CLIENT_PORT), service_port("peer", PEER_PORT)],
            ),
            opts=child,
        )
        return core.v1.Service(
            name,
            metadata=self._metadata(plan.name, await_ready=False),
            spec=service_spec(self._selector, "client", CLIENT_PORT),
            opts=child,
        )

    def _members(self, name: str, depends_on: Sequence[pulumi.Resource]) -> apps.v1.StatefulSet:
        plan = self._plan
        disruption_budget(
            name,
            self._metadata(plan.name),
            self._selector,
            min_available=plan.quorum,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return apps.v1.StatefulSet(
            name,
            metadata=self._metadata(plan.name),
            spec=apps.v1.StatefulSetSpecArgs(
                replicas=plan.settings.members,
                service_name=f"{plan.name}-peers",
                # Members need each other to become ready, so none may wait for another.
                pod_management_policy="Parallel",
                update_strategy=apps.v1.StatefulSetUpdateStrategyArgs(type="OnDelete"),
                revision_history_limit=3,
                persistent_volume_claim_retention_policy=apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                    when_deleted="Retain" if plan.protect else "Delete", when_scaled="Retain"
                ),
                selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=self._labels,
                        annotations={
                            **scrape_annotations(METRICS_PORT),
                            "kubectl.kubernetes.io/default-container": "etcd",
                            CONFIGURATION_ANNOTATION: json.dumps(
                                plan.configuration, sort_keys=True, separators=(",", ":")
                            ),
                        },
                    ),
                    spec=self._member_pod(),
                ),
                volume_claim_templates=[
                    core.v1.PersistentVolumeClaimArgs(
                        metadata=meta.v1.ObjectMetaArgs(name="data", labels=self._labels),
                        spec=claim_spec(plan.settings.storage.size, plan.settings.storage.storage_class),
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(depends_on),
                protect=plan.protect,
                custom_timeouts=pulumi.CustomTimeouts(create="10m", update="10m", delete="5m"),
            ),
        )

    def _member_pod(self) -> core.v1.PodSpecArgs:
        plan, settings = self._plan, self._plan.settings
        restore = settings.restore
        client_tls = mount("client-tls", f"{TLS}/client")
        # The init container speaks to members as one of them: before there is a leader, etcd answers nobody
        # else.
        peer_tls = mount("peer-tls", f"{TLS}/peer")
        data = core.v1.VolumeMountArgs(name="data", mount_path=DATA)
        bootstrap_mounts = [
            data,
            client_tls,
            peer_tls,
            mount("configuration", TEMPLATE_MOUNT),
            core.v1.VolumeMountArgs(name="run", mount_path=RUN),
            core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
        ]
        volumes = [
            secret_volume("server-tls", plan.certificates.server.name),
            secret_volume("peer-tls", plan.certificates.peer.name),
            secret_volume("client-tls", client_secret(plan.name, MAINTENANCE)),
            annotation_volume("configuration", CONFIGURATION_ANNOTATION, TEMPLATE_FILE),
            scratch_volume("run", MIB),
            scratch_volume("tmp", 16 * MIB),
        ]
        arguments = [
            "bootstrap",
            "--name=$(POD_NAME)",
            f"--template={TEMPLATE_MOUNT}/{TEMPLATE_FILE}",
            f"--output={RUN}/etcd.json",
        ]
        if restore is not None:
            # The sum by itself and at the end: the documented restore waits until it is there.
            arguments += ["--snapshot", f"{SNAPSHOTS}/{restore.snapshot}", "--sha256", restore.sha256]
            bootstrap_mounts.append(mount("snapshots", SNAPSHOTS))
            volumes.append(claim_volume("snapshots", f"{plan.name}-{SNAPSHOT_CLAIM_SUFFIX}"))
        return core.v1.PodSpecArgs(
            service_account_name=self._args.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            node_selector=dict(settings.node_selector) or None,
            affinity=core.v1.AffinityArgs(pod_anti_affinity=self._anti_affinity()),
            security_context=pod_security_context(),
            termination_grace_period_seconds=_TERMINATION_SECONDS,
            init_containers=[
                core.v1.ContainerArgs(
                    name="bootstrap",
                    image=plan.tools_image,
                    image_pull_policy="IfNotPresent",
                    command=["python3", "-m", "etcd_tools"],
                    args=arguments,
                    env=[
                        core.v1.EnvVarArgs(
                            name="POD_NAME",
                            value_from=core.v1.EnvVarSourceArgs(
                                field_ref=core.v1.ObjectFieldSelectorArgs(field_path="metadata.name")
                            ),
                        )
                    ],
                    resources=tools_requirements(plan),
                    security_context=container_security_context(),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=bootstrap_mounts,
                )
            ],
            containers=[
                core.v1.ContainerArgs(
                    name="etcd",
                    image=plan.member_image,
                    image_pull_policy="IfNotPresent",
                    command=["/usr/local/bin/etcd"],
                    args=[f"--config-file={RUN}/etcd.json"],
                    ports=[
                        container_port("client", CLIENT_PORT),
                        container_port("peer", PEER_PORT),
                        container_port("metrics", METRICS_PORT),
                    ],
                    resources=_requirements(settings.resources),
                    security_context=container_security_context(),
                    # /livez says that this member works, /readyz that it also has a leader and knows of no
                    # corruption. /health would restart members that refuse writes because their database is
                    # full.
                    startup_probe=http_probe(
                        "/livez", "metrics", period=5, timeout=5, failures=_STARTUP_SECONDS // 5
                    ),
                    readiness_probe=http_probe("/readyz", "metrics", period=5, timeout=5),
                    liveness_probe=http_probe("/livez", "metrics", period=10, timeout=5, failures=6),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        data,
                        client_tls,
                        mount("server-tls", f"{TLS}/server"),
                        peer_tls,
                        mount("run", RUN),
                    ],
                )
            ],
            volumes=volumes,
        )

    def _anti_affinity(self) -> core.v1.PodAntiAffinityArgs:
        term = core.v1.PodAffinityTermArgs(
            topology_key="kubernetes.io/hostname",
            label_selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
        )
        if self._plan.settings.anti_affinity == "required":
            return core.v1.PodAntiAffinityArgs(required_during_scheduling_ignored_during_execution=[term])
        return core.v1.PodAntiAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                core.v1.WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
            ]
        )

    def _maintenance(self, name: str, depends_on: Sequence[pulumi.Resource]) -> None:
        plan, settings = self._plan, self._plan.settings
        claim_name = f"{plan.name}-{SNAPSHOT_CLAIM_SUFFIX}"
        claim = core.v1.PersistentVolumeClaim(
            f"{name}-snapshots",
            # A class that binds on first use leaves the claim Pending until the first snapshot is taken.
            metadata=self._metadata(claim_name, self._maintenance_labels, await_ready=False),
            spec=claim_spec(
                settings.snapshots.size,
                settings.snapshots.storage_class,
                access_mode=settings.snapshots.access_mode,
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=plan.protect, retain_on_delete=plan.protect),
        )
        self._cron_job(
            f"{name}-snapshot",
            f"{plan.name}-snapshot",
            schedule=settings.snapshots.schedule,
            arguments=["snapshot", f"--directory={SNAPSHOTS}", f"--keep={settings.snapshots.keep}"],
            deadline=_SNAPSHOT_DEADLINE_SECONDS,
            claim=known_after(claim_name, claim),
            depends_on=depends_on,
        )
        self._cron_job(
            f"{name}-defragmentation",
            f"{plan.name}-defragmentation",
            schedule=settings.defragmentation.schedule,
            arguments=["defragment", f"--free-percent={settings.defragmentation.free_percent}"],
            deadline=_DEFRAGMENTATION_DEADLINE_SECONDS,
            claim=None,
            depends_on=depends_on,
        )

    def _cron_job(
        self,
        name: str,
        object_name: str,
        *,
        schedule: str,
        arguments: list[str],
        deadline: int,
        claim: pulumi.Input[str] | None,
        depends_on: Sequence[pulumi.Resource],
    ) -> None:
        plan = self._plan
        mounts = [
            mount("client-tls", f"{TLS}/client"),
            core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
        ]
        volumes = [
            secret_volume("client-tls", client_secret(plan.name, MAINTENANCE)),
            scratch_volume("tmp", 16 * MIB),
        ]
        if claim is not None:
            mounts.append(core.v1.VolumeMountArgs(name="snapshots", mount_path=SNAPSHOTS))
            volumes.append(claim_volume("snapshots", claim))
        pod = program_pod(
            "maintenance",
            plan.tools_image,
            "etcd_tools",
            arguments,
            service_account=self._args.service_account,
            resources=tools_requirements(plan),
            mounts=mounts,
            volumes=volumes,
            environment=[tools_environment(plan)],
        )
        batch.v1.CronJob(
            name,
            metadata=self._metadata(object_name, self._maintenance_labels),
            spec=cron_job_spec(
                self._maintenance_labels,
                pod,
                schedule=schedule,
                latest_start_seconds=600,
                deadline_seconds=deadline,
                retries=2,
                kept=KEPT_JOBS,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )


def tools_environment(plan: EtcdPlan) -> core.v1.EnvVarArgs:
    """Where the tools find the members; their certificate lies where they look for it."""
    return core.v1.EnvVarArgs(name="ETCD_ENDPOINTS", value=",".join(plan.member_endpoints))


def tools_requirements(plan: EtcdPlan) -> core.v1.ResourceRequirementsArgs:
    """Of each of the small programs."""
    return _requirements(plan.settings.tools)


def _requirements(given: EtcdMemberResources | EtcdToolResources) -> core.v1.ResourceRequirementsArgs:
    return requirements(Resources(given.cpu, given.memory, given.ephemeral_storage), given.cpu_limit)
