"""Alerts on the platform's etcd. Conditions and waiting times: etcd's own rules (contrib/mixin)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, Growth, Level, RuleGroup, Series, Severity, level
from components.monitoring.settings import AlertThresholds, Monitoring
from components.monitoring.stack import ETCD, MonitoredStack

AREA: Final = "etcd"


def etcd(settings: Monitoring, stack: MonitoredStack, members: int) -> RuleGroup:
    """Alerts on an etcd of that many members."""
    return RuleGroup("etcd", (), tuple(_alerts(settings.thresholds, stack.namespace, members)))


def _alerts(limits: AlertThresholds, namespace: str, members: int) -> Iterator[AlertRule]:
    where = f'job="{ETCD}",namespace="{namespace}"'

    def member(name: str, index: int, samples: Level | Growth, more: str = "") -> Series:
        return Series(f'{name}{{{where},pod="etcd-{index}"{more}}}', samples)

    one = ({"namespace": namespace, "pod": "etcd-0"},)
    quorum = members // 2 + 1
    up = f"up{{{where}}}"
    yield AlertRule(
        name="EtcdMembersInsufficient",
        severity=Severity.PAGE,
        area=AREA,
        # A member without a pod has no sample: what is there is compared with what is planned.
        expr=f"sum by (namespace) ({up}) < {quorum} or sum by (namespace) (absent({up})) * 0",
        hold=3 * MINUTE,
        summary="etcd has {{ $value }} members of " + str(members),
        description=f"Without {quorum} members nothing can be written, and no leader is elected.",
        runbook="etcd-lost-quorum",
        firing=Evidence(
            tuple(member("up", index, level(1 if index < quorum - 1 else 0)) for index in range(members)),
            true_from=0,
            labels=({"namespace": namespace},),
        ),
        silent=tuple(member("up", index, level(1)) for index in range(quorum)),
    )
    yield AlertRule(
        name="EtcdMemberDown",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"sum by (namespace) ({up}) < {members}",
        hold=5 * MINUTE,
        summary="etcd has {{ $value }} members of " + str(members),
        description="The others serve. The loss of more of them stops all writing.",
        runbook="etcd-lost-member",
        firing=Evidence(
            tuple(member("up", index, level(0 if index == 0 else 1)) for index in range(members)),
            true_from=0,
            labels=({"namespace": namespace},),
        ),
        silent=tuple(member("up", index, level(1)) for index in range(members)),
    )
    yield AlertRule(
        name="EtcdNoLeader",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"max by (namespace, pod) (etcd_server_has_leader{{{where}}}) == 0",
        hold=MINUTE,
        summary="{{ $labels.pod }} has no leader",
        description="It can neither write nor answer consistent reads.",
        runbook="etcd-lost-quorum",
        firing=Evidence((member("etcd_server_has_leader", 0, level(0)),), true_from=0, labels=one),
        silent=(member("etcd_server_has_leader", 0, Level(((1, 120), (0, 45), (1, 0)))),),
    )
    yield AlertRule(
        name="EtcdLeaderChanges",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"max by (namespace) (increase(etcd_server_leader_changes_seen_total{{{where}}}[15m])) >= 4",
        hold=5 * MINUTE,
        summary="etcd has changed its leader {{ $value | humanize }} times in a quarter of an hour",
        description="Each change stops writing for about a second. Slow disks, a slow network or too little "
        "CPU.",
        runbook="etcd-slow",
        firing=Evidence(
            (member("etcd_server_leader_changes_seen_total", 0, Level(((0, 300), (5, 0)))),),
            true_from=300,
            labels=({"namespace": namespace},),
        ),
        silent=(member("etcd_server_leader_changes_seen_total", 0, Level(((0, 300), (3, 0)))),),
    )
    buckets = (
        f"sum by (namespace, pod, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{{{where}}}[5m]))"
    )
    name = "etcd_disk_wal_fsync_duration_seconds_bucket"
    slow, fast = (
        tuple(
            member(name, 0, Growth(rate), f',le="{bound}"')
            for bound, rate in {"0.256": 10 * part, "1.024": 10, "+Inf": 10}.items()
        )
        for part in (0.9, 0.995)
    )
    yield AlertRule(
        name="EtcdSlowDisk",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"histogram_quantile(0.99, {buckets}) > {limits.etcd_fsync_seconds:g}",
        hold=10 * MINUTE,
        summary="{{ $labels.pod }} waits {{ $value | humanizeDuration }} for its disk",
        description="Every write waits for it, and a member that waits too long loses the leadership.",
        runbook="etcd-slow",
        firing=Evidence(slow, true_from=15, labels=one),
        silent=fast,
    )
    used = f"max by (namespace, pod) (etcd_mvcc_db_total_size_in_bytes{{{where}}})"
    quota = f"max by (namespace, pod) (etcd_server_quota_backend_bytes{{{where}}})"
    yield AlertRule(
        name="EtcdDatabaseNearQuota",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"{used} / {quota} > {limits.etcd_quota_percent / 100:.4g}",
        hold=10 * MINUTE,
        summary="The database of {{ $labels.pod }} fills {{ $value | humanizePercentage }} of its quota",
        description="At the quota every write is refused until space has been recovered by hand.",
        runbook="etcd-disk-full",
        firing=Evidence(
            (
                member("etcd_mvcc_db_total_size_in_bytes", 0, level(97)),
                member("etcd_server_quota_backend_bytes", 0, level(100)),
            ),
            true_from=0,
            labels=one,
        ),
        silent=(
            member("etcd_mvcc_db_total_size_in_bytes", 0, level(94)),
            member("etcd_server_quota_backend_bytes", 0, level(100)),
        ),
    )
