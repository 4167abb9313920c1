"""Nodes, node pools, volumes and what runs on them."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, Variable, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Limit,
    Query,
    Step,
    single,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.alerts.kubernetes import ALLOCATABLE, POOL_LABEL, REQUESTED

KEY: Final = "nodes"
REAL_FILE_SYSTEMS: Final = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'
"""Those that the alerts on disks are about."""
_WHERE: Final = '{instance=~"$node"}'
_NODE: Final = "{{instance}}"
_REAL: Final = f'{{instance=~"$node",{REAL_FILE_SYSTEMS}}}'
_FREE: Final = (
    f"min by (instance, device) (node_filesystem_avail_bytes{_REAL}) "
    f"/ min by (instance, device) (node_filesystem_size_bytes{_REAL})"
)
_BUSY: Final = (
    '1 - avg by (instance) (rate(node_cpu_seconds_total{instance=~"$node",mode="idle"}[$__rate_interval]))'
)
_MEMORY: Final = (
    f"1 - max by (instance) (node_memory_MemAvailable_bytes{_WHERE}) "
    f"/ max by (instance) (node_memory_MemTotal_bytes{_WHERE})"
)
_READY: Final = 'kube_node_status_condition{condition="Ready",status="true"}'


def nodes(view: View) -> Dashboard:
    """Nodes of a stack's cluster."""
    return page(
        KEY,
        "Nodes",
        "CPU, memory, disks and network of each node; room in the node pools and on volumes.",
        [_now(view), _machines(view), _room(view)],
        variables=(Variable("node", "Node", "label_values(node_load1, instance)"),),
    )


def _now(view: View) -> Section:
    limits = view.limits
    return Section(
        "Now",
        [
            single(
                view,
                "Nodes not ready",
                units.NoUnit,
                Query(f"sum(1 - max by (node) ({_READY}))", "not ready"),
                meaning="The pods of such a node are replaced elsewhere if there is room.",
                steps=(Step(None, GREEN), Step(1, RED)),
                alert=view.alert("NodeNotReady"),
            ),
            single(
                view,
                "CPU, busiest node",
                units.PercentUnit,
                Query(f"max({_BUSY})", "busiest"),
                meaning="Part of all CPUs of the busiest node.",
                steps=(Step(None, BLUE), Step(0.9, YELLOW)),
                decimals=0,
            ),
            single(
                view,
                "Memory, fullest node",
                units.PercentUnit,
                Query(f"max({_MEMORY})", "fullest"),
                meaning="Part of the memory that could not be had for a new program.",
                steps=(Step(None, BLUE), Step(0.9, YELLOW)),
                decimals=0,
            ),
            single(
                view,
                "Disk, least free",
                units.PercentUnit,
                Query(f"min({_FREE})", "least free"),
                meaning="Of the file system with the least room.",
                steps=(
                    Step(None, RED),
                    Step(limits.disk_free_page_percent / 100, YELLOW),
                    Step(limits.disk_free_percent / 100, GREEN),
                ),
                decimals=0,
                alert=view.alert("NodeDiskFull"),
            ),
            single(
                view,
                "Pods running",
                units.NoUnit,
                Query('sum(kube_pod_status_phase{phase="Running"})', "running"),
                meaning=f"In all namespaces; {view.stack.pods} are expected at most.",
            ),
            single(
                view,
                "Pods waiting",
                units.NoUnit,
                Query('sum(kube_pod_status_phase{phase="Pending"})', "waiting"),
                meaning="Pods that have no node yet, or whose images and volumes are being fetched.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
            ),
        ],
        per_line=6,
        height=4,
    )


def _machines(view: View) -> Section:
    limits = view.limits
    return Section(
        "Machines",
        [
            time_series(
                view,
                "CPU",
                units.PercentUnit,
                Query(_BUSY, _NODE),
                meaning="Part of all CPUs of the node that worked.",
                most=1,
            ),
            time_series(
                view,
                "Load",
                units.Short,
                Query(f"max by (instance) (node_load1{_WHERE})", _NODE),
                meaning="Programs that want to run, mean of a minute.",
            ),
            time_series(
                view,
                "Memory",
                units.PercentUnit,
                Query(_MEMORY, _NODE),
                meaning="Part of the memory that could not be had for a new program.",
                most=1,
            ),
            time_series(
                view,
                "Free disk",
                units.PercentUnit,
                Query(_FREE, f"{_NODE} {{{{device}}}}"),
                meaning="Of each file system. A ticket begins at the upper line, a page at the lower one.",
                limit=Limit(
                    limits.disk_free_page_percent / 100,
                    view.alert("NodeDiskFull"),
                    first=limits.disk_free_percent / 100,
                ),
                most=1,
                runbooks=[view.alert("NodeDiskFillingUp")],
            ),
            time_series(
                view,
                "Network received",
                units.BytesPerSecondSI,
                Query(_traffic("receive"), _NODE),
                meaning="Of all interfaces but the loopback and those of pods.",
            ),
            time_series(
                view,
                "Network sent",
                units.BytesPerSecondSI,
                Query(_traffic("transmit"), _NODE),
                meaning="Of all interfaces but the loopback and those of pods.",
            ),
        ],
        per_line=3,
    )


def _traffic(direction: str) -> str:
    name = f"node_network_{direction}_bytes_total"
    where = 'instance=~"$node",device!~"lo|veth.*|cali.*|lxc.*|cni.*"'
    return f"sum by (instance) (rate({name}{{{where}}}[$__rate_interval]))"


def _room(view: View) -> Section:
    limits = view.limits
    by = "(namespace, persistentvolumeclaim)"
    return Section(
        "Room",
        [
            time_series(
                view,
                "Taken of node pools",
                units.PercentUnit,
                Query(f"{REQUESTED} / {ALLOCATABLE}", f"{{{{{POOL_LABEL}}}}} {{{{resource}}}}"),
                meaning="What pods have asked for, of what the pool's nodes offer. Above the line, a rollout "
                "or the loss of a node may find no room.",
                limit=Limit(limits.pool_percent / 100, view.alert("NodePoolNearlyFull")),
                most=1,
            ),
            time_series(
                view,
                "Free on volumes",
                units.PercentUnit,
                Query(
                    f"min by {by} (kubelet_volume_stats_available_bytes) "
                    f"/ min by {by} (kubelet_volume_stats_capacity_bytes)",
                    "{{namespace}}/{{persistentvolumeclaim}}",
                ),
                meaning="Of each volume that a pod has mounted.",
                limit=Limit(limits.disk_free_percent / 100, view.alert("VolumeFillingUp")),
                most=1,
            ),
            time_series(
                view,
                "Pods by node",
                units.Short,
                Query("count by (node) (kube_pod_info)", "{{node}}"),
                meaning="All pods that have been placed, whatever their phase.",
                stacked=True,
            ),
        ],
        per_line=3,
    )
