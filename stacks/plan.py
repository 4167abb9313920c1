"""From settings to what is built: pure functions, no Pulumi, every problem collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.problems import below
from components.etcd.plan import EtcdPlan, plan_etcd
from components.load_balancer.plan import EntryPlan
from components.object_storage.plan import BucketsPlan
from components.operators.plan import OperatorsPlan
from stacks.cloud_services import (
    image_problems,
    plan_cloud_buckets,
    plan_cloud_entry,
    source_bucket_problems,
)
from stacks.clusters import ClusterPlan, plan_cluster
from stacks.cost.ceiling import ceiling_problems
from stacks.cost.stack import planned_cost
from stacks.images import resolve_images
from stacks.load import load_settings
from stacks.model_plan import ModelPlan, ModelPlanner
from stacks.observability.plan import ObservabilityPlan, agents_on_each_node, plan_observability
from stacks.operators import plan_stack_operators
from stacks.placement import open_pools
from stacks.problems import Problem, SettingsError
from stacks.quota import quota_problems
from stacks.settings import Settings
from stacks.versions import Versions, load_versions


@dataclass(frozen=True)
class PlatformPlan:
    """What a stack is built from."""

    settings: Settings
    cluster: ClusterPlan
    observability: ObservabilityPlan
    pod_security_version: str
    models: tuple[ModelPlan, ...]
    images: Mapping[str, str]
    """References by name."""
    entry: EntryPlan | None = None
    buckets: BucketsPlan | None = None
    etcd: EtcdPlan | None = None
    operators: OperatorsPlan | None = None

    @property
    def protect(self) -> bool:
        """Whether what holds data is kept from deletion."""
        return self.settings.data_protection == "protected"


def plan_settings(raw: Mapping[str, Any], stack: str, file: str, root: Path) -> PlatformPlan:
    """The plan of the stack whose raw sections are given; `root` holds versions.yaml and the list of images.

    Raises SettingsError with every problem found.
    """
    settings = load_settings(raw, file)
    images, problems = resolve_images(settings.images, root)
    try:
        plan = plan_platform(settings, load_versions(root), images, stack, file)
    except SettingsError as error:
        raise SettingsError(file, [*problems, *error.problems]) from None
    if problems:
        raise SettingsError(file, problems)
    return plan


def plan_platform(
    settings: Settings, versions: Versions, images: Mapping[str, str], stack: str, file: str
) -> PlatformPlan:
    """The plan of a stack; raises SettingsError with every problem that the settings have together."""
    protect = settings.data_protection == "protected"
    cluster, problems = plan_cluster(settings.cluster, protect=protect)
    if cluster is None:
        raise SettingsError(file, [*below("cluster", problems), *_duplicates(settings)])
    cluster = cluster.leaving(agents_on_each_node(settings, cluster, images))
    etcd, problems = _plan_etcd(settings, cluster, images, protect=protect)
    problems += [*_duplicates(settings), *quota_problems(settings, cluster, etcd)]
    operators, found = plan_stack_operators(settings, cluster, images)
    problems.extend(found)
    entry, found = plan_cloud_entry(settings, cluster)
    problems.extend(below("entry", found))
    buckets, found = plan_cloud_buckets(settings, stack, protect=protect)
    problems.extend(below("buckets", found))
    problems.extend(source_bucket_problems(settings, buckets))
    problems.extend(image_problems(settings, cluster, images))
    plans = []
    for index, model in enumerate(settings.models):
        planner = ModelPlanner(settings, versions, images, cluster, model, f"models[{index}]")
        plan = planner.plan()
        problems.extend(planner.problems)
        if plan is not None:
            plans.append(plan)
    cost = None
    if len(plans) == len(settings.models):
        cost = planned_cost(settings, cluster, models=plans, buckets=buckets, entry=entry)
        problems.extend(below("costCeiling", ceiling_problems(settings.cost_ceiling, cost)))
    observability, found = plan_observability(
        settings,
        cluster,
        images,
        stack=stack,
        etcd=etcd,
        cost=cost,
        model_scheme="https" if any(item.tls_secret for item in plans) else "http",
        audit_bucket=buckets.audit.name if buckets else None,
    )
    problems.extend(found)
    if problems:
        raise SettingsError(file, problems)
    return PlatformPlan(
        settings=settings,
        cluster=cluster,
        observability=observability,
        pod_security_version=versions.pod_security,
        models=tuple(plans),
        images=images,
        entry=entry,
        buckets=buckets,
        etcd=etcd,
        operators=operators,
    )


def _plan_etcd(
    settings: Settings, cluster: ClusterPlan, images: Mapping[str, str], *, protect: bool
) -> tuple[EtcdPlan | None, list[Problem]]:
    if settings.etcd is None:
        return None, []
    nodes = sum(pool.max_nodes for pool in open_pools(cluster.pools)) if cluster.pools else cluster.nodes
    plan, problems = plan_etcd(
        settings.etcd,
        namespace=settings.tenant.namespace,
        images=images,
        protect=protect,
        nodes=nodes,
    )
    return plan, list(below("etcd", problems))


def _duplicates(settings: Settings) -> Iterable[Problem]:
    for key, values in (
        ("name", [model.name for model in settings.models]),
        ("servedModelName", [model.served_model_name or model.name for model in settings.models]),
    ):
        for index, value in enumerate(values):
            if (first := values.index(value)) != index:
                yield Problem(
                    f"models[{index}].{key}", f"{value!r}: already that of models[{first}]; choose another"
                )
