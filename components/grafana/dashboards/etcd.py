"""The platform's etcd."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Limit,
    Query,
    Step,
    quantiles,
    single,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.stack import ETCD

KEY: Final = "etcd"
_POD: Final = "{{pod}}"
LEADER_CHANGES: Final = 4
"""Within a quarter of an hour, from which the alert EtcdLeaderChanges fires."""


def etcd(view: View, members: int) -> Dashboard:
    """An etcd of that many members."""
    return page(
        KEY,
        "etcd",
        "Members, leader, disk and database of the platform's etcd.",
        [_now(view, members), _disk(view), _traffic(view)],
    )


def _where(view: View) -> str:
    return f'{{job="{ETCD}",namespace="{view.stack.namespace}"}}'


def _now(view: View, members: int) -> Section:
    where = _where(view)
    quorum = members // 2 + 1
    used, quota = (
        f"max by (pod) ({name}{where})"
        for name in ("etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes")
    )
    return Section(
        "Now",
        [
            single(
                view,
                "Members up",
                units.NoUnit,
                Query(f"sum(up{where})", "up"),
                meaning=f"Of {members}; {quorum} are needed to write.",
                steps=(Step(None, RED), Step(quorum, YELLOW), Step(members, GREEN)),
                alert=view.alert("EtcdMembersInsufficient"),
            ),
            single(
                view,
                "Members with a leader",
                units.NoUnit,
                Query(f"sum(etcd_server_has_leader{where})", "with a leader"),
                meaning="A member without a leader can neither write nor answer consistent reads.",
                steps=(Step(None, RED), Step(quorum, YELLOW), Step(members, GREEN)),
                alert=view.alert("EtcdNoLeader"),
            ),
            single(
                view,
                "Leader changes, last hour",
                units.NoUnit,
                Query(f"max(increase(etcd_server_leader_changes_seen_total{where}[1h]))", "changes"),
                meaning="Each one stops writing for about a second.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
                decimals=0,
                alert=view.alert("EtcdLeaderChanges"),
            ),
            single(
                view,
                "Database, of its quota",
                units.PercentUnit,
                Query(f"max({used} / {quota})", "fullest"),
                meaning="At the quota every write is refused.",
                steps=(Step(None, BLUE), Step(view.limits.etcd_quota_percent / 100, RED)),
                decimals=1,
                alert=view.alert("EtcdDatabaseNearQuota"),
            ),
            single(
                view,
                "Log write, P99",
                units.Seconds,
                quantiles(f"etcd_disk_wal_fsync_duration_seconds_bucket{where}", "", 0.99)[0],
                meaning="Until a write is on the disk, of all members together.",
                steps=(Step(None, GREEN), Step(view.limits.etcd_fsync_seconds, RED)),
                alert=view.alert("EtcdSlowDisk"),
            ),
            single(
                view,
                "Failed proposals, last hour",
                units.NoUnit,
                Query(f"sum(increase(etcd_server_proposals_failed_total{where}[1h]))", "failed"),
                meaning="Writes that were given up: usually there was no leader.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
                decimals=0,
            ),
        ],
        per_line=6,
        height=4,
    )


def _disk(view: View) -> Section:
    where = _where(view)
    return Section(
        "Disk and database",
        [
            time_series(
                view,
                "Write to the log, P99",
                units.Seconds,
                *quantiles(f"etcd_disk_wal_fsync_duration_seconds_bucket{where}", "pod", 0.99, legend=_POD),
                meaning="Every write waits for it, and a member that waits too long loses the leadership.",
                limit=Limit(view.limits.etcd_fsync_seconds, view.alert("EtcdSlowDisk")),
            ),
            time_series(
                view,
                "Commit to the database, P99",
                units.Seconds,
                *quantiles(
                    f"etcd_disk_backend_commit_duration_seconds_bucket{where}", "pod", 0.99, legend=_POD
                ),
                meaning="Writing collected changes to the database file.",
            ),
            time_series(
                view,
                "Part of the quota",
                units.PercentUnit,
                Query(
                    f"max by (pod) (etcd_mvcc_db_total_size_in_bytes{where}) "
                    f"/ max by (pod) (etcd_server_quota_backend_bytes{where})",
                    _POD,
                ),
                meaning="At the quota every write is refused until space has been recovered by hand.",
                limit=Limit(view.limits.etcd_quota_percent / 100, view.alert("EtcdDatabaseNearQuota")),
                most=1,
            ),
            time_series(
                view,
                "Database",
                units.BytesIEC,
                Query(f"max by (pod) (etcd_mvcc_db_total_size_in_bytes{where})", f"{_POD} file"),
                Query(f"max by (pod) (etcd_mvcc_db_total_size_in_use_in_bytes{where})", f"{_POD} in use"),
                meaning="What lies between the file and its use is given back by defragmentation.",
            ),
        ],
        per_line=2,
    )


def _traffic(view: View) -> Section:
    where = _where(view)
    return Section(
        "Consensus and traffic",
        [
            time_series(
                view,
                "Leader changes",
                units.Short,
                Query(
                    f"max(increase(etcd_server_leader_changes_seen_total{where}[15m]))",
                    "within a quarter of an hour",
                ),
                meaning="Slow disks, a slow network or too little CPU make leaders change.",
                limit=Limit(LEADER_CHANGES, view.alert("EtcdLeaderChanges")),
            ),
            time_series(
                view,
                "Proposals",
                units.CountsPerSecond,
                Query(
                    f"sum by (pod) (rate(etcd_server_proposals_committed_total{where}[$__rate_interval]))",
                    f"{_POD} committed",
                ),
                Query(
                    f"sum by (pod) (rate(etcd_server_proposals_failed_total{where}[$__rate_interval]))",
                    f"{_POD} failed",
                ),
                meaning="Writes that the members agree on.",
            ),
            time_series(
                view,
                "Requests to the store",
                units.CountsPerSecond,
                *(
                    Query(f"sum(rate(etcd_mvcc_{kind}_total{where}[$__rate_interval]))", kind)
                    for kind in ("range", "put", "delete", "txn")
                ),
                meaning="Reads, writes, deletions and transactions, all members together.",
            ),
            time_series(
                view,
                "Clients' traffic",
                units.BytesPerSecondSI,
                *(
                    Query(
                        f"sum by (pod) (rate(etcd_network_client_grpc_{way}_bytes_total{where}"
                        "[$__rate_interval]))",
                        f"{_POD} {way}",
                    )
                    for way in ("sent", "received")
                ),
                meaning="Between members and their clients.",
            ),
        ],
        per_line=4,
    )
