"""Pod hardening of Elastic's images, as plain data for pod templates of custom resources."""

from __future__ import annotations

from typing import Any, Final

from components.common.quantities import Resources

ELASTIC_ID: Final = 1000
"""User and group of the images of Elasticsearch, Kibana, Logstash and Filebeat."""
ROOT_GROUP: Final = 0


def pod(user: int = ELASTIC_ID, group: int = ELASTIC_ID) -> dict[str, Any]:
    """Pod level of the restricted standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": ELASTIC_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(*, read_only: bool) -> dict[str, Any]:
    """Container level of the restricted standard.

    :param read_only: whether the image works with a read-only root file system.
    """
    return {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": read_only,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(wanted: Resources, *, cpu_limit: str | None = None) -> dict[str, Any]:
    """Requests equal to limits, save for CPU where a higher limit is given."""
    limits = wanted.amounts()
    if cpu_limit is not None:
        limits = {**limits, "cpu": cpu_limit}
    return {"requests": wanted.amounts(), "limits": limits}
