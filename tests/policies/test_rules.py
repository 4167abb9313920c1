"""The rules, judged as functions."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from policies.catalogue import IDS, RULES, STACK_RULES
from policies.preview import PREVIEWED_RULE, UNKNOWN_RULE
from policies.resource import Resource as Judged
from policies.rule import Rule, Stack, StackResource, StackRule
from policies.values import UNKNOWN
from tests.policies.cases import CASES, Case
from tests.policies.cloud_cases import CLOUD_CASES
from tests.policies.cloud_examples import CLOUD
from tests.policies.examples import DELETE, GOOD, Resource, container, edited, pod_spec, template, workload

ALL_CASES = (*CASES, *CLOUD_CASES)
EVERYTHING = {**GOOD, **CLOUD}
_RULES = {rule.id: rule for rule in RULES}
_STACK_RULES = {rule.id: rule for rule in STACK_RULES}

_SHAPES = tuple(
    f"kubernetes:{kind}"
    for kind in (
        "core/v1:Pod",
        "core/v1:PodTemplate",
        "core/v1:ReplicationController",
        "apps/v1:Deployment",
        "apps/v1:StatefulSet",
        "apps/v1:DaemonSet",
        "apps/v1:ReplicaSet",
        "batch/v1:Job",
        "batch/v1:CronJob",
    )
)


def _violations(resource: Resource) -> list[str]:
    judged = Judged(*resource, protect=True)
    return [
        f"{rule.id}: {found}"
        for rule in RULES
        if rule.judges(judged.token)
        for found in rule.violations(judged)
    ]


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
def test_case(case: Case) -> None:
    rule = _RULES[case.rule]
    judged = Judged(*case.resource, protect=case.protect, options=case.options)
    found = rule.violations(judged) if rule.judges(judged.token) else []
    if case.path is None:
        assert found == []
    else:
        assert any(case.path in one for one in found), found


@pytest.mark.parametrize("name", EVERYTHING)
def test_good_example_passes_every_rule(name: str) -> None:
    assert _violations(EVERYTHING[name]) == []


def test_every_rule_has_cases_that_pass_and_fail() -> None:
    for refused in (True, False):
        # These judge previews and updates, not resources: tests/policies/test_{server,previewed}.py.
        ruled = set(_RULES) - {UNKNOWN_RULE, PREVIEWED_RULE}
        assert {case.rule for case in ALL_CASES if (case.path is not None) == refused} == ruled


def test_rules_are_described() -> None:
    assert len(IDS) == len(RULES) + len(STACK_RULES)
    assert len(IDS) >= 20
    rules: list[Rule | StackRule] = [*RULES, *STACK_RULES]
    for rule in rules:
        assert rule.title[-1].isalnum()
        assert rule.rationale.endswith(".")
        assert rule.fix
        assert not rule.fix.endswith(".")


def _shapes(resource: Resource) -> Iterator[Resource]:
    """A built-in object in every form in which it can be written."""
    token, properties = resource
    prefix, _, kind = token.rpartition(":")
    version = prefix.removeprefix("kubernetes:")
    own = {"apiVersion": version.removeprefix("core/"), "kind": kind}
    yield resource
    yield f"{token}Patch", properties
    yield f"{token}List", {"items": [properties]}
    yield f"{token}List", {"items": [own | properties]}
    yield "kubernetes:core/v1:List", {"items": [own | properties]}
    yield f"kubernetes:{version.removeprefix('core/')}:{kind}", own | properties


@pytest.mark.parametrize("token", _SHAPES)
@pytest.mark.parametrize("field", ["containers", "initContainers", "ephemeralContainers"])
def test_every_shape_and_every_kind_of_container_is_judged(token: str, field: str) -> None:
    rule = _RULES["container-memory-limit"]
    for shape in _shapes(workload(token)):
        assert rule.violations(Judged(*shape)) == [], shape[0]
    bad = container("bad")
    del bad["resources"]["limits"]["memory"]
    broken = copy.deepcopy(workload(token))
    _pod_spec(broken[1])[field] = [bad]
    for shape in _shapes(broken):
        assert any(f"{field}[0] (bad)" in one for one in rule.violations(Judged(*shape))), shape[0]


def _pod_spec(value: Any) -> dict[str, Any]:
    """The first object with containers in it."""
    if isinstance(value, dict):
        if "containers" in value:
            return value
        for item in value.values():
            if isinstance(item, dict) and (found := _pod_spec(item)):
                return found
    return {}


@pytest.mark.parametrize(
    ("token", "spec"),
    [
        ("argoproj.io/v1alpha1:Rollout", {"template": template()}),
        (
            "leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
            {"leaderWorkerTemplate": {"workerTemplate": template()}},
        ),
        ("batch.volcano.sh/v1alpha1:Job", {"tasks": [{"template": template()}]}),
        ("ray.io/v1:RayClusterPatch", {"workerGroupSpecs": [{"template": template()}]}),
        ("ray.io/v1:RayService", {"rayClusterConfig": {"headGroupSpec": {"template": template()}}}),
        ("serving.knative.dev/v1:Service", {"template": template()}),
        ("serving.kserve.io/v1beta1:InferenceService", {"predictor": pod_spec()}),
        ("serving.kserve.io/v1alpha1:LLMInferenceService", {"template": pod_spec()}),
    ],
)
def test_pod_templates_in_custom_resources_are_judged(token: str, spec: dict[str, Any]) -> None:
    resource = (f"kubernetes:{token}", {"metadata": {"name": "x", "namespace": "tenant"}, "spec": spec})
    assert _violations(resource) == []
    pod = next(_specs(copied := copy.deepcopy(spec)))
    pod["hostNetwork"] = True
    pod["containers"][0]["image"] = "registry.example/x:latest"
    found = "\n".join(_violations((resource[0], {**resource[1], "spec": copied})))
    assert "pod-host-network" in found
    assert "image-tag" in found


def _specs(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for item in value.values():
            yield from _specs(item)
    for item in value if isinstance(value, list) else []:
        yield from _specs(item)


def test_the_model_of_an_inference_service_is_a_container() -> None:
    model = {"modelFormat": {"name": "huggingface"}, **container("kserve-container")}
    del model["image"]  # KServe's own
    predictor = {**pod_spec(), "model": model}
    del predictor["containers"]
    token = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
    resource = (token, {"metadata": {"name": "x", "namespace": "tenant"}, "spec": {"predictor": predictor}})
    assert _violations(resource) == []
    del model["resources"]["limits"]["memory"]
    found = [one.partition(":")[0] for one in _violations(resource)]
    assert found == ["container-memory-limit"]


@pytest.mark.parametrize("items", [{"0": {}}, "none", None, [1]])
def test_a_list_that_hides_its_items_is_refused(items: object) -> None:
    for token in (
        "kubernetes:apps/v1:DeploymentList",
        "kubernetes:core/v1:PodList",
        "kubernetes:core/v1:List",
    ):
        assert [one.partition(":")[0] for one in _violations((token, {"items": items}))] == ["pod-shape"]


def test_resources_of_other_providers_are_not_judged() -> None:
    for token in ("azure:x/y:Z", "pulumi:providers:kubernetes", "kubernetes", "a:b:c:d", ""):
        assert _violations((token, GOOD["deployment"][1])) == []


def test_a_patch_is_not_blamed_for_what_it_leaves() -> None:
    for kind in ("apps/v1:Deployment", "core/v1:Namespace", "batch/v1:Job", "networking.k8s.io/v1:Ingress"):
        patch = (f"kubernetes:{kind}Patch", {"metadata": {"name": "x", "annotations": {"a": "b"}}})
        assert _violations(patch) == []


def test_a_patch_that_weakens_is_refused() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    patch = ("kubernetes:core/v1:NamespacePatch", {"metadata": {"name": "kube-system", "labels": labels}})
    assert [one.partition(":")[0] for one in _violations(patch)] == ["namespace-pod-security"]
    host_network = {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"hostNetwork": True}}}}
    found = _violations(("kubernetes:apps/v1:DeploymentPatch", host_network))
    assert [one.partition(":")[0] for one in found] == ["pod-host-network"]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values, objects and lists included."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _leaves(item, (*path, key))


def _replaced(resource: Resource, path: tuple[Any, ...], value: object) -> Resource:
    token, properties = copy.deepcopy(resource)
    holder: Any = properties
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return token, properties


@pytest.mark.parametrize("name", EVERYTHING)
def test_whatever_is_unknown_is_left_out_of_the_verdict(name: str) -> None:
    for path in _leaves(EVERYTHING[name][1]):
        assert _violations(_replaced(EVERYTHING[name], path, UNKNOWN)) == [], path


def test_the_verdict_on_the_rest_stands() -> None:
    broken = edited(
        GOOD["deployment"], {"spec template spec containers 0 image": "registry.example/vllm:latest"}
    )
    survivors = 0
    for path in _leaves(broken[1]):
        if path[:1] == ("metadata",) or "resources" in path or "env" in path or "volumes" in path:
            found = "\n".join(_violations(_replaced(broken, path, UNKNOWN)))
            assert "image-tag" in found, path
            survivors += 1
    assert survivors > 40


SECRET = "S3cr3t+Value=="


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_message_repeats_a_free_text(name: str) -> None:
    for path in _leaves(EVERYTHING[name][1]):
        for value in (SECRET, [SECRET], {SECRET: SECRET}):
            assert SECRET not in "\n".join(_violations(_replaced(EVERYTHING[name], path, value))), path


def test_no_message_repeats_a_literal_credential() -> None:
    for case in CASES:
        if case.rule == "container-credentials" and case.path:
            found = "\n".join(_violations(case.resource))
            assert "hf_x" not in found
            assert "abc" not in found


def test_no_message_repeats_a_credential_of_a_config_map() -> None:
    judged = 0
    for case in CASES:
        if case.rule == "config-map-credentials" and case.path:
            found = "\n".join(_violations(case.resource))
            for word in re.findall(r"[\w+/!$@]*[0-9][\w+/!$@]*", str(list(case.edits.values()))):
                assert len(word) < 3 or word not in found, (word, found)
                judged += 1
    assert judged > 15


# The stack as a whole


def _stack(edits: Mapping[str, Mapping[str, Any] | object] | None = None) -> list[StackResource]:
    """The good examples as a stack, with some of them edited or left out."""
    edits = edits or {}
    result: list[StackResource] = []
    for name, resource in GOOD.items():
        edit = edits.get(name, {})
        if edit is not DELETE:
            assert isinstance(edit, dict)
            token, properties = edited(resource, edit)
            urn = f"urn:pulumi:dev::test::{token}::{name}"
            namespace = f"urn:pulumi:dev::test::{GOOD['namespace'][0]}::namespace"
            result.append(StackResource(token, urn, properties, frozenset({namespace})))
    return result


_OWN_NAMESPACE = {"metadata namespace": "elsewhere"}


@pytest.mark.parametrize(
    ("rule", "edits", "message"),
    [
        ("namespace-default-deny", {"default-deny": DELETE}, "denies ingress"),
        ("namespace-default-deny", {"default-deny": DELETE}, "denies egress"),
        ("namespace-default-deny", {"default-deny": _OWN_NAMESPACE}, "denies ingress"),
        ("namespace-default-deny", {"default-deny": {"spec policyTypes": ["Ingress"]}}, "denies egress"),
        ("namespace-default-deny", {"default-deny": {"spec ingress": [{}]}}, "denies ingress"),
        (
            "namespace-default-deny",
            {"default-deny": {"spec podSelector": {"matchLabels": {"a": "b"}}}},
            "denies",
        ),
        ("namespace-quota", {"quota": DELETE}, "requests.cpu"),
        ("namespace-quota", {"quota": _OWN_NAMESPACE}, "requests.cpu"),
        ("namespace-quota", {"quota": {"spec hard limits.memory": DELETE}}, "bounds limits.memory"),
        (
            "namespace-quota",
            {"quota": {"spec hard requests.nvidia.com/gpu": DELETE}},
            "requests.nvidia.com/gpu",
        ),
        ("namespace-quota", {"quota": {"spec scopes": ["BestEffort"]}}, "requests.cpu"),
        ("namespace-limit-range", {"limit-range": DELETE}, "default.cpu"),
        ("namespace-limit-range", {"limit-range": {"spec limits 0 type": "Pod"}}, "default.cpu"),
        ("namespace-limit-range", {"limit-range": {"spec limits 0 max memory": DELETE}}, "states max.memory"),
        ("serving-disruption-budget", {"disruption-budget": DELETE}, "Deployment server has no"),
        (
            "serving-disruption-budget",
            {"disruption-budget": {"spec selector matchLabels": {"app": "other"}}},
            "Deployment server has no",
        ),
        (
            "serving-scrape-target",
            {"deployment": {"spec template metadata annotations": DELETE}},
            "Deployment server: nothing collects its metrics",
        ),
        (
            "etcd-backup",
            {
                "deployment": {"spec template spec containers 0 command": ["etcd", "--config-file=/x"]},
                "cron-job": DELETE,
            },
            "no CronJob takes snapshots",
        ),
        (
            "disruption-budget-below-replicas",
            {"disruption-budget": {"spec maxUnavailable": DELETE, "spec minAvailable": 2.0}},
            "demands 2 of the 2 pods",
        ),
    ],
)
def test_stack_rule_refuses(rule: str, edits: dict[str, Any], message: str) -> None:
    found = _STACK_RULES[rule].violations(Stack(_stack(edits)))
    assert any(message in one.message for one in found), found
    named = (
        "::namespace"
        if rule.startswith(("namespace-", "serving-disruption", "disruption-"))
        else "::deployment"
    )
    assert all(one.urn.endswith(named) for one in found)


@pytest.mark.parametrize("rule", STACK_RULES, ids=lambda rule: rule.id)
def test_stack_rule_passes_the_good_stack(rule: Any) -> None:
    assert rule.violations(Stack(_stack())) == []
    assert rule.violations(Stack([])) == []


def test_two_policies_can_deny_together() -> None:
    resources = _stack({"default-deny": {"spec policyTypes": ["Ingress"], "metadata name": "deny-ingress"}})
    token, properties = edited(
        GOOD["default-deny"], {"spec policyTypes": ["Egress"], "metadata name": "deny-egress"}
    )
    resources.append(StackResource(token, "urn:pulumi:dev::test::x::deny-egress", properties))
    assert _STACK_RULES["namespace-default-deny"].violations(Stack(resources)) == []


def test_an_unknown_namespace_is_found_by_where_its_name_comes_from() -> None:
    unknown = {"metadata namespace": UNKNOWN}
    namespaced = ("default-deny", "quota", "limit-range", "disruption-budget", "deployment")
    resources = _stack({"namespace": {"metadata name": UNKNOWN}} | dict.fromkeys(namespaced, unknown))
    for rule in STACK_RULES:
        assert rule.violations(Stack(resources)) == []
    without = [one for one in resources if not one.urn.endswith("::default-deny")]
    assert len(_STACK_RULES["namespace-default-deny"].violations(Stack(without))) == 2


@pytest.mark.parametrize("name", GOOD)
def test_unknown_values_do_not_break_stack_rules(name: str) -> None:
    if name in ("job", "cron-job", "deployment", "leader-worker-set"):
        return  # what is unknown of a workload can only be compared in the update
    for path in _leaves(GOOD[name][1]):
        token, properties = _replaced(GOOD[name], path, UNKNOWN)
        resources = [
            StackResource(
                one.token,
                one.urn,
                properties if one.urn.endswith(f"::{name}") else one.properties,
                one.dependencies,
            )
            for one in _stack()
        ]
        for rule in STACK_RULES:
            assert rule.violations(Stack(resources)) == [], (name, path, rule.id)
        assert token
