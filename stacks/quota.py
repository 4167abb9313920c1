"""What all models ask of the tenant's quota together."""

from __future__ import annotations

from collections.abc import Iterable

from components.common.quantities import format_bytes
from components.model_store.sources import FileSource
from stacks.clusters import ClusterPlan
from stacks.model_plan import server_accelerator
from stacks.problems import Problem
from stacks.settings import Settings


def quota_problems(settings: Settings, cluster: ClusterPlan) -> Iterable[Problem]:
    """Servers and fetch Jobs that the tenant's quota would refuse only when they are created."""
    quota, models = settings.tenant.quota, settings.models
    demands = {
        "cpu": (quota.cpu, sum(m.resources.cpu * m.replicas + m.fetch.resources.cpu for m in models), "{}m"),
        "memory": (
            quota.memory,
            sum(m.resources.memory * m.replicas + m.fetch.resources.memory for m in models),
            None,
        ),
        "ephemeralStorage": (
            quota.ephemeral_storage,
            sum(
                m.resources.ephemeral_storage * m.replicas + m.fetch.resources.ephemeral_storage
                for m in models
            ),
            None,
        ),
        "storage": (
            quota.storage,
            sum(m.storage.size + (m.source.size if isinstance(m.source, FileSource) else 0) for m in models),
            None,
        ),
        "pods": (quota.pods, sum(m.replicas + 1 for m in models), "{}"),
        "persistentVolumeClaims": (
            quota.persistent_volume_claims,
            sum(1 + isinstance(m.source, FileSource) for m in models),
            "{}",
        ),
    }
    for key, (limit, needed, form) in demands.items():
        if needed > limit:
            shown, need = (
                (form.format(limit), form.format(needed))
                if form
                else (format_bytes(limit), format_bytes(needed))
            )
            yield Problem(
                f"tenant.quota.{key}",
                f"{shown}: the models and their fetch Jobs need {need}; raise it, or lower replicas or "
                "resources",
            )
    needed_accelerators: dict[str, int] = {}
    for model in models:
        if accelerator := server_accelerator(model, cluster):
            needed_accelerators[accelerator.resource] = (
                needed_accelerators.get(accelerator.resource, 0) + accelerator.count * model.replicas
            )
    for resource, count in needed_accelerators.items():
        if count > quota.accelerators.get(resource, 0):
            yield Problem(
                f"tenant.quota.accelerators.{resource}",
                f"{quota.accelerators.get(resource, 0)}: the models need {count}; raise it or lower replicas",
            )
