"""Pods that well-known operators make from their custom resources, completed as the operator completes them.

What a resource leaves out, the operator fills in: the main container exists even where nobody names it. It is
judged with what the resource says about it in other places (`spec.image`, `spec.resources`) and with what the
operator always sets, nothing else. Sources: prometheus-operator v0.92 (pkg/prometheus/server/statefulset.go,
pkg/alertmanager/statefulset.go, pkg/thanos/statefulset.go, pkg/operator/config_reloader.go) and ECK 3
(pkg/controller/common/defaults/pod_template.go, pkg/controller/common/beat/pod.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.values import UNKNOWN, child, elements

Body = Mapping[str, object]


@dataclass(frozen=True)
class Template:
    """A pod's specification within a custom resource."""

    keys: tuple[str, ...]
    """Where it lies, list indices written as `name[0]`."""
    spec: Body
    metadata: object


_HARDENED: Final[Body] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""What prometheus-operator sets on every container of its own making."""

_PROMETHEUS_GROUP: Final = "monitoring.coreos.com"
_PROMETHEUS_MAIN: Final[Mapping[str, str]] = {
    "Prometheus": "prometheus",
    "PrometheusAgent": "prometheus",
    "Alertmanager": "alertmanager",
    "ThanosRuler": "thanos-ruler",
}
_PROMETHEUS_HELPERS: Final = frozenset({"config-reloader", "init-config-reloader"})

_ELASTIC_MAIN: Final[Mapping[tuple[str, str], str]] = {
    ("elasticsearch.k8s.elastic.co", "Elasticsearch"): "elasticsearch",
    ("kibana.k8s.elastic.co", "Kibana"): "kibana",
    ("logstash.k8s.elastic.co", "Logstash"): "logstash",
    ("apm.k8s.elastic.co", "ApmServer"): "apm-server",
    ("enterprisesearch.k8s.elastic.co", "EnterpriseSearch"): "enterprise-search",
    ("maps.k8s.elastic.co", "ElasticMapsServer"): "maps",
    ("agent.k8s.elastic.co", "Agent"): "agent",
    ("beat.k8s.elastic.co", "Beat"): "",
}
"""Main container by group and kind; a Beat's is named after its type."""
_OWN_TOKEN: Final = frozenset({"Beat", "Agent"})
"""Kinds whose pods are given a token unless the template says no; the operator denies it to the others."""


def is_known(group: str, kind: str) -> bool:
    """Whether the pods of a kind are known."""
    return (group == _PROMETHEUS_GROUP and kind in _PROMETHEUS_MAIN) or (group, kind) in _ELASTIC_MAIN


def templates(group: str, kind: str, body: Body) -> Iterator[Template] | None:
    """The pods of a custom resource; None if nothing is known about its kind."""
    if group == _PROMETHEUS_GROUP and kind in _PROMETHEUS_MAIN:
        return _prometheus(_PROMETHEUS_MAIN[kind], body)
    if (group, kind) in _ELASTIC_MAIN:
        return _elastic(_ELASTIC_MAIN[group, kind], kind, body)
    return None


def _prometheus(name: str, body: Body) -> Iterator[Template]:
    """The specification of the servers is that of their pods, with more in it."""
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        return
    main: dict[str, object] = {
        "name": name,
        "image": spec.get("image") or spec.get("baseImage") or "",
        "resources": spec.get("resources"),
        "securityContext": _HARDENED,
        "volumeMounts": spec.get("volumeMounts"),
    }
    own = [main]
    thanos = spec.get("thanos")
    if isinstance(thanos, Mapping):
        own.append(
            {
                "name": "thanos-sidecar",
                "image": thanos.get("image") or "",
                "resources": thanos.get("resources"),
                "securityContext": _HARDENED,
            }
        )
    fields = {
        "containers": _merged(own, spec.get("containers")),
        "initContainers": _merged([], spec.get("initContainers")),
    }
    yield Template(("spec",), {**spec, **fields}, spec.get("podMetadata"))


def _elastic(name: str, kind: str, body: Body) -> Iterator[Template]:
    """Templates are partial: the operator adds what is missing, its own main container first."""
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        return
    if kind == "Beat":
        stated = spec.get("type")
        name = stated if isinstance(stated, str) else "beat"
    holders: list[tuple[tuple[str, ...], object]]
    if kind == "Elasticsearch":
        holders = [(("spec", f"nodeSets[{index}]"), one) for index, one in elements(spec.get("nodeSets"))]
    elif kind in _OWN_TOKEN:
        shapes = ("daemonSet", "deployment", "statefulSet")
        holders = [(("spec", one), spec[one]) for one in shapes if spec.get(one) is not None]
    else:
        holders = [(("spec",), spec)]
    for keys, holder in holders:
        if holder is UNKNOWN:
            continue
        template = child(holder, "podTemplate")
        pod = child(template, "spec")
        stated_pod = pod if isinstance(pod, Mapping) else {}
        main: dict[str, object] = {"name": name, "image": spec.get("image") or ""}
        complete: dict[str, object] = {
            **({} if kind in _OWN_TOKEN else {"automountServiceAccountToken": False}),
            **stated_pod,
            "containers": _merged([main], stated_pod.get("containers")),
        }
        yield Template((*keys, "podTemplate", "spec"), complete, child(template, "metadata"))


def _merged(own: list[dict[str, object]], stated: object) -> object:
    """The operator's containers with what the resource states of them, and those that it adds.

    A container of the operator's that the resource names keeps what is not stated anew, as in a strategic
    merge; its place in the list is the resource's.
    """
    if stated is UNKNOWN:
        return UNKNOWN
    by_name = {one["name"]: one for one in own}
    result: list[object] = []
    for _, item in elements(stated):
        if not isinstance(item, Mapping):
            result.append(item)
            continue
        name = item.get("name")
        base = by_name.pop(name, None) if isinstance(name, str) else None
        if base is None and name in _PROMETHEUS_HELPERS:
            base = {"securityContext": _HARDENED}
        result.append(_with(base, item) if base else item)
    return [*result, *by_name.values()]


def _with(base: Mapping[str, object], stated: Body) -> dict[str, object]:
    context, own = stated.get("securityContext"), base.get("securityContext")
    merged = {**base, **{key: value for key, value in stated.items() if value is not None}}
    if isinstance(context, Mapping) and isinstance(own, Mapping):
        merged["securityContext"] = {**own, **context}
    return merged
