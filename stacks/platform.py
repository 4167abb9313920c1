"""The composition: a plan becomes components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from components.etcd.component import EtcdCluster, EtcdClusterArgs
from components.etcd.plan import EtcdPlan
from components.load_balancer.component import LoadBalancer, LoadBalancerArgs
from components.load_balancer.plan import EntryPlan
from components.model_server.component import (
    ModelServer,
    ModelServerArgs,
    ModelServerSpec,
    server_selector,
)
from components.model_server.vllm import PORT
from components.model_store.component import ModelStore, ModelStoreArgs, ModelStoreSpec
from components.operators.component import Operators, OperatorsArgs
from components.service_registry.component import (
    ModelServers,
    RegistryPlan,
    ServiceRegistry,
    ServiceRegistryArgs,
)
from components.tenant_namespace.component import ContainerLimits, Quota, TenantNamespace, TenantNamespaceArgs
from stacks.config import raw_settings
from stacks.examples import example_values
from stacks.images import VERIFIER
from stacks.model_plan import ModelPlan
from stacks.observability.build import Observability
from stacks.plan import PlatformPlan, plan_settings
from stacks.problems import Problem, SettingsError
from stacks.settings.images import RegistryImages
from stacks.settings.model import SCRATCH_BYTES
from stacks.targets.build import build_target
from stacks.targets.target import Target

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Platform:
    """What has been built."""

    outputs: dict[str, Any] = field(default_factory=dict)
    """Stack outputs by name."""


def plan_stack(root: Path = ROOT) -> PlatformPlan:
    """Plan of the current stack; raises SettingsError before anything is registered."""
    stack = pulumi.get_stack()
    file = f"Pulumi.{stack}.yaml"
    raw = raw_settings(file)
    plan = plan_settings(raw, stack, file, root)
    if not pulumi.runtime.is_dry_run() and (examples := _examples(raw, plan)):
        raise SettingsError(file, examples)
    return plan


def _examples(raw: Mapping[str, Any], plan: PlatformPlan) -> list[Problem]:
    """Example values that cannot be deployed."""
    images = plan.settings.images
    build = images.build if isinstance(images, RegistryImages) else None
    # The first build tells the digest to write.
    told = {f"images.references.{app}" for app in build.apps} if build else set()
    return [problem for problem in example_values(raw) if problem.path not in told]


def build_stack(root: Path = ROOT) -> Platform:
    """Build the current stack. Bad settings end it before any resource is registered."""
    try:
        plan = plan_stack(root)
        target = build_target(plan, root, f"Pulumi.{pulumi.get_stack()}.yaml")
    except SettingsError as error:
        # A RunError is told as it is, without the traceback of a defect.
        raise pulumi.RunError(f"settings refused, nothing was changed:\n{error}") from None
    return build_platform(plan, target)


def build_platform(plan: PlatformPlan, target: Target) -> Platform:
    """Build what is planned, in the target's cluster."""
    opts = target.options
    tenant = TenantNamespace("tenant", _tenant_args(plan), opts)
    endpoints: dict[str, pulumi.Input[str]] = {}
    models: dict[str, dict[str, Any]] = {}
    for item in plan.models:
        name = item.model.name
        store = ModelStore(
            f"{name}-store",
            ModelStoreArgs(
                namespace=tenant.name,
                spec=_store_spec(plan, item),
                image=target.images[VERIFIER],
                protect=plan.protect,
            ),
            opts,
        )
        server = ModelServer(
            name,
            ModelServerArgs(
                namespace=tenant.name,
                service_account=tenant.service_account,
                spec=_server_spec(plan, item, target.client_cidrs if item is plan.models[0] else ()),
                image=target.images[item.engine_image],
                verifier_image=target.images[VERIFIER],
                weights_claim=store.claim,
                weights_digest=store.digest,
            ),
            opts,
        )
        scheme = "https" if item.tls_secret else "http"
        endpoints[name] = pulumi.Output.format("{0}://{1}:{2}", scheme, server.cluster_ip, PORT)
        models[name] = {
            "revision": item.model.revision,
            "digest": pulumi.Output.format("sha256:{0}", store.digest),
            "endpoint": endpoints[name],
        }
    first = plan.models[0].model.name
    outputs: dict[str, Any] = {
        "endpoint": endpoints[first],
        "namespace": tenant.name,
        "models": models,
        "dashboards": {},
        **target.outputs,
    }
    operators = (
        Operators("operators", OperatorsArgs(plan.operators, plan.pod_security_version, plan.protect), opts)
        if plan.operators
        else None
    )
    if plan.etcd is not None:
        issuers = operators.of("certManager") if operators else []
        _build_registry(plan, plan.etcd, tenant, target, after=issuers)
    observability = Observability(
        plan.observability,
        target=target,
        tenant=tenant,
        operators=operators,
        pod_security_version=plan.pod_security_version,
        protect=plan.protect,
    )
    outputs |= observability.outputs
    if plan.entry is not None:
        entry = LoadBalancer("entry", _entry_args(plan, plan.entry, tenant), opts)
        outputs |= {"endpoint": entry.endpoint, "loadBalancer": entry.address}
    return Platform(outputs)


