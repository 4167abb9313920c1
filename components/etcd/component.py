"""The EtcdCluster component."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, batch, core, meta, networking, policy

from components.common.labels import object_labels, selector_labels
from components.common.outputs import known_after
from components.common.pods import (
    annotation_volume,
    container_security_context,
    pod_security_context,
    scratch_volume,
)
from components.common.quantities import MIB, Resources, format_bytes
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
        return meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self._args.namespace,
            labels=dict(labels or self._labels),
            annotations=None if await_ready else {"pulumi.com/skipAwait": "true"},
        )

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
        members = _pods(self._selector)
        maintenance = _pods(selector_labels(_MAINTENANCE_WORKLOAD, plan.name))
        inside = [SERVICE_REGISTRY, *(c.name for c in plan.settings.clients if c.namespace is None)]
        clients = [_pods({CLIENT_LABEL: client}) for client in inside] + [
            networking.v1.NetworkPolicyPeerArgs(
                namespace_selector=meta.v1.LabelSelectorArgs(
                    match_labels={"kubernetes.io/metadata.name": client.namespace}
                ),
                pod_selector=meta.v1.LabelSelectorArgs(match_labels={CLIENT_LABEL: client.name}),
            )
            for client in plan.settings.clients
            if client.namespace is not None
        ]
        monitoring = networking.v1.NetworkPolicyPeerArgs(
            namespace_selector=meta.v1.LabelSelectorArgs(match_labels=dict(plan.settings.metrics_clients))
        )
        child = pulumi.ResourceOptions(parent=self)
        to_members = [networking.v1.NetworkPolicyEgressRuleArgs(to=[members], ports=[_port(CLIENT_PORT)])]
        return [
            networking.v1.NetworkPolicy(
                name,
                metadata=self._metadata(plan.name),
                spec=networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
                    policy_types=["Ingress", "Egress"],
                    ingress=[
                        networking.v1.NetworkPolicyIngressRuleArgs(
                            from_=[members], ports=[_port(PEER_PORT), _port(CLIENT_PORT)]
                        ),
                        networking.v1.NetworkPolicyIngressRuleArgs(
                            from_=[maintenance, *clients], ports=[_port(CLIENT_PORT)]
                        ),
                        networking.v1.NetworkPolicyIngressRuleArgs(
                            from_=[monitoring], ports=[_port(METRICS_PORT)]
                        ),
                    ],
                    egress=[
                        networking.v1.NetworkPolicyEgressRuleArgs(
                            to=[members], ports=[_port(PEER_PORT), _port(CLIENT_PORT)]
                        )
                    ],
                ),
                opts=child,
            ),
            networking.v1.NetworkPolicy(
                f"{name}-maintenance",
                metadata=self._metadata(f"{plan.name}-maintenance", self._maintenance_labels),
                spec=networking.v1.NetworkPolicySpecArgs(
                    pod_selector=meta.v1.LabelSelectorArgs(
                        match_labels=selector_labels(_MAINTENANCE_WORKLOAD, plan.name)
                    ),
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
                ports=[_service_port("client", CLIENT_PORT), _service_port("peer", PEER_PORT)],
            ),
            opts=child,
        )
        return core.v1.Service(
            name,
            metadata=self._metadata(plan.name, await_ready=False),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP", selector=self._selector, ports=[_service_port("client", CLIENT_PORT)]
            ),
            opts=child,
        )

    def _members(self, name: str, depends_on: Sequence[pulumi.Resource]) -> apps.v1.StatefulSet:
        plan = self._plan
        policy.v1.PodDisruptionBudget(
            name,
            metadata=self._metadata(plan.name),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                min_available=plan.quorum,
                # A broken member counts for nothing; it must not hold up the draining of its node.
                unhealthy_pod_eviction_policy="AlwaysAllow",
                selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
            ),
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
                            "prometheus.io/scrape": "true",
                            "prometheus.io/port": str(METRICS_PORT),
                            "prometheus.io/path": "/metrics",
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
                        spec=core.v1.PersistentVolumeClaimSpecArgs(
                            access_modes=["ReadWriteOnce"],
                            storage_class_name=plan.settings.storage.storage_class,
                            resources=core.v1.VolumeResourceRequirementsArgs(
                                requests={"storage": format_bytes(plan.settings.storage.size)}
                            ),
                        ),
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
        client_tls = core.v1.VolumeMountArgs(name="client-tls", mount_path=f"{TLS}/client", read_only=True)
        # The init container speaks to members as one of them: before there is a leader, etcd answers nobody
        # else.
        peer_tls = core.v1.VolumeMountArgs(name="peer-tls", mount_path=f"{TLS}/peer", read_only=True)
        data = core.v1.VolumeMountArgs(name="data", mount_path=DATA)
        bootstrap_mounts = [
            data,
            client_tls,
            peer_tls,
            core.v1.VolumeMountArgs(name="configuration", mount_path=TEMPLATE_MOUNT, read_only=True),
            core.v1.VolumeMountArgs(name="run", mount_path=RUN),
            core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
        ]
        volumes = [
            _secret_volume("server-tls", plan.certificates.server.name),
            _secret_volume("peer-tls", plan.certificates.peer.name),
            _secret_volume("client-tls", client_secret(plan.name, MAINTENANCE)),
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
            bootstrap_mounts.append(
                core.v1.VolumeMountArgs(name="snapshots", mount_path=SNAPSHOTS, read_only=True)
            )
            volumes.append(_claim_volume("snapshots", f"{plan.name}-{SNAPSHOT_CLAIM_SUFFIX}"))
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
                        core.v1.ContainerPortArgs(name="client", container_port=CLIENT_PORT, protocol="TCP"),
                        core.v1.ContainerPortArgs(name="peer", container_port=PEER_PORT, protocol="TCP"),
                        core.v1.ContainerPortArgs(
                            name="metrics", container_port=METRICS_PORT, protocol="TCP"
                        ),
                    ],
                    resources=_requirements(settings.resources),
                    security_context=container_security_context(),
                    # /livez says that this member works, /readyz that it also has a leader and knows of no
                    # corruption. /health would restart members that refuse writes because their database is
                    # full.
                    startup_probe=_probe("/livez", period=5, failures=_STARTUP_SECONDS // 5),
                    readiness_probe=_probe("/readyz", period=5, failures=3),
                    liveness_probe=_probe("/livez", period=10, failures=6),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        data,
                        client_tls,
                        core.v1.VolumeMountArgs(
                            name="server-tls", mount_path=f"{TLS}/server", read_only=True
                        ),
                        peer_tls,
                        core.v1.VolumeMountArgs(name="run", mount_path=RUN, read_only=True),
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
            spec=core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=[settings.snapshots.access_mode],
                storage_class_name=settings.snapshots.storage_class,
                resources=core.v1.VolumeResourceRequirementsArgs(
                    requests={"storage": format_bytes(settings.snapshots.size)}
                ),
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
            core.v1.VolumeMountArgs(name="client-tls", mount_path=f"{TLS}/client", read_only=True),
            core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
        ]
        volumes = [
            _secret_volume("client-tls", client_secret(plan.name, MAINTENANCE)),
            scratch_volume("tmp", 16 * MIB),
        ]
        if claim is not None:
            mounts.append(core.v1.VolumeMountArgs(name="snapshots", mount_path=SNAPSHOTS))
            volumes.append(_claim_volume("snapshots", claim))
        batch.v1.CronJob(
            name,
            metadata=self._metadata(object_name, self._maintenance_labels),
            spec=batch.v1.CronJobSpecArgs(
                schedule=schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline_seconds=600,
                successful_jobs_history_limit=KEPT_JOBS // 2,
                failed_jobs_history_limit=KEPT_JOBS // 2,
                job_template=batch.v1.JobTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=self._maintenance_labels),
                    spec=batch.v1.JobSpecArgs(
                        backoff_limit=2,
                        active_deadline_seconds=deadline,
                        template=core.v1.PodTemplateSpecArgs(
                            metadata=meta.v1.ObjectMetaArgs(labels=self._maintenance_labels),
                            spec=core.v1.PodSpecArgs(
                                restart_policy="Never",
                                service_account_name=self._args.service_account,
                                automount_service_account_token=False,
                                enable_service_links=False,
                                security_context=pod_security_context(),
                                containers=[
                                    core.v1.ContainerArgs(
                                        name="maintenance",
                                        image=plan.tools_image,
                                        image_pull_policy="IfNotPresent",
                                        command=["python3", "-m", "etcd_tools"],
                                        args=arguments,
                                        env=[tools_environment(plan)],
                                        resources=tools_requirements(plan),
                                        security_context=container_security_context(),
                                        termination_message_policy="FallbackToLogsOnError",
                                        volume_mounts=mounts,
                                    )
                                ],
                                volumes=volumes,
                            ),
                        ),
                    ),
                ),
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
    """Only CPU may be used beyond what is set aside: whoever is short of it waits, and is not killed."""
    requests = Resources(given.cpu, given.memory, given.ephemeral_storage)
    limits = Resources(given.cpu_limit or given.cpu, given.memory, given.ephemeral_storage)
    return core.v1.ResourceRequirementsArgs(requests=requests.amounts(), limits=limits.amounts())


def _pods(labels: dict[str, str]) -> networking.v1.NetworkPolicyPeerArgs:
    """Pods of the same namespace."""
    return networking.v1.NetworkPolicyPeerArgs(pod_selector=meta.v1.LabelSelectorArgs(match_labels=labels))


def _port(port: int) -> networking.v1.NetworkPolicyPortArgs:
    return networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP")


def _service_port(name: str, port: int) -> core.v1.ServicePortArgs:
    return core.v1.ServicePortArgs(name=name, port=port, target_port=name, protocol="TCP")


def _probe(path: str, *, period: int, failures: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port="metrics", scheme="HTTP"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
        success_threshold=1,
    )


def _secret_volume(name: str, secret: str) -> core.v1.VolumeArgs:
    return core.v1.VolumeArgs(
        name=name, secret=core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440)
    )


def _claim_volume(name: str, claim: pulumi.Input[str]) -> core.v1.VolumeArgs:
    return core.v1.VolumeArgs(
        name=name,
        persistent_volume_claim=core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim),
    )
