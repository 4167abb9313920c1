"""What of the platform is scraped: of the stack, and of monitoring itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.objects import PodMonitorSpec
from components.monitoring.plan import RELAY_NAME, MonitoringPlan
from components.monitoring.sizing import SERIES_OF_ETCD_MEMBER, SERIES_OF_MODEL_SERVER, SERIES_OF_POD
from components.monitoring.stack import (
    ALERTMANAGER,
    DCGM_EXPORTER,
    ETCD,
    KUBE_STATE_METRICS,
    MODEL_SERVER,
    NODE_EXPORTER,
    PROMETHEUS,
    MonitoredStack,
)

INSTANCE: Final = "app.kubernetes.io/instance"
_NAME: Final = "app.kubernetes.io/name"
_SLACK: Final = 10
"""Times the usual number of samples at which a page is dropped."""
_SMALL_PAGE: Final = 20_000
"""Samples of a page of a program about itself or its node, at which it is dropped."""


def pod_monitors(stack: MonitoredStack, interval: int) -> Iterator[PodMonitorSpec]:
    """Monitors of a stack; `interval` in seconds."""
    if stack.models:
        yield PodMonitorSpec(
            name=MODEL_SERVER,
            match_labels={_NAME: MODEL_SERVER},
            port="http",
            scheme=stack.model_scheme,
            interval=interval,
            target_labels={"model": INSTANCE},
            sample_limit=_SLACK * SERIES_OF_MODEL_SERVER,
        )
    if stack.etcd_members is not None:
        yield PodMonitorSpec(
            name=ETCD,
            match_labels={_NAME: ETCD},
            port="metrics",
            interval=interval,
            target_labels={"cluster": INSTANCE},
            sample_limit=_SLACK * SERIES_OF_ETCD_MEMBER,
        )


def server_monitors(plan: MonitoringPlan) -> Iterator[PodMonitorSpec]:
    """Monitors of what is in the namespace of monitoring."""
    interval = plan.settings.scrape_interval

    def own(name: str, port: str) -> PodMonitorSpec:
        return PodMonitorSpec(
            name=name, match_labels={_NAME: name}, port=port, interval=interval, sample_limit=_SMALL_PAGE
        )

    yield own(PROMETHEUS, "web")
    yield own(ALERTMANAGER, "web")
    if plan.robots:
        yield own(RELAY_NAME, "http")
    if plan.settings.exporters.kube_state_metrics == "own":
        yield PodMonitorSpec(
            name=KUBE_STATE_METRICS,
            match_labels={_NAME: KUBE_STATE_METRICS},
            port="http",
            interval=interval,
            honor_labels=True,
            sample_limit=_SLACK * max(SERIES_OF_POD * plan.stack.pods, _SMALL_PAGE),
        )


def agent_monitors(plan: MonitoringPlan) -> Iterator[PodMonitorSpec]:
    """Monitors of what is on the nodes."""
    wanted = {
        NODE_EXPORTER: plan.settings.exporters.node_exporter == "own",
        DCGM_EXPORTER: bool(plan.gpu_pools),
    }
    for name in (name for name, there in wanted.items() if there):
        yield PodMonitorSpec(
            name=name,
            match_labels={_NAME: name},
            port="metrics",
            interval=plan.settings.scrape_interval,
            node_instance=True,
            # DCGM names the pod that has the GPU.
            honor_labels=name == DCGM_EXPORTER,
            sample_limit=_SMALL_PAGE,
        )
