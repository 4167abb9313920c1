"""etcd's configuration file, the same for all members: what each member adds is its name and how it starts.

Keys are those of etcd 3.6's `--config-file` (server/embed/config.go); none of them is an `experimental-` one,
which 3.7 no longer knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from components.etcd.settings import EtcdSettings

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
METRICS_PORT: Final = 2381
"""Health and metrics in plain HTTP: a kubelet has no client certificate."""
DATA: Final = "/var/lib/etcd"
"""Where the volume is mounted; etcd's own directory lies below, with its mode 0700."""
TLS: Final = "/etc/etcd/tls"
DEFAULT_RETENTION_MINUTES: Final = 60
DEFAULT_RETENTION_REVISIONS: Final = 10_000
_NANOSECONDS_PER_MINUTE: Final = 60 * 10**9

ConfigurationFile = Mapping[str, Any]


def peer_url(name: str, index: int, namespace: str) -> str:
    """Where the other members reach a member."""
    return f"https://{name}-{index}.{name}-peers.{namespace}.svc:{PEER_PORT}"


def client_url(name: str, index: int, namespace: str) -> str:
    """Where clients reach a member."""
    return f"https://{name}-{index}.{name}-peers.{namespace}.svc:{CLIENT_PORT}"


def initial_cluster(settings: EtcdSettings, namespace: str) -> str:
    """`name=peer URL` of all members."""
    name = settings.name
    return ",".join(f"{name}-{index}={peer_url(name, index, namespace)}" for index in range(settings.members))


def _compaction_retention(settings: EtcdSettings) -> str:
    compaction = settings.compaction
    if compaction.mode == "periodic":
        return f"{compaction.retention_minutes or DEFAULT_RETENTION_MINUTES}m"
    return str(compaction.retention_revisions or DEFAULT_RETENTION_REVISIONS)


def configuration(settings: EtcdSettings, namespace: str) -> ConfigurationFile:
    """What all members have in common."""
    return {
        "data-dir": f"{DATA}/data",
        "listen-peer-urls": f"https://0.0.0.0:{PEER_PORT}",
        "listen-client-urls": f"https://0.0.0.0:{CLIENT_PORT}",
        "listen-metrics-urls": f"http://0.0.0.0:{METRICS_PORT}",
        "initial-cluster": initial_cluster(settings, namespace),
        "initial-cluster-token": f"{namespace}-{settings.name}",
        "heartbeat-interval": settings.election.heartbeat_milliseconds,
        "election-timeout": settings.election.timeout_milliseconds,
        "pre-vote": True,
        "strict-reconfig-check": True,
        "quota-backend-bytes": settings.backend_quota,
        "auto-compaction-mode": settings.compaction.mode,
        "auto-compaction-retention": _compaction_retention(settings),
        # Data is compared before a member serves, by the leader after each compaction, and now and then in
        # full.
        "feature-gates": "InitialCorruptCheck=true,CompactHashCheck=true",
        "corrupt-check-time": settings.corruption_check_minutes * _NANOSECONDS_PER_MINUTE,
        "tls-min-version": "TLS1.3",
        "client-transport-security": {
            "cert-file": f"{TLS}/server/tls.crt",
            "key-file": f"{TLS}/server/tls.key",
            "trusted-ca-file": f"{TLS}/server/ca.crt",
            "client-cert-auth": True,
            # What the JSON gateway shows to its own member.
            "client-cert-file": f"{TLS}/client/tls.crt",
            "client-key-file": f"{TLS}/client/tls.key",
        },
        "peer-transport-security": {
            "cert-file": f"{TLS}/peer/tls.crt",
            "key-file": f"{TLS}/peer/tls.key",
            "trusted-ca-file": f"{TLS}/peer/ca.crt",
            "client-cert-auth": True,
            "allowed-cn": [f"{settings.name}-peer"],
        },
        "enable-pprof": False,
        "logger": "zap",
        "log-level": "info",
        "log-outputs": ["stderr"],
    }
