"""Whose lines tell who used the model: the model servers', and the entry's where the stack has its own."""

from __future__ import annotations

from typing import Final

from components.logging.pipelines.access import GATEWAY, MODEL, AccessLog
from components.onprem.plan import OnpremPlan
from stacks.clusters import ClusterPlan
from stacks.settings import Settings

_MODEL_CONTAINER: Final = "vllm"
_PROXY_CONTAINER: Final = "haproxy"


def access_logs(settings: Settings, cluster: ClusterPlan) -> tuple[AccessLog, ...]:
    """Containers by source. The load balancers of clouds write no lines here."""
    model = AccessLog(MODEL, settings.tenant.namespace, _MODEL_CONTAINER)
    below = cluster.below
    if isinstance(below, OnpremPlan):
        return model, AccessLog(GATEWAY, below.settings.entry_namespace, _PROXY_CONTAINER)
    return (model,)
