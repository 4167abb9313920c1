"""The ModelStore component."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes import batch, core, meta, networking

from components.accelerators.shapes import Taint
from components.common.labels import object_labels, selector_labels
from components.common.names import MAX_NAME, bounded_name
from components.common.network_policies import Flow, egress_rules, networks
from components.common.outputs import known_after
from components.common.pods import (
    annotation_volume,
    container_security_context,
    mount,
    pod_security_context,
    requirements,
    scratch_volume,
    toleration,
)
from components.common.quantities import MIB, Resources
from components.common.volumes import claim_spec, claim_volume
from components.common.workloads import object_metadata
from components.model_store.manifest import ANNOTATION, FILE, MOUNT, Manifest
from components.model_store.sources import SOURCE_MOUNT, FileSource, Source

STORE_MOUNT = "/models"
_FETCH = "model-fetch"
_SCRATCH_BYTES = 128 * MIB
_AUTONAME_SUFFIX = 9
"""Length of what the provider appends to a resource's name: a dash and 8 hex digits."""


@dataclass(frozen=True)
class ModelStoreSpec:
    """What is planned for one model's storage."""

    model: str
    """Name of the model: a DNS label."""
    manifest: Manifest
    source: Source
    revision: str
    """Version of the model at its source."""
    size: int
    """Bytes of the volume."""
    storage_class: str | None
    """None: the cluster's default class."""
    access_mode: str
    keep_versions: int
    """Published versions that remain on the volume, this one included."""
    workers: int
    """Files transferred or hashed at once."""
    resources: Resources
    """Of the fetch Job's container."""
    deadline_seconds: int
    """After this the fetch is given up."""
    source_networks: tuple[str, ...] = ()
    """Networks that the source is reached through."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes that the volume may lie on; empty where any node can mount it."""
    tolerations: tuple[Taint, ...] = ()
    """Taints of those nodes."""
    identity_endpoints: tuple[tuple[str, int], ...] = ()
    """Networks and TCP ports where the Job gets the credentials of its service account, if it has any."""

    @property
    def service_account(self) -> str:
        """Name of the Job's service account, which a cloud may give an identity."""
        return fetch_service_account(self.model)

    @property
    def backoff_limit(self) -> int:
        """Retries of a failed fetch: what comes over a network may be better next time, a file is not."""
        return 0 if isinstance(self.source, FileSource) else 2


def fetch_service_account(model: str) -> str:
    """Name of the service account that fetches a model's weights."""
    return bounded_name(model, "fetch")


@dataclass(frozen=True)
class ModelStoreArgs:
    """Inputs of a ModelStore."""

    namespace: pulumi.Input[str]
    spec: ModelStoreSpec
    image: pulumi.Input[str]
    """Image of the weights fetcher, by digest."""
    protect: bool = False
    """Refuse to delete the volume."""


class ModelStore(pulumi.ComponentResource):
    """A volume and the Job that fetches, verifies and publishes one model.

    Each version lies at `<model>/<digest>/` on the volume and never changes there. A new digest means a new
    Job; if it fails, its reason is in the Job's log and nothing that depends on `digest` is touched.
    """

    claim: pulumi.Output[str]
    """Name of the volume's claim."""
    digest: pulumi.Output[str]
    """Digest of the manifest, known to dependents only once the fetch Job has verified and published it."""

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:model_store:ModelStore", name, None, opts)
        spec = args.spec
        labels = object_labels("model-store", spec.model, component="storage")
        child = pulumi.ResourceOptions(parent=self)

        claim_name = bounded_name(spec.model, "weights")
        claim = core.v1.PersistentVolumeClaim(
            f"{name}-weights",
            # A class that binds on first use leaves the claim Pending until the Job's pod is placed.
            metadata=object_metadata(claim_name, args.namespace, labels, await_ready=False),
            spec=claim_spec(spec.size, spec.storage_class, access_mode=spec.access_mode),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )
        self.claim = known_after(claim_name, claim)
        policy = _network_policy(name, args, child)
        account = core.v1.ServiceAccount(
            f"{name}-fetch",
            metadata=object_metadata(spec.service_account, args.namespace, _fetch_labels(spec)),
            automount_service_account_token=False,
            opts=child,
        )
        fetch = _fetch_job(
            name,
            args,
            claim=self.claim,
            service_account=known_after(spec.service_account, account),
            source_claim=_source_claim(name, args, child),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[policy],
                custom_timeouts=pulumi.CustomTimeouts(
                    create=f"{spec.deadline_seconds + 60}s",
                    update=f"{spec.deadline_seconds + 60}s",
                    delete="2m",
                ),
            ),
        )
        self.digest = known_after(spec.manifest.digest, fetch)
        self.register_outputs({"claim": self.claim, "digest": self.digest})


def _fetch_labels(spec: ModelStoreSpec) -> dict[str, str]:
    return object_labels(_FETCH, spec.model, component="storage")


