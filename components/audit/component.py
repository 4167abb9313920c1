"""The AuditTrail component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, batch, core, meta, networking

from components.audit.plan import (
    KEPT_JOBS,
    METRICS_PORT,
    NAME,
    PUBLISHER,
    RECORDS_PORT,
    AuditPlan,
    Sender,
    receiver_host,
)
from components.audit.settings import CONTROL_PLANE, SecretKey
from components.common.labels import object_labels, selector_labels
from components.common.names import AGENTS_NAMESPACE
from components.common.network_policies import Flow, isolation, networks, pods_elsewhere, pods_in
from components.common.outputs import known_after
from components.common.pods import (
    NON_ROOT_ID,
    container_port,
    container_security_context,
    http_probe,
    mount,
    pod_security_context,
    requirements,
    scratch_volume,
    toleration,
)
from components.common.quantities import MIB, Resources
from components.common.volumes import claim_spec, claim_volume, folder_volume, secret_volume
from components.common.workloads import cron_job_spec, object_metadata, scrape_annotations, service_port
from components.logging.certificates import certificate
from components.monitoring.objects import PodMonitorSpec, pod_monitor

TRAIL: Final = "/var/lib/audit-trail"
SIGNING: Final = "/etc/audit-trail/signing"
PUBLIC_KEYS: Final = "/etc/audit-trail/public-keys"
TLS: Final = "/etc/audit-trail/tls"
SERVER_SECRET: Final = "audit-collector-tls"
"""What a receiver shows to whoever sends records."""
_JOBS: Final = "audit-jobs"
_CLAIM: Final = "trail"
SEAL_SCHEDULE: Final = "30 1,9,17 * * *"
"""UTC. A day is over at midnight, and its last records an hour later; once would do, more is patience."""
VERIFY_SCHEDULE: Final = "45 6,18 * * *"
"""UTC. From then on `verify` asks for yesterday's seal."""
PUBLISH_SCHEDULE: Final = "15 3,11,19 * * *"
_SAMPLES: Final = 1000
"""Samples of a page at which it is dropped; there are about fifty."""
_Mounted = tuple[core.v1.VolumeArgs, core.v1.VolumeMountArgs]
"""A volume, and where it is."""
_LATE_SECONDS: Final = 6 * 3600
_DEADLINE_SECONDS: Final = 3600


@dataclass(frozen=True)
class AuditTrailArgs:
    """Inputs of an AuditTrail."""

    namespace: pulumi.Input[str]
    """Namespace that admits pods which read files of their nodes."""
    service_account: pulumi.Input[str]
    """Without a token: nothing here talks to the API server."""
    image: pulumi.Input[str]
    """Image `audit`, by digest."""
    plan: AuditPlan


