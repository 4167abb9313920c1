"""Alerts on the nodes' disks, from node exporter."""

from __future__ import annotations

from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, RuleGroup, Series, Severity, level
from components.monitoring.settings import Monitoring
from components.monitoring.stack import NODE_EXPORTER

AREA: Final = "node"
_REAL: Final = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'


def nodes(settings: Monitoring) -> RuleGroup:
    """Alerts on nodes."""
    limits = settings.thresholds
    return RuleGroup(
        "nodes",
        (),
        (
            _disk(
                "NodeDiskFillingUp",
                Severity.TICKET,
                limits.disk_free_percent,
                10 * MINUTE,
                "Images, logs and local volumes share it.",
            ),
            _disk(
                "NodeDiskFull",
                Severity.PAGE,
                limits.disk_free_page_percent,
                5 * MINUTE,
                "The kubelet evicts pods, and what writes fails.",
            ),
        ),
    )


def _samples(free_percent: float) -> tuple[Series, ...]:
    labels = f'job="{NODE_EXPORTER}",instance="gpu-1",device="/dev/vda1",fstype="ext4",mountpoint="/"'
    return (
        Series(f"node_filesystem_avail_bytes{{{labels}}}", level(free_percent)),
        Series(f"node_filesystem_size_bytes{{{labels}}}", level(100)),
    )


def _disk(name: str, severity: Severity, percent: float, hold: int, meaning: str) -> AlertRule:
    by = "(instance, device)"
    return AlertRule(
        name=name,
        severity=severity,
        area=AREA,
        # One file system may be mounted at several places.
        expr=(
            f"min by {by} (node_filesystem_avail_bytes{{{_REAL}}}) "
            f"/ min by {by} (node_filesystem_size_bytes{{{_REAL}}}) < {percent / 100:.4g}"
        ),
        hold=hold,
        summary="{{ $labels.device }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} left",
        description=f"Less than {percent:g} % is free. {meaning}",
        runbook="disk-full",
        firing=Evidence(
            _samples(percent * 0.8), true_from=0, labels=({"instance": "gpu-1", "device": "/dev/vda1"},)
        ),
        silent=_samples(percent * 1.2),
    )