def _build_registry(
    plan: PlatformPlan,
    etcd: EtcdPlan,
    tenant: TenantNamespace,
    target: Target,
    *,
    after: Sequence[pulumi.Resource],
) -> None:
    """etcd, and in it the record of which server serves what."""
    cluster = EtcdCluster(
        "etcd",
        EtcdClusterArgs(namespace=tenant.name, service_account=tenant.service_account, plan=etcd),
        target.options_after(*after),
    )
    servers = tuple(
        ModelServers(item.model.name, PORT, "https" if item.tls_secret else "http") for item in plan.models
    )
    ServiceRegistry(
        "service-registry",
        ServiceRegistryArgs(
            namespace=tenant.name,
            service_account=tenant.service_account,
            plan=RegistryPlan(etcd, servers),
        ),
        target.options_after(cluster),
    )


def _entry_args(plan: PlatformPlan, entry: EntryPlan, tenant: TenantNamespace) -> LoadBalancerArgs:
    model = plan.models[0].model.name
    return LoadBalancerArgs(
        namespace=tenant.name,
        model=model,
        selector=server_selector(model),
        container_port=PORT,
        plan=entry,
    )


def _tenant_args(plan: PlatformPlan) -> TenantNamespaceArgs:
    tenant = plan.settings.tenant
    quota, limits = tenant.quota, tenant.container_limits
    return TenantNamespaceArgs(
        namespace=tenant.namespace,
        pod_security_version=plan.pod_security_version,
        quota=Quota(
            cpu=quota.cpu,
            cpu_limits=quota.cpu_limits or quota.cpu,
            memory=quota.memory,
            ephemeral_storage=quota.ephemeral_storage,
            storage=quota.storage,
            persistent_volume_claims=quota.persistent_volume_claims,
            pods=quota.pods,
            jobs=quota.jobs,
            accelerators=quota.accelerators,
            load_balancers=1 if plan.entry else 0,
            node_ports=plan.entry.node_ports if plan.entry else 0,
        ),
        container_limits=ContainerLimits(
            default=limits.default.resources(), maximum=limits.maximum.resources()
        ),
        protect=plan.protect,
    )


def _store_spec(plan: PlatformPlan, item: ModelPlan) -> ModelStoreSpec:
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
        workers=model.fetch.workers,
        resources=model.fetch.resources.resources(),
        deadline_seconds=item.fetch_deadline_seconds,
        source_networks=item.source_networks,
        node_selector=item.node_selector if item.volume_follows_node else {},
        tolerations=item.tolerations if item.volume_follows_node else (),
        identity_endpoints=_identity_endpoints(plan, item),
    )


def _identity_endpoints(plan: PlatformPlan, item: ModelPlan) -> tuple[tuple[str, int], ...]:
    store = plan.cluster.object_storage
    return store.identity_endpoints if store and store.kind == item.model.source.kind else ()


def _server_spec(plan: PlatformPlan, item: ModelPlan, client_cidrs: tuple[str, ...]) -> ModelServerSpec:
    model = item.model
    return ModelServerSpec(
        model=model.name,
        engine_version=item.engine_version,
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
        node_selector=item.node_selector,
        tolerations=item.tolerations,
        client_cidrs=client_cidrs,
        tls_secret=item.tls_secret,
    )