def _source_claim(name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
    """Claim on the volume that holds the published model, for a source that is a file."""
    source = args.spec.source
    if not isinstance(source, FileSource):
        return None
    claim_name = bounded_name(args.spec.model, "source")
    claim = core.v1.PersistentVolumeClaim(
        f"{name}-source",
        metadata=object_metadata(
            claim_name,
            args.namespace,
            object_labels("model-source", args.spec.model, component="storage"),
            await_ready=False,
        ),
        spec=claim_spec(
            source.size, source.storage_class, access_mode="ReadOnlyMany", volume_name=source.volume
        ),
        opts=opts,
    )
    return known_after(claim_name, claim)


def _network_policy(
    name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions
) -> networking.v1.NetworkPolicy:
    spec = args.spec
    reached = [
        Flow(networks(spec.source_networks), spec.source.ports()),
        *(Flow(networks([network]), (port,)) for network, port in spec.identity_endpoints),
    ]
    return networking.v1.NetworkPolicy(
        f"{name}-fetch",
        metadata=object_metadata(bounded_name(spec.model, "fetch"), args.namespace, _fetch_labels(spec)),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=selector_labels(_FETCH, spec.model)),
            policy_types=["Ingress", "Egress"],
            egress=egress_rules(reached),
        ),
        opts=opts,
    )


def _fetch_job(
    name: str,
    args: ModelStoreArgs,
    *,
    claim: pulumi.Input[str],
    service_account: pulumi.Input[str],
    source_claim: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> batch.v1.Job:
    spec = args.spec
    volumes = [
        claim_volume("store", claim),
        annotation_volume("sums", ANNOTATION, FILE),
        scratch_volume("tmp", _SCRATCH_BYTES),
    ]
    mounts = [
        core.v1.VolumeMountArgs(name="store", mount_path=STORE_MOUNT),
        mount("sums", MOUNT),
        core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
    ]
    if source_claim is not None:
        volumes.append(
            core.v1.VolumeArgs(
                name="source",
                persistent_volume_claim=core.v1.PersistentVolumeClaimVolumeSourceArgs(
                    claim_name=source_claim, read_only=True
                ),
            )
        )
        mounts.append(mount("source", SOURCE_MOUNT))
    credentials = None if isinstance(spec.source, FileSource) else spec.source.credentials_secret
    environment_from = (
        [core.v1.EnvFromSourceArgs(secret_ref=core.v1.SecretEnvSourceArgs(name=credentials))]
        if credentials
        else None
    )
    source = json.dumps(spec.source.document(spec.revision), sort_keys=True, separators=(",", ":"))
    labels = _fetch_labels(spec)
    return batch.v1.Job(
        bounded_name(spec.model, "fetch", limit=MAX_NAME - _AUTONAME_SUFFIX),
        metadata=meta.v1.ObjectMetaArgs(
            # Named by the provider: a changed Job is created beside the old one, and one that is changed back
            # is not mistaken for the one that is still to be deleted.
            namespace=args.namespace,
            labels=labels,
            # A Job that failed is started afresh by the next update, even if nothing in it has changed.
            annotations={"pulumi.com/replaceUnready": "true"},
        ),
        spec=batch.v1.JobSpecArgs(
            backoff_limit=spec.backoff_limit,
            active_deadline_seconds=spec.deadline_seconds,
            completions=1,
            parallelism=1,
            # A drained node says nothing about the weights.
            pod_failure_policy=batch.v1.PodFailurePolicyArgs(
                rules=[
                    batch.v1.PodFailurePolicyRuleArgs(
                        action="Ignore",
                        on_pod_conditions=[
                            batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(
                                type="DisruptionTarget", status="True"
                            )
                        ],
                    )
                ]
            ),
            template=core.v1.PodTemplateSpecArgs(
                metadata=meta.v1.ObjectMetaArgs(labels=labels, annotations={ANNOTATION: spec.manifest.text}),
                spec=core.v1.PodSpecArgs(
                    restart_policy="Never",
                    service_account_name=service_account,
                    automount_service_account_token=False,
                    enable_service_links=False,
                    node_selector=dict(spec.node_selector) or None,
                    tolerations=[toleration(taint) for taint in spec.tolerations] or None,
                    security_context=pod_security_context(),
                    containers=[
                        core.v1.ContainerArgs(
                            name="fetch",
                            image=args.image,
                            image_pull_policy="IfNotPresent",
                            command=["python3", "-m", "weights"],
                            args=[
                                "fetch",
                                f"--source-json={source}",
                                f"--sums={MOUNT}/{FILE}",
                                f"--store={STORE_MOUNT}",
                                f"--name={spec.model}",
                                f"--workers={spec.workers}",
                                f"--keep={spec.keep_versions}",
                            ],
                            env=[core.v1.EnvVarArgs(name="HOME", value="/tmp")],
                            env_from=environment_from,
                            resources=requirements(spec.resources),
                            security_context=container_security_context(),
                            termination_message_policy="FallbackToLogsOnError",
                            volume_mounts=mounts,
                        )
                    ],
                    volumes=volumes,
                ),
            ),
        ),
        opts=opts,
    )
