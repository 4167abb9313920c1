"""Small clusters for tests: pods with addresses, and objects as `kubectl get -o json` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


def pod(
    where: str,
    labels: Mapping[str, str] | None = None,
    address: str | None = None,
    ports: list[Json] | None = None,
    **spec: Any,
) -> Json:
    """A pod, `where` being `namespace/name`."""
    of, _, name = where.partition("/")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": of, "name": name, "labels": dict(labels or {})},
        "spec": {"containers": [{"name": "main", "ports": ports or []}], **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": address}] if address else []},
    }


def policy(of: str, spec: Json, name: str = "policy") -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": of, "name": name},
        "spec": spec,
    }


def service(where: str, selector: Mapping[str, str], *ports: Json, **spec: Any) -> Json:
    of, _, name = where.partition("/")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": of, "name": name},
        "spec": {"selector": dict(selector), "ports": list(ports), **spec},
    }
