"""What everything in the namespace asks of the tenant's quota together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from components.common.demand import Demand, pod_demand
from components.common.quantities import format_bytes
from components.etcd.plan import EtcdPlan
from components.model_store.sources import FileSource
from stacks.clusters import ClusterPlan
from stacks.model_plan import server_accelerator
from stacks.problems import Problem
from stacks.settings import Settings
from stacks.settings.model import Model

_COUNTED: Final = ("pods", "persistentVolumeClaims", "jobs")


def quota_problems(settings: Settings, cluster: ClusterPlan, etcd: EtcdPlan | None) -> Iterator[Problem]:
    """Pods and Jobs that the tenant's quota would refuse only when they are created."""
    quota = settings.tenant.quota
    demand = sum(map(_model_demand, settings.models), etcd.demand if etcd else Demand())
    rows = (
        ("cpu", quota.cpu, demand.cpu),
        ("cpuLimits", quota.cpu_limits or quota.cpu, demand.cpu_limits),
        ("memory", quota.memory, demand.memory),
        ("ephemeralStorage", quota.ephemeral_storage, demand.ephemeral_storage),
        ("storage", quota.storage, demand.storage),
        ("pods", quota.pods, demand.pods),
        ("persistentVolumeClaims", quota.persistent_volume_claims, demand.claims),
        ("jobs", quota.jobs, demand.jobs),
    )
    for key, limit, needed in rows:
        if needed > limit:
            yield Problem(
                f"tenant.quota.{key}",
                f"{_text(key, limit)}: the models, their fetch Jobs and etcd need {_text(key, needed)}; "
                "raise it, or lower replicas or resources",
            )
    yield from _accelerator_problems(settings, cluster)


def _model_demand(model: Model) -> Demand:
    """Of all servers of a model and its fetch Job."""
    servers = pod_demand(model.resources) * model.replicas
    fetch = pod_demand(model.fetch.resources, storage=model.storage.size, jobs=1)
    if not isinstance(model.source, FileSource):
        return servers + fetch
    return servers + fetch + Demand(storage=model.source.size, claims=1)


def _accelerator_problems(settings: Settings, cluster: ClusterPlan) -> Iterator[Problem]:
    needed: Counter[str] = Counter()
    for model in settings.models:
        if accelerator := server_accelerator(model, cluster):
            needed[accelerator.resource] += accelerator.count * model.replicas
    for resource, count in needed.items():
        limit = settings.tenant.quota.accelerators.get(resource, 0)
        if count > limit:
            yield Problem(
                f"tenant.quota.accelerators.{resource}",
                f"{limit}: the models need {count}; raise it or lower replicas",
            )


def _text(key: str, amount: int) -> str:
    if key in ("cpu", "cpuLimits"):
        return f"{amount}m"
    return str(amount) if key in _COUNTED else format_bytes(amount)
