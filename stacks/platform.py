"""The composition: a plan becomes components."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from components.model_server.component import ModelServer, ModelServerArgs, ModelServerSpec
from components.model_server.vllm import PORT
from components.model_store.component import ModelStore, ModelStoreArgs, ModelStoreSpec
from components.tenant_namespace.component import ContainerLimits, Quota, TenantNamespace, TenantNamespaceArgs
from stacks.config import raw_settings
from stacks.images import resolve_images
from stacks.load import load_settings
from stacks.plan import ModelPlan, PlatformPlan, plan_platform
from stacks.problems import SettingsError
from stacks.provider import cluster_provider
from stacks.settings import SCRATCH_BYTES
from stacks.versions import load_versions

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Platform:
    """What has been built."""

    outputs: dict[str, Any] = field(default_factory=dict)
    """Stack outputs by name."""


def plan_stack(root: Path = ROOT) -> PlatformPlan:
    """Plan of the current stack; raises SettingsError before anything is registered."""
    file = f"Pulumi.{pulumi.get_stack()}.yaml"
    settings = load_settings(raw_settings(file), file)
    images, problems = resolve_images(settings.images, root)
    try:
        plan = plan_platform(settings, load_versions(root), images, file)
    except SettingsError as error:
        raise SettingsError(file, [*problems, *error.problems]) from None
    if problems:
        raise SettingsError(file, problems)
    return plan


def build_stack(root: Path = ROOT) -> Platform:
    """Build the current stack. Bad settings end it before any resource is registered."""
    try:
        plan = plan_stack(root)
        provider = cluster_provider(plan.settings.cluster, root, f"Pulumi.{pulumi.get_stack()}.yaml")
    except SettingsError as error:
        # A RunError is told as it is, without the traceback of a defect.
        raise pulumi.RunError(f"settings refused, nothing was changed:\n{error}") from None
    return build_platform(plan, pulumi.ResourceOptions(providers=[provider]))


def build_platform(plan: PlatformPlan, opts: pulumi.ResourceOptions) -> Platform:
    """Build what is planned, in the cluster of the given provider."""
    tenant = TenantNamespace("tenant", _tenant_args(plan), opts)
    endpoints: dict[str, pulumi.Output[str]] = {}
    models: dict[str, dict[str, Any]] = {}
    for item in plan.models:
        name = item.model.name
        store = ModelStore(
            f"{name}-store",
            ModelStoreArgs(
                namespace=tenant.name,
                service_account=tenant.service_account,
                spec=_store_spec(item),
                protect=plan.protect,
            ),
            opts,
        )
        server = ModelServer(
            name,
            ModelServerArgs(
                namespace=tenant.name,
                service_account=tenant.service_account,
                spec=_server_spec(plan, item),
                weights_claim=store.claim,
                weights_digest=store.digest,
            ),
            opts,
        )
        endpoints[name] = pulumi.Output.format("http://{0}:{1}", server.cluster_ip, PORT)
        models[name] = {
            "revision": item.model.revision,
            "digest": pulumi.Output.format("sha256:{0}", store.digest),
            "endpoint": endpoints[name],
        }
    return Platform(
        {
            "endpoint": endpoints[plan.models[0].model.name],
            "namespace": tenant.name,
            "models": models,
            "dashboards": {},
        }
    )


def _tenant_args(plan: PlatformPlan) -> TenantNamespaceArgs:
    tenant = plan.settings.tenant
    quota, limits = tenant.quota, tenant.container_limits
    return TenantNamespaceArgs(
        namespace=tenant.namespace,
        pod_security_version=plan.pod_security_version,
        quota=Quota(
            cpu=quota.cpu,
            memory=quota.memory,
            ephemeral_storage=quota.ephemeral_storage,
            storage=quota.storage,
            persistent_volume_claims=quota.persistent_volume_claims,
            pods=quota.pods,
            jobs=quota.jobs,
            accelerators=quota.accelerators,
        ),
        container_limits=ContainerLimits(
            default=limits.default.resources(), maximum=limits.maximum.resources()
        ),
        protect=plan.protect,
    )


def _store_spec(item: ModelPlan) -> ModelStoreSpec:
    model = item.model
    return ModelStoreSpec(
        model=model.name,
        manifest=model.sha256_sums,
        source=model.source,
        revision=model.revision,
        size=model.storage.size,
        storage_class=model.storage.storage_class,
        access_mode=model.storage.access_mode,
        keep_versions=model.storage.keep_versions,
        image=item.verifier_image,
        workers=model.fetch.workers,
        resources=model.fetch.resources.resources(),
        deadline_seconds=item.fetch_deadline_seconds,
    )


def _server_spec(plan: PlatformPlan, item: ModelPlan) -> ModelServerSpec:
    model = item.model
    return ModelServerSpec(
        model=model.name,
        engine_version=item.engine_version,
        image=item.engine_image,
        verifier_image=item.verifier_image,
        arguments=item.arguments,
        environment=item.environment,
        replicas=model.replicas,
        resources=item.resources,
        verifier_resources=item.verifier_resources,
        shared_memory=item.shared_memory,
        scratch=SCRATCH_BYTES,
        timing=item.timing,
        rollout=item.rollout,
        model_path=item.model_path,
        manifest=model.sha256_sums,
        trusted_clients=plan.settings.tenant.trusted_clients,
        node_selector=model.accelerator.node_selector if model.accelerator else {},
    )
