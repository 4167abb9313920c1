"""The pack on the objects that tests of linters and of a library of admission policies allow and deny.

A check there is compared with the rules that name it as the same control (`policies.public_sets`): one of
them refuses what the check denies, none what it allows. What the two see differently is listed with the
reason; anything else fails. The objects are not part of this project: PUBLIC_SETS names a folder with clones
of the repositories, called owner+name, at the commits that tests/policies/public_sets.json records.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pytest

from policies.catalogue import RULES
from policies.public_sets import SAME_AS, PublicSet
from tests.policies.corpora import READERS, objects
from tests.policies.public_sets import RECORD, SOURCES

FOLDER: Final = "PUBLIC_SETS"
"""Environment variable."""
_DROPS_ALL: Final = "one rule for what linters split: ALL is to be dropped, too"
_BOTH_PROBES: Final = "one rule for what linters split: readiness and liveness are to be probed"
_TOKEN: Final = (
    "a pod says itself that it gets no token, and so does its ServiceAccount: either may be used alone"
)
_ANY_PATH: Final = "every hostPath is refused, not certain ones or writable ones only"
_INVALID: Final = "the field is no part of the object there; the API server drops or refuses it"

STRICTER: Final[Mapping[PublicSet, Mapping[str, tuple[str, ...]]]] = {
    "kube-linter": {
        _DROPS_ALL: ("drop-net-raw-capability/*/dont-fire/*",),
        _BOTH_PROBES: ("no-liveness-probe/*/dont-fire/*", "no-readiness-probe/*/dont-fire/*"),
        _ANY_PATH: ("docker-sock/*/dont-fire/*",),
    },
    "polaris": {
        _DROPS_ALL: ("dangerousCapabilities/success.yaml", "insecureCapabilities/success.*"),
        _BOTH_PROBES: ("livenessProbeMissing/success.yaml", "readinessProbeMissing/success.yaml"),
        _TOKEN: ("automountServiceAccountToken/success.*",),
        "pods/exec and pods/attach are refused with whatever verb": (
            "*PodExecAttach/success.*_wrong_verb.yaml",
        ),
        "the roles admin, cluster-admin and system:… are the API server's own: nobody else writes them": (
            "clusterrolePodExecAttach/success.defaultclusterrole_*.yaml",
            "*/success.system_prefix*.yaml",
            "*/success.gce_calico_*.yaml",
        ),
        "a wildcard in any field is refused, not only in all of them": (
            "*ClusterAdmin*/success.explicit_*.yaml",
        ),
        "a budget that states nothing bounds nothing": ("pdbDisruptionsIsZero/success.none.yaml",),
    },
    "kubescape": {
        _TOKEN: ("automount-service-account/*", "serviceaccount-token-mount/*"),
        "cluster-admin is not bound in a single namespace either: it has every right there": (
            "cluster-admin-role/clusterrole-rolebinding/RoleBinding/pod",
        ),
        "no container runtime verifies a digest by these algorithms": (
            "image-not-pinned-to-digest/pod-blake3-pinned/*",
            "image-not-pinned-to-digest/pod-custom-digest/*",
            "image-not-pinned-to-digest/pod-short-custom-digest/*",
        ),
        "the Service kubernetes is made by the API server itself": (
            "service-in-default-namespace/kubernetes-default-allowed/Service/kubernetes",
        ),
        "a group that everybody is in gets no rights, not even to read ConfigMaps": (
            "system-authenticated-allowed-to-take-over-cluster/success/ClusterRoleBinding/system:viewer",
        ),
    },
    "kubescape-cel": {
        _DROPS_ALL: ("C-0046/*", "C-0199/2:*", "C-0200/*"),
        _BOTH_PROBES: ("C-0018/*", "C-0056/*"),
        _ANY_PATH: ("C-0045/*", "C-0074/*"),
        "one rule for what Kubescape splits: hostPID and hostIPC": (
            "C-0194/3:*",
            "C-0195/3:*",
            "C-0275/3:*",
            "C-0276/3:*",
        ),
        "restricted standard: runAsNonRoot is to be set, a number is not enough": (
            "C-0013/1:*",
            "C-0013/11:*",
            "C-0198/*",
        ),
        "a list of values that are allowed after all is a parameter; the pack has exemptions": (
            "C-0012/13:*",
        ),
        "a group that everybody is in gets no rights": ("C-0262/3:*",),
    },
    "kube-score": {
        "pods are probed whether or not a Service selects them, and each of their containers": (
            "pod-probes/pod-probes-targeted-by-service-different-namespace.yaml",
            "pod-probes/pod-probes-not-targeted-by-service*.yaml",
            "pod-probes/pod-probes-on-different-containers.yaml",
        ),
        "the API server no longer reads seccomp annotations (since 1.27)": (
            "container-seccomp-profile/pod-seccomp-annotated.yaml",
        ),
    },
    "datree": {
        _DROPS_ALL: (
            "CIS_MISSING_VALUE_DROP_NET_RAW/pass/*",
            "CONTAINERS_INVALID_CAPABILITIES_VALUE/pass/*",
            "EKS_INVALID_CAPABILITIES_EKS/pass/*",
        ),
        _BOTH_PROBES: ("CONTAINERS_MISSING_READINESSPROBE_KEY/pass/*",),
        _TOKEN: ("CIS_INVALID_VALUE_AUTOMOUNTSERVICEACCOUNTTOKEN/pass/*",),
        _ANY_PATH: ("EKS_INVALID_HOSTPATH_MOUNT_READONLY_VALUE/pass/*",),
        "endpoints are not written by hand, whatever the address": (
            "ENDPOINTSLICE_CVE2021_25373_INCORRECT_ADDRESSES_VALUE/pass/*",
        ),
        "a wildcard within a domain is a wildcard": ("INGRESS_INCORRECT_HOST_VALUE_PERMISSIVE/pass/*",),
        "one rule for what Datree splits: the SELinux type is spc_t": (
            "EKS_INVALID_SELINUXOPTIONS_USER_VALUE/pass/*",
            "EKS_INVALID_SELINUXOPTIONS_ROLE_VALUE/pass/*",
        ),
        "restricted standard: no profile is not the default one": (
            "CIS_INVALID_VALUE_SECCOMP_PROFILE/pass/*",
        ),
    },
}
"""What the pack refuses and a linter allows, by reason; names may be patterns."""

SILENT: Final[Mapping[PublicSet, Mapping[str, tuple[str, ...]]]] = {
    "kube-linter": {
        "a name that only begins with `secret` is none of a credential": ("env-var-secret/*/app/1",),
        "a Deployment without pods is refused as such (pod-shape)": ("use-namespace/Deployment/app1/1",),
    },
    "polaris": {},
    "kubescape": {
        "the role is refused; a binding to it says nothing more": (
            "exec-into-container-v1/*/RoleBinding/*",
            "rule-can-*/*Binding/*",
        ),
        "the binding is refused; the role says nothing more": (
            "cluster-admin-role/clusterrole-clusterrolebinding/ClusterRole/cluster-admin",
            "system-authenticated-allowed-to-take-over-cluster/fail/ClusterRole/system:viewer",
        ),
        "the control is of the controller's version": ("CVE-2021-25742/deployment-*/Deployment/test",),
        "Kubescape denies variables from Secrets; a variable is their second best place, not a literal": (
            "rule-credentials-in-env-var/*-envfrom-secretref/*",
        ),
        "the word JWT, a text with _key_ in it, and a sentence are no credentials": (
            "rule-credentials-in-env-var/deployment/Deployment/test2",
            "rule-credentials-in-env-var/pod/Pod/audit-pod",
            "rule-credentials-in-env-var/workloads/Deployment/test2",
        ),
        "SYS_ADMIN is refused as a capability (container-capabilities)": ("rule-privileged-container/*",),
        "not to be set means Default": ("set-procmount-default/workload/Deployment/my-deployment",),
        "restricted standard: a profile of the node's own is as good": (
            "set-seccomp-profile-RuntimeDefault/pod/Pod/audit-pod",
            "set-seccomp-profile-RuntimeDefault/workloads/Deployment/my-deployment",
        ),
        "the pod that uses it is refused": (
            "serviceaccount-token-mount/pod-mount-and-rb-bind/ServiceAccount/default",
        ),
    },
    "kubescape-cel": {
        "least and most amounts are parameters; those of a namespace are its LimitRange's": (
            "C-0004/3:*",
            "C-0050/4:*",
            "C-0050/5:*",
            "C-02[67][0-9]/2:*",
        ),
        "privileges that can be gained have a rule of their own (container-privilege-escalation)": (
            "C-0013/5:*",
            "C-0013/6:*",
            "C-0013/15:*",
            "C-0013/16:*",
        ),
        "SYS_ADMIN and ALL are refused as capabilities (container-capabilities)": ("C-0057/*",),
        "the namespace default holds no workloads; what else lies there reaches nobody": ("C-0212/*",),
    },
    "kube-score": {
        "a request that is missing is the limit": (
            "container-ephemeral-storage-request-and-limit/pod-ephemeral-storage-missing-request.yaml",
        ),
    },
    "datree": {
        _INVALID: (
            "CONTAINERS_INCORRECT_HOSTPID_VALUE_TRUE/fail/26-fail.yaml",
            "CONTAINERS_INCORRECT_HOSTNETWORK_VALUE_TRUE/fail/28-fail.yaml",
            "CONTAINERS_INCORRECT_PATH_VALUE_DOCKERSOCKET/fail/30-fail*.yaml",
        ),
        "`not-false` is not true": (
            "CONFIGMAP_CVE2021_25742_INCORRECT_SNIPPET_ANNOTATIONS_VALUE/fail/31-fail.yaml",
        ),
        "secrets of one namespace may be named in a Role there": (
            "CIS_INVALID_VERB_SECRETS/fail/96-fail.yaml",
        ),
    },
}
"""What a linter denies and the pack lets pass, by reason."""

AGREED: Final[Mapping[PublicSet, tuple[int, int]]] = {
    "kube-linter": (40, 21),
    "polaris": (86, 39),
    "kubescape": (157, 44),
    "kubescape-cel": (206, 140),
    "kube-score": (17, 10),
    "datree": (37, 32),
}
"""Objects that both deny, and that both allow."""


@pytest.mark.parametrize("public_set", READERS)
def test_what_linters_deny_is_refused_and_what_they_allow_passes(public_set: PublicSet, capsys: Any) -> None:
    folder = Path(os.environ.get(FOLDER, ""))
    if FOLDER not in os.environ or not (folder / SOURCES[public_set].replace("/", "+")).is_dir():
        pytest.skip(f"{FOLDER} names no folder with a clone of {SOURCES[public_set]}")
    commit, found = objects(folder, public_set)
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))[public_set]["commit"]
    if commit != recorded:
        pytest.skip(f"the clone of {SOURCES[public_set]} is at {commit}, not at {recorded}")
    same: dict[str, set[str]] = defaultdict(set)
    for rule, sets in SAME_AS.items():
        for check in sets.get(public_set, ()):
            same[check].add(rule)
    agreed = {True: 0, False: 0}
    stricter: set[str] = set()
    silent: set[str] = set()
    for one in found:
        resource = one.resource
        rules = [rule for rule in RULES if rule.id in same[one.policy] and rule.judges(resource.token)]
        if not rules:
            continue
        refused = any(rule.violations(resource) for rule in rules)
        if refused == one.denied:
            agreed[refused] += 1
        else:
            (stricter if refused else silent).add(one.name)
    for differing, listed in ((stricter, STRICTER[public_set]), (silent, SILENT[public_set])):
        patterns = [pattern for names in listed.values() for pattern in names]
        assert [name for name in sorted(differing) if not _listed(name, patterns)] == []
        assert [one for one in patterns if not any(fnmatchcase(name, one) for name in differing)] == []
    assert (agreed[True], agreed[False]) == AGREED[public_set]
    with capsys.disabled():
        print(
            f"\n{public_set} {commit[:12]}: agreed on {agreed[True]} denied and {agreed[False]} allowed "
            f"objects; the pack refuses {len(stricter)} more and lets {len(silent)} pass, each for a reason"
        )


def _listed(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, one) for one in patterns)
