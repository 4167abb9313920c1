"""What stands around the pods of a workload: Service, disruption budget, Deployment, CronJob; Jobs' pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_kubernetes import apps, batch, core, meta, policy

from components.common.pods import container_security_context, pod_security_context

Labels = Mapping[str, str]
KEPT_REVISIONS: Final = 3
"""Former versions of a workload's pods that can be gone back to."""


def object_metadata(
    name: str, namespace: pulumi.Input[str], labels: Labels, *, await_ready: bool = True
) -> meta.v1.ObjectMetaArgs:
    """Metadata of an object in a namespace.

    :param await_ready: whether an update waits until the object is ready, where Pulumi knows what that is.
    """
    return meta.v1.ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels=dict(labels),
        annotations=None if await_ready else {"pulumi.com/skipAwait": "true"},
    )


def scrape_annotations(port: int) -> dict[str, pulumi.Input[str]]:
    """Of pods with metrics at `/metrics`, for a Prometheus that looks for them by annotation."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
    }


def disruption_budget(
    resource: str,
    metadata: meta.v1.ObjectMetaArgs,
    selector: Labels,
    *,
    min_available: int | None = None,
    opts: pulumi.ResourceOptions,
) -> policy.v1.PodDisruptionBudget:
    """Drains may take one pod at a time, or as many as leave `min_available`.

    A pod that serves nothing counts for nothing: it must not hold up the draining of its node.
    """
    return policy.v1.PodDisruptionBudget(
        resource,
        metadata=metadata,
        spec=policy.v1.PodDisruptionBudgetSpecArgs(
            min_available=min_available,
            max_unavailable=1 if min_available is None else None,
            unhealthy_pod_eviction_policy="AlwaysAllow",
            selector=meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
        ),
        opts=opts,
    )


def service_port(name: str, port: int) -> core.v1.ServicePortArgs:
    """A TCP port of a Service, to the container port of the same name."""
    return core.v1.ServicePortArgs(name=name, port=port, target_port=name, protocol="TCP")


def service_spec(
    selector: Labels, port_name: str, port: int, *, session_affinity: str | None = None
) -> core.v1.ServiceSpecArgs:
    """An address inside the cluster."""
    return core.v1.ServiceSpecArgs(
        type="ClusterIP",
        selector=dict(selector),
        ports=[service_port(port_name, port)],
        session_affinity=session_affinity,
    )


def deployment_spec(
    labels: Labels,
    selector: Labels,
    pod: core.v1.PodSpecArgs,
    *,
    replicas: int = 1,
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
    alone: bool = False,
) -> apps.v1.DeploymentSpecArgs:
    """Pods that an update replaces one by one, each after its successor is ready.

    :param annotations: of the pods.
    :param alone: the old pod goes before the new one comes, for what must never run twice.
    """
    one_by_one = apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
    return apps.v1.DeploymentSpecArgs(
        replicas=replicas,
        revision_history_limit=KEPT_REVISIONS,
        selector=meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
        strategy=apps.v1.DeploymentStrategyArgs(type="Recreate")
        if alone
        else apps.v1.DeploymentStrategyArgs(type="RollingUpdate", rolling_update=one_by_one),
        template=core.v1.PodTemplateSpecArgs(
            metadata=meta.v1.ObjectMetaArgs(
                labels=dict(labels), annotations=None if annotations is None else dict(annotations)
            ),
            spec=pod,
        ),
    )


def program_pod(
    name: str,
    image: pulumi.Input[str],
    module: str,
    arguments: Sequence[str],
    *,
    service_account: pulumi.Input[str],
    resources: core.v1.ResourceRequirementsArgs,
    mounts: Sequence[core.v1.VolumeMountArgs],
    volumes: Sequence[core.v1.VolumeArgs],
    environment: Sequence[core.v1.EnvVarArgs] = (),
) -> core.v1.PodSpecArgs:
    """Pod of a Job: one run of a Python module, whose last words say why it failed.

    :param name: of the container.
    """
    return core.v1.PodSpecArgs(
        restart_policy="Never",
        service_account_name=service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security_context(),
        containers=[
            core.v1.ContainerArgs(
                name=name,
                image=image,
                image_pull_policy="IfNotPresent",
                command=["python3", "-m", module],
                args=list(arguments),
                env=list(environment) or None,
                resources=resources,
                security_context=container_security_context(),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=list(mounts),
            )
        ],
        volumes=list(volumes),
    )


def cron_job_spec(
    labels: Labels,
    pod: core.v1.PodSpecArgs,
    *,
    schedule: str,
    latest_start_seconds: int,
    deadline_seconds: int,
    retries: int,
    kept: int,
    time_zone: str = "Etc/UTC",
) -> batch.v1.CronJobSpecArgs:
    """Jobs at fixed times, never two at once.

    :param latest_start_seconds: after its time; a run that could not start by then is left out.
    :param deadline_seconds: after which a run is ended, retries included.
    :param kept: ended Jobs that stay to be looked at, half of them for each outcome.
    """
    metadata = meta.v1.ObjectMetaArgs(labels=dict(labels))
    return batch.v1.CronJobSpecArgs(
        schedule=schedule,
        time_zone=time_zone,
        concurrency_policy="Forbid",
        starting_deadline_seconds=latest_start_seconds,
        successful_jobs_history_limit=kept // 2,
        failed_jobs_history_limit=kept // 2,
        job_template=batch.v1.JobTemplateSpecArgs(
            metadata=metadata,
            spec=batch.v1.JobSpecArgs(
                backoff_limit=retries,
                active_deadline_seconds=deadline_seconds,
                template=core.v1.PodTemplateSpecArgs(metadata=metadata, spec=pod),
            ),
        ),
    )