class AuditTrail(pulumi.ComponentResource):
    """Collectors, and Jobs that seal, verify and publish what they write.

    Who collects has no key, who seals reads no log, who verifies has public keys only, and who publishes can
    add objects to a bucket and nothing else. On nodes that have logs, the collector reads files of root, so
    it is root, without any capability, on a read-only root, with the nodes' folders mounted read-only. Where
    records are sent, it is one receiver, not root, and Logstash alone has a way and a certificate to it.
    """

    trails: pulumi.Output[list[str]]
    """Names of the trails, for dependents only once their collectors run."""

    def __init__(self, name: str, args: AuditTrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:audit:AuditTrail", name, None, opts)
        self._args, self._plan = args, args.plan
        self._selector = selector_labels(NAME, "audit")
        self._labels = object_labels(NAME, "audit", component="audit")
        self._job_labels = object_labels(_JOBS, "audit", component="audit")
        policies = self._isolation(name)
        keys = self._public_keys(name)
        self._publishers = self._publisher_account(name)
        if self._plan.sender is not None:
            policies.append(self._certificate(name, self._plan.sender))
        collector = self._collector(name, policies)
        self._jobs(name, [collector, *keys])
        if self._plan.scrape_interval is not None:
            self._monitor(name, self._plan.scrape_interval)
        self.trails = known_after(list(self._plan.trails), collector)
        self.register_outputs({"trails": self.trails})

    def _metadata(
        self, name: str, labels: Mapping[str, str] | None = None, *, await_ready: bool = True
    ) -> meta.v1.ObjectMetaArgs:
        return object_metadata(name, self._args.namespace, labels or self._labels, await_ready=await_ready)

    def _isolation(self, name: str) -> list[pulumi.Resource]:
        """Monitoring reads the collectors' figures, Logstash sends to a receiver, the publisher reaches its
        bucket; nothing else."""
        settings, child = self._plan.settings, pulumi.ResourceOptions(parent=self)
        reached_by = [Flow((pods_elsewhere(settings.metrics_clients),), (METRICS_PORT,))]
        if (sender := self._plan.sender) is not None:
            reached_by.append(Flow((pods_in(sender.namespace, sender.pod_labels),), (RECORDS_PORT,)))
        made: list[pulumi.Resource] = [
            networking.v1.NetworkPolicy(
                name,
                metadata=self._metadata(NAME),
                spec=isolation(self._selector, ingress=reached_by),
                opts=child,
            ),
            networking.v1.NetworkPolicy(
                f"{name}-jobs",
                metadata=self._metadata(_JOBS, self._job_labels),
                spec=isolation(selector_labels(_JOBS, "audit")),
                opts=child,
            ),
        ]
        if settings.publish is not None:
            reached = [Flow(networks([str(cidr) for cidr in settings.publish.egress_cidrs]), (443,))]
            reached += [Flow(networks([network]), (port,)) for network, port in self._plan.identity_endpoints]
            made.append(
                networking.v1.NetworkPolicy(
                    f"{name}-publisher",
                    metadata=self._metadata(PUBLISHER, self._publisher_labels),
                    spec=isolation(selector_labels(PUBLISHER, "audit"), egress=reached),
                    opts=child,
                )
            )
        return made

    @property
    def _publisher_labels(self) -> dict[str, str]:
        return object_labels(PUBLISHER, "audit", component="audit")

    def _publisher_account(self, name: str) -> pulumi.Input[str]:
        """Service account of publishers: one of their own where the cloud knows them by it."""
        if not self._plan.own_identity:
            return self._args.service_account
        account = core.v1.ServiceAccount(
            f"{name}-publisher",
            metadata=self._metadata(PUBLISHER, self._publisher_labels),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return known_after(PUBLISHER, account)

    def _monitor(self, name: str, interval: int) -> None:
        pod_monitor(
            name,
            self._metadata(NAME),
            PodMonitorSpec(
                name=NAME,
                match_labels=self._selector,
                port="metrics",
                interval=interval,
                sample_limit=_SAMPLES,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _certificate(self, name: str, sender: Sender) -> pulumi.Resource:
        host = receiver_host(AGENTS_NAMESPACE)
        return certificate(
            f"{name}-receiver",
            self._metadata(SERVER_SECRET),
            secret=SERVER_SECRET,
            cluster_issuer=sender.cluster_issuer,
            common_name=NAME,
            usage="server auth",
            dns_names=(host, f"{host}.cluster.local"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _public_keys(self, name: str) -> list[pulumi.Resource]:
        signing = self._plan.settings.signing
        if not isinstance(signing, SecretKey):
            return []
        data = {f"{index:04d}.pem": pem for index, pem in enumerate(signing.public_keys)}
        return [
            core.v1.ConfigMap(
                f"{name}-public-keys",
                metadata=self._metadata("audit-public-keys", self._job_labels),
                data=data,
                opts=pulumi.ResourceOptions(parent=self),
            )
        ]

    def _collector(self, name: str, depends_on: Sequence[pulumi.Resource]) -> apps.v1.StatefulSet:
        plan, settings = self._plan, self._plan.settings
        ports = [service_port("metrics", METRICS_PORT)]
        if plan.sender is not None:
            ports.append(service_port("records", RECORDS_PORT))
        service = core.v1.Service(
            name,
            metadata=self._metadata(NAME, await_ready=False),
            spec=core.v1.ServiceSpecArgs(
                type="ClusterIP",
                # Who sends records has one address for them, whichever the pod's is.
                cluster_ip="None" if plan.sender is None else None,
                selector=self._selector,
                ports=ports,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return apps.v1.StatefulSet(
            name,
            metadata=self._metadata(NAME),
            spec=apps.v1.StatefulSetSpecArgs(
                replicas=settings.collectors,
                service_name=NAME,
                # Each reads the logs of its own node, and none needs another.
                pod_management_policy="Parallel",
                revision_history_limit=3,
                persistent_volume_claim_retention_policy=apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                    when_deleted="Retain" if plan.protect else "Delete", when_scaled="Retain"
                ),
                selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels=self._labels,
                        annotations=scrape_annotations(METRICS_PORT),
                    ),
                    spec=self._collector_pod() if plan.sender is None else self._receiver_pod(plan.sender),
                ),
                volume_claim_templates=[
                    core.v1.PersistentVolumeClaimArgs(
                        metadata=meta.v1.ObjectMetaArgs(name=_CLAIM, labels=self._labels),
                        spec=claim_spec(settings.storage.size, settings.storage.storage_class),
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*depends_on, service],
                protect=plan.protect,
                custom_timeouts=pulumi.CustomTimeouts(create="5m", update="10m", delete="5m"),
            ),
        )

    def _collector_pod(self) -> core.v1.PodSpecArgs:
        plan, settings = self._plan, self._plan.settings
        folders = {"pod-logs": settings.pod_logs}
        if settings.api_server_log is not None:
            folders["api-server-log"] = settings.api_server_log
        return core.v1.PodSpecArgs(
            service_account_name=self._args.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            node_selector=dict(settings.selector) or None,
            tolerations=[
                core.v1.TolerationArgs(key=CONTROL_PLANE, operator="Exists", effect="NoSchedule"),
                *(toleration(taint.shape()) for taint in settings.tolerations),
            ],
            affinity=core.v1.AffinityArgs(
                pod_anti_affinity=core.v1.PodAntiAffinityArgs(
                    required_during_scheduling_ignored_during_execution=[
                        core.v1.PodAffinityTermArgs(
                            topology_key="kubernetes.io/hostname",
                            label_selector=meta.v1.LabelSelectorArgs(match_labels=self._selector),
                        )
                    ]
                )
            ),
            security_context=core.v1.PodSecurityContextArgs(
                fs_group=NON_ROOT_ID,
                fs_group_change_policy="OnRootMismatch",
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            termination_grace_period_seconds=30,
            containers=[
                self._container(
                    [
                        "collect",
                        f"--store={TRAIL}",
                        f"--port={METRICS_PORT}",
                        f"--thresholds={plan.thresholds}",
                        *plan.inputs,
                    ],
                    [mount(volume, path) for volume, path in folders.items()],
                    _reader(),
                )
            ],
            volumes=[folder_volume(volume, path) for volume, path in folders.items()],
        )

    def _receiver_pod(self, sender: Sender) -> core.v1.PodSpecArgs:
        plan, settings = self._plan, self._plan.settings
        return core.v1.PodSpecArgs(
            service_account_name=self._args.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            node_selector=dict(settings.selector) or None,
            tolerations=[toleration(taint.shape()) for taint in settings.tolerations],
            security_context=pod_security_context(),
            termination_grace_period_seconds=30,
            containers=[
                self._container(
                    [
                        "receive",
                        f"--store={TRAIL}",
                        f"--listen={RECORDS_PORT}",
                        f"--tls={TLS}",
                        f"--client={sender.name}",
                        f"--port={METRICS_PORT}",
                        f"--thresholds={plan.thresholds}",
                    ],
                    [mount("tls", TLS)],
                    container_security_context(),
                    [container_port("records", RECORDS_PORT)],
                )
            ],
            volumes=[secret_volume("tls", SERVER_SECRET, ["tls.crt", "tls.key", "ca.crt"])],
        )

    def _container(
        self,
        arguments: Sequence[str],
        mounts: Sequence[core.v1.VolumeMountArgs],
        security: core.v1.SecurityContextArgs,
        ports: Sequence[core.v1.ContainerPortArgs] = (),
    ) -> core.v1.ContainerArgs:
        """What writes a trail, wherever its records come from."""
        return core.v1.ContainerArgs(
            name="collector",
            image=self._args.image,
            image_pull_policy="IfNotPresent",
            command=["python3", "-m", "audit_trail"],
            args=[
                *arguments,
                *(["--print"] if self._plan.print_records else []),
            ],
            env=[_node_name()],
            ports=[container_port("metrics", METRICS_PORT), *ports],
            resources=_requirements(self._plan),
            security_context=security,
            startup_probe=http_probe("/healthz", "metrics", period=5, failures=60),
            readiness_probe=http_probe("/healthz", "metrics", period=10),
            liveness_probe=http_probe("/healthz", "metrics", period=30, failures=6),
            termination_message_policy="FallbackToLogsOnError",
            volume_mounts=[core.v1.VolumeMountArgs(name=_CLAIM, mount_path=TRAIL), *mounts],
        )

    def _jobs(self, name: str, depends_on: Sequence[pulumi.Resource]) -> None:
        for trail in self._plan.trails:
            suffix = trail.removeprefix(f"{NAME}-")
            self._seal(f"{name}-seal-{suffix}", f"audit-seal-{suffix}", trail, depends_on)
            self._verify(f"{name}-verify-{suffix}", f"audit-verify-{suffix}", trail, depends_on)
            if self._plan.settings.publish is not None:
                self._publish(f"{name}-publish-{suffix}", f"audit-publish-{suffix}", trail, depends_on)

    def _seal(self, name: str, job: str, trail: str, depends_on: Sequence[pulumi.Resource]) -> None:
        settings = self._plan.settings
        arguments = ["seal", f"--trail={trail}", f"--retention-days={settings.retention_days}"]
        volumes: list[_Mounted] = []
        if isinstance(settings.signing, SecretKey):
            arguments.append(f"--key={SIGNING}/private.pem")
            secret = secret_volume("signing", settings.signing.secret_name, ["private.pem"])
            volumes.append((secret, mount("signing", SIGNING)))
        else:
            arguments += [f"--key={TRAIL}/keys/private.pem", f"--make-key={TRAIL}/keys/public/0000.pem"]
        self._cron_job(name, job, trail, SEAL_SCHEDULE, arguments, volumes, depends_on)

    def _verify(self, name: str, job: str, trail: str, depends_on: Sequence[pulumi.Resource]) -> None:
        settings = self._plan.settings
        arguments = [
            "verify",
            f"--trail={trail}",
            f"--retention-days={settings.retention_days}",
            "--metrics",
        ]
        volumes: list[_Mounted] = []
        if isinstance(settings.signing, SecretKey):
            arguments.append(f"--public-key={PUBLIC_KEYS}")
            keys = core.v1.ConfigMapVolumeSourceArgs(name="audit-public-keys")
            volume = core.v1.VolumeArgs(name="public-keys", config_map=keys)
            volumes.append((volume, mount("public-keys", PUBLIC_KEYS)))
        else:
            arguments.append(f"--public-key={TRAIL}/keys/public")
        self._cron_job(name, job, trail, VERIFY_SCHEDULE, arguments, volumes, depends_on)

    def _publish(self, name: str, job: str, trail: str, depends_on: Sequence[pulumi.Resource]) -> None:
        target = self._plan.settings.publish
        assert target is not None
        arguments = ["publish", f"--trail={trail}", f"--to={target.uri}"]
        arguments += [f"--region={target.region}"] if target.region else []
        arguments += [f"--endpoint={target.endpoint}"] if target.endpoint else []
        self._cron_job(
            name,
            job,
            trail,
            PUBLISH_SCHEDULE,
            arguments,
            [],
            depends_on,
            labels=self._publisher_labels,
            service_account=self._publishers,
            credentials=target.credentials_secret,
        )

    def _cron_job(
        self,
        name: str,
        job: str,
        trail: str,
        schedule: str,
        arguments: Sequence[str],
        volumes: Sequence[_Mounted],
        depends_on: Sequence[pulumi.Resource],
        *,
        labels: Mapping[str, str] | None = None,
        service_account: pulumi.Input[str] | None = None,
        credentials: str | None = None,
    ) -> None:
        plan, labels = self._plan, dict(labels or self._job_labels)
        command, *rest = arguments
        pod = core.v1.PodSpecArgs(
            restart_policy="Never",
            service_account_name=service_account or self._args.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security_context(),
            tolerations=[core.v1.TolerationArgs(key=CONTROL_PLANE, operator="Exists", effect="NoSchedule")]
            + [toleration(taint.shape()) for taint in plan.settings.tolerations],
            # A volume that one node can mount is on the node of its collector.
            affinity=core.v1.AffinityArgs(
                pod_affinity=core.v1.PodAffinityArgs(
                    required_during_scheduling_ignored_during_execution=[
                        core.v1.PodAffinityTermArgs(
                            topology_key="kubernetes.io/hostname",
                            label_selector=meta.v1.LabelSelectorArgs(
                                match_labels={"statefulset.kubernetes.io/pod-name": trail}
                            ),
                        )
                    ]
                )
            ),
            containers=[
                core.v1.ContainerArgs(
                    name=command,
                    image=self._args.image,
                    image_pull_policy="IfNotPresent",
                    command=["python3", "-m", "audit_trail"],
                    args=[command, f"--store={TRAIL}", *rest],
                    env_from=[
                        core.v1.EnvFromSourceArgs(secret_ref=core.v1.SecretEnvSourceArgs(name=credentials))
                    ]
                    if credentials
                    else None,
                    resources=_requirements(plan),
                    security_context=container_security_context(),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        core.v1.VolumeMountArgs(name=_CLAIM, mount_path=TRAIL),
                        core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                        *(mounted for _, mounted in volumes),
                    ],
                )
            ],
            volumes=[
                claim_volume(_CLAIM, f"{_CLAIM}-{trail}"),
                scratch_volume("tmp", 16 * MIB),
                *(volume for volume, _ in volumes),
            ],
        )
        batch.v1.CronJob(
            name,
            metadata=self._metadata(job, labels),
            spec=cron_job_spec(
                labels,
                pod,
                schedule=schedule,
                latest_start_seconds=_LATE_SECONDS,
                deadline_seconds=_DEADLINE_SECONDS,
                retries=1,
                kept=KEPT_JOBS,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )


def _node_name() -> core.v1.EnvVarArgs:
    return core.v1.EnvVarArgs(
        name="NODE_NAME",
        value_from=core.v1.EnvVarSourceArgs(
            field_ref=core.v1.ObjectFieldSelectorArgs(field_path="spec.nodeName")
        ),
    )


def _reader() -> core.v1.SecurityContextArgs:
    """Root that owns the logs and can do nothing else; its files belong to the group of the Jobs."""
    return core.v1.SecurityContextArgs(
        run_as_user=0,
        run_as_group=NON_ROOT_ID,
        run_as_non_root=False,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def _requirements(plan: AuditPlan) -> core.v1.ResourceRequirementsArgs:
    """Only CPU may be used beyond what is set aside: whoever is short of it waits, and is not killed."""
    given = plan.settings.resources
    requests = Resources(given.cpu, given.memory, given.ephemeral_storage)
    return requirements(requests, given.cpu_limit)
