"""What of the platform is scraped. Nodes, kubelets and the state of objects are the cluster's to scrape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.objects import PodMonitorSpec
from components.monitoring.sizing import SERIES_OF_ETCD_MEMBER, SERIES_OF_MODEL_SERVER
from components.monitoring.stack import ETCD, MODEL_SERVER, MonitoredStack

INSTANCE: Final = "app.kubernetes.io/instance"
_NAME: Final = "app.kubernetes.io/name"
_SLACK: Final = 10
"""Times the usual number of samples at which a page is dropped."""


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
