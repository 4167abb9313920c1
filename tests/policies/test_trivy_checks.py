"""The pack on the objects that Trivy's own tests and examples allow and deny.

A check of Trivy is compared with the rules that name it as the same control (`policies.public_sets`): one of
them refuses what the check denies, none what it allows. What the two see differently is listed with the
reason, object by object; anything else fails.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import pytest

from policies.catalogue import RULES
from policies.public_sets import SAME_AS
from policies.resource import Resource
from tests.policies import trivy_checks
from tests.policies.trivy_checks import Sample
from toolchain.errors import ToolchainError

STRICTER: Final[Mapping[str, tuple[str, ...]]] = {
    "a wildcard in any field is refused, not only in all of them or in a certain one": (
        "any_any_test.rego test_any_any_role_not_api_group",
        "any_any_test.rego test_any_any_role_no_resource",
        "any_any_test.rego test_any_any_role_no_resource_no_verbs",
        "any_verb_test.rego test_any_verb_role_no_specific_resource",
        "any_verb_test.rego test_any_verb_role_no_any_verb",
        "manage_all_resources_test.rego test_resource_resource_role_no_specific_verb",
    ),
    "pods/exec, pods/attach and nodes/proxy are refused with whatever verb (`create1`, `update`)": (
        "attaching_pod_view_logs_realtime_test.rego test_getting_shell_on_pods_no_verb_create",
        "attaching_pod_view_logs_realtime_test.rego test_getting_shell_on_pods_no_resource_pod",
        "attaching_pod_view_logs_realtime_test.rego test_getting_shell_on_pods_no_verb_get",
        "get_shell_on_pod_test.rego test_getting_shell_on_pods_no_verb_create",
        "get_shell_on_pod_test.rego test_getting_shell_on_pods_no_resource_pod",
        "get_shell_on_pod_test.rego test_getting_shell_on_pods_no_verb_get",
        "privilege_escalation_from_node_proxy_test.rego "
        "test_privilege_escalation_from_node_proxy_not_secret_resource",
    ),
    "impersonation is refused whatever it is said to be of": (
        "impersonate_privileged_groups_test.rego test_impersonate_privileged_groups_not_api_group",
        "impersonate_privileged_groups_test.rego test_impersonate_privileged_groups_no_resource",
    ),
    "the subject is system:masters, which another check of Trivy denies": (
        "cluster_admin_role_is_only_used_where_required_test.rego "
        "test_non_role_ref_used_with_system_role_binding",
    ),
    "restricted standard: a pod that is Unconfined is refused also where its containers are not": (
        "11_seccomp_profile_unconfined_test.rego test_deployment_override_seccomp_profile_unconfined_allowed",
        "5_runtime_default_seccomp_profile_not_set_test.rego "
        "test_pod_context_runtime_default_is_overrided_allowed",
    ),
    "the API server no longer reads seccomp annotations (since 1.27)": (
        "11_seccomp_profile_unconfined_test.rego test_pod_annotations_seccomp_profile_unconfined_allowed",
        "5_runtime_default_seccomp_profile_not_set_test.rego test_annotation_allowed",
    ),
    "one rule for what Trivy splits: ALL is to be dropped, too": (
        "3_specific_capabilities_added_test.rego test_capabilities_add_empty_allowed",
        "3_specific_capabilities_added_test.rego test_capabilities_no_add_allowed",
        "3_specific_capabilities_added_test.rego test_no_capabilities_allowed",
        "3_specific_capabilities_added.yaml good[0]",
    ),
    "Pod Security admission wants ALL, and refuses all in small letters": (
        "6_drop_all_capabilities_only_add_net_bind_service_test.rego "
        "test_drop_all_add_net_bind_service_allowed",
        "capabilities_no_drop_all.yaml good[0]",
    ),
    "one rule for what Trivy splits: runAsNonRoot is to be set, too": (
        "4_runs_with_a_root_uid_test.rego test_run_as_group_not_defined_allowed",
        "4_runs_with_a_root_uid_test.rego test_run_as_user_set_to_non_zero_for_pod_allowed",
    ),
    "a check of the API server's flags that has the number of another in this version": (
        "always_pull_images_plugin_test.rego test_always_pull_images_plugin_is_enabled",
        "always_pull_images_plugin_test.rego test_always_pull_images_plugin_is_enabled_with_others",
    ),
    "the namespaces default and, but for exempted add-ons, kube-system hold no workload": (
        "protect_core_components_namespace_test.rego test_pod_with_default_namespace",
        "protect_core_components_namespace_test.rego test_pod_core_component",
    ),
    "a pod says itself that it gets no token: its ServiceAccount may be anybody's": (
        "protecting_pod_service_account_tokens_test.rego "
        "test_protect_service_account_token_denied_without_mountPath",
        "protecting_pod_service_account_tokens.yaml good[0]",
    ),
}
"""What the pack refuses and Trivy allows, by reason."""

SILENT: Final[Mapping[str, tuple[str, ...]]] = {
    "ClusterRolebinding is no kind of Kubernetes": (
        "anonymous_user_bind_test.rego test_cluster_role_binding_with_anonymous_user_binding",
        "masters_group_bind_test.rego test_cluster_role_binding_with_system_masters_binding",
    ),
    "a NetworkPolicy without selector and rules denies all ingress; it has no field `something`": (
        "selector_usage_in_network_policies.yaml bad[0]",
    ),
}
"""What Trivy denies and the pack lets pass, by reason."""


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    try:
        module = trivy_checks.download()
    except (ToolchainError, subprocess.SubprocessError) as error:
        pytest.skip(f"{trivy_checks.MODULE} is not to be had from the Go module proxy: {error}")
    found, left_out = trivy_checks.samples(module)
    assert (len(found), len(left_out)) == (673, 28)
    return found


def _rules_by_check() -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for rule, sets in SAME_AS.items():
        for check in sets.get("trivy", ()):
            found[check].add(rule)
    return found


def test_what_trivy_denies_is_refused_and_what_it_allows_passes(samples: list[Sample], capsys: Any) -> None:
    same, agreed = _rules_by_check(), {"allowed": 0, "denied": 0}
    stricter: set[str] = set()
    silent: set[str] = set()
    for sample in samples:
        resource = Resource(sample.token, sample.manifest)
        rules = [one for one in RULES if one.id in same.get(sample.check, ()) and one.judges(resource.token)]
        if not rules:
            continue
        refused = any(rule.violations(resource) for rule in rules)
        if refused == sample.denied:
            agreed["denied" if refused else "allowed"] += 1
        else:
            (stricter if refused else silent).add(sample.name)
    assert stricter == {name for names in STRICTER.values() for name in names}
    assert silent == {name for names in SILENT.values() for name in names}
    assert agreed == {"allowed": 90, "denied": 121}
    with capsys.disabled():
        print(
            f"\n{trivy_checks.MODULE} {trivy_checks.VERSION}: agreed on {agreed['denied']} denied and "
            f"{agreed['allowed']} allowed objects; the pack refuses {len(stricter)} more and lets "
            f"{len(silent)} pass, each for a reason"
        )
