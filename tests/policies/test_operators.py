"""Pods that operators make from custom resources are judged as the pods that they become."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policies.catalogue import RULES
from policies.resource import Resource as Judged
from policies.server import Pack
from policies.values import UNKNOWN
from tests.policies.examples import DELETE, IMAGE, Resource, container, edited, metadata

_PROMETHEUS = "kubernetes:monitoring.coreos.com/v1:"
_POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 65532.0, "seccompProfile": {"type": "RuntimeDefault"}}
_AMOUNTS = {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "1Gi"}
_RESOURCES = {"requests": dict(_AMOUNTS), "limits": dict(_AMOUNTS)}


def _server(kind: str) -> Resource:
    spec = {
        "image": IMAGE,
        "version": "v3.5.0",
        "replicas": 2.0,
        "resources": _RESOURCES,
        "automountServiceAccountToken": False,
        "securityContext": _POD_SECURITY,
    }
    return f"{_PROMETHEUS}{kind}", {"metadata": metadata("platform"), "spec": spec}


def _template(name: str) -> dict[str, Any]:
    main = container(name)
    for unwanted in ("image", "args", "env", "command", "livenessProbe", "readinessProbe", "startupProbe"):
        main.pop(unwanted, None)
    main["resources"] = copy.deepcopy(_RESOURCES)
    main.pop("volumeMounts", None)
    return {"spec": {"securityContext": _POD_SECURITY, "containers": [main]}}


def _elastic(group: str, kind: str, name: str) -> Resource:
    spec: dict[str, Any] = {"version": "9.2.0", "image": IMAGE}
    if kind == "Elasticsearch":
        spec["nodeSets"] = [{"name": "hot", "count": 3.0, "podTemplate": _template(name)}]
    elif kind in ("Beat", "Agent"):
        template = _template(name)
        template["spec"]["automountServiceAccountToken"] = False
        spec |= {"type": "filebeat", "daemonSet": {"podTemplate": template}}
    else:
        spec |= {"count": 2.0, "podTemplate": _template(name)}
    return f"kubernetes:{group}.k8s.elastic.co/v1:{kind}", {"metadata": metadata("logs"), "spec": spec}


GOOD = {
    **{kind: _server(kind) for kind in ("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler")},
    "Elasticsearch": _elastic("elasticsearch", "Elasticsearch", "elasticsearch"),
    "Kibana": _elastic("kibana", "Kibana", "kibana"),
    "Logstash": _elastic("logstash", "Logstash", "logstash"),
    "Beat": _elastic("beat", "Beat", "filebeat"),
    "Agent": _elastic("agent", "Agent", "agent"),
}


def _broken(resource: Resource, *, preview: bool = False) -> set[str]:
    pack = Pack(RULES, (), preview=preview)
    return {one.rule for one in pack.judge(Judged(*resource))}


@pytest.mark.parametrize("kind", GOOD)
def test_good_ones_pass(kind: str) -> None:
    assert _broken(GOOD[kind]) == set()
    assert _broken(GOOD[kind], preview=True) == set()


def _main(context: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "prometheus", "securityContext": context}]


_T = "spec podTemplate spec"
_N = "spec nodeSets 0 podTemplate spec"
_D = "spec daemonSet podTemplate spec"
_PATHS = {"Kibana": _T, "Logstash": _T, "Elasticsearch": _N, "Beat": _D, "Agent": _D}


@pytest.mark.parametrize(
    ("kind", "path", "value", "rule"),
    [
        *((kind, "spec image", "registry.example/x:1", "image-digest") for kind in GOOD),
        *((kind, "spec image", DELETE, "image-digest") for kind in GOOD),
        *((kind, f"{_PATHS.get(kind, 'spec')} hostNetwork", True, "pod-host-network") for kind in GOOD),
        *((kind, "spec securityContext", DELETE, "container-seccomp") for kind in GOOD if kind not in _PATHS),
        *(
            (kind, f"{_PATHS.get(kind, 'spec')} volumes", [{"name": "x", "hostPath": {"path": "/"}}], rule)
            for kind in GOOD
            for rule in ("pod-host-path",)
        ),
        *((kind, f"{path} containers", DELETE, "container-memory-limit") for kind, path in _PATHS.items()),
        *(
            (kind, f"{path} containers 0 securityContext", DELETE, "container-privilege-escalation")
            for kind, path in _PATHS.items()
        ),
        *((kind, path.rpartition(" ")[0], DELETE, "container-memory-limit") for kind, path in _PATHS.items()),
        *(
            (kind, f"{path} automountServiceAccountToken", True, "pod-service-account-token")
            for kind, path in _PATHS.items()
        ),
        ("Beat", f"{_D} automountServiceAccountToken", DELETE, "pod-service-account-token"),
        ("Prometheus", "spec resources", DELETE, "container-memory-limit"),
        ("Prometheus", "spec automountServiceAccountToken", DELETE, "pod-service-account-token"),
        ("Prometheus", "spec containers", _main({"privileged": True}), "container-privileged"),
        ("Prometheus", "spec containers", _main({"capabilities": {}}), "container-capabilities"),
        ("Prometheus", "spec containers", [{"name": "proxy", "image": IMAGE}], "container-memory-limit"),
        ("Prometheus", "spec containers", [{"name": "config-reloader"}], "container-memory-limit"),
        ("Prometheus", "spec thanos", {"resources": _RESOURCES}, "image-digest"),
        ("Prometheus", "spec thanos", {"image": IMAGE}, "container-memory-limit"),
        ("Prometheus", "spec replicas", 1000.0, "workload-replicas"),
        ("Kibana", "spec count", 1000.0, "workload-replicas"),
        ("Elasticsearch", "spec nodeSets 0 count", 1000.0, "workload-replicas"),
    ],
)
def test_each_field_is_seen(kind: str, path: str, value: object, rule: str) -> None:
    assert rule in _broken(edited(GOOD[kind], {path: value}))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        (
            "Prometheus",
            "spec containers",
            [{"name": "config-reloader", "resources": _RESOURCES, "securityContext": {"runAsUser": 1000.0}}],
        ),
        ("Prometheus", "spec containers", [{"name": "prometheus", "args": ["--log.level=debug"]}]),
        ("Prometheus", "spec thanos", {"image": IMAGE, "resources": _RESOURCES}),
        ("Elasticsearch", f"{_N} automountServiceAccountToken", False),
        ("Kibana", f"{_T} containers 0 image", IMAGE),
    ],
)
def test_what_the_operator_completes_passes(kind: str, path: str, value: object) -> None:
    assert _broken(edited(GOOD[kind], {path: value})) == set()


def test_the_image_of_a_container_goes_before_that_of_the_resource() -> None:
    edits = {f"{_T} containers 0 image": IMAGE, "spec image": DELETE}
    assert _broken(edited(GOOD["Kibana"], edits)) == set()


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Prometheus", "spec"),
        ("Prometheus", "spec containers"),
        ("Kibana", f"{_T} containers"),
        ("Logstash", "spec"),
    ],
)
def test_what_a_preview_does_not_know_is_refused(kind: str, path: str) -> None:
    unknown = edited(GOOD[kind], {path: UNKNOWN})
    assert "known-in-preview" in _broken(unknown, preview=True)


@pytest.mark.parametrize("name", ["podTemplate", "template"])
def test_templates_of_unknown_operators_are_judged_without_containers(name: str) -> None:
    spec: dict[str, Any] = {name: {"spec": {"hostNetwork": True}}}
    resource = ("kubernetes:example.test/v1:Thing", {"metadata": metadata("x"), "spec": spec})
    assert _broken(resource) == {"pod-host-network"}
    spec[name]["spec"] = {"hostNetwork": False, "nodeSelector": {"a": "b"}}
    assert _broken(resource) == set()
