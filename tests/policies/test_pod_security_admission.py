"""The API server's own Pod Security admission against the pack: the same pods, the same verdict, by check.

Judged are the Kubernetes project's test data (module k8s.io/pod-security-admission), each pod by the level
and version that it was written for and by both levels of the server's own version; pods that combine what
the test data varies one at a time; and the same pods as templates of workloads, of which admission warns.
Everything is a dry run against a kube-apiserver of its own.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import pytest

from policies.resource import Resource
from tests.harness import api_server
from tests.harness.api_server import Answer, ApiServer
from tests.policies.combined_pods import combined
from tests.policies.test_pod_security_standards import STANDARD_RULES, samples
from toolchain.errors import ToolchainError

pytestmark = pytest.mark.slow

_LEVELS: Final = ("baseline", "restricted")
_CLIENTS: Final = 4
_COMBINED: Final = 700
_MINOR: Final = int(api_server.version().removeprefix("v1."))
_REASONS: Final[dict[str, set[str]]] = {
    "allowPrivilegeEscalation != false": {"container-privilege-escalation"},
    "forbidden AppArmor profile": {"pod-app-armor"},
    "forbidden AppArmor profiles": {"pod-app-armor"},
    "forbidden sysctls": {"pod-sysctls"},
    "host namespaces": {"pod-host-namespaces", "pod-host-network"},
    "hostPath volumes": {"pod-host-path"},
    "hostPort": {"container-host-port"},
    "hostProcess": {"pod-host-process"},
    "non-default capabilities": {"container-capabilities"},
    "privileged": {"container-privileged"},
    "probe or lifecycle host": {"container-probe-host"},
    "procMount": {"container-proc-mount"},
    "restricted volume types": {"pod-volume-types", "pod-host-path"},
    "runAsNonRoot != true": {"container-non-root"},
    "runAsUser=0": {"container-non-root"},
    "seLinuxOptions": {"pod-selinux"},
    "seccompProfile": {"container-seccomp"},
    "unrestricted capabilities": {"container-capabilities"},
}
"""Rules by the reason that admission gives (ForbiddenReason in the module's policy/check_*.go)."""
_VALIDATION: Final = {
    "`hostUsers` must be false to use `Unmasked`": "container-proc-mount",
}
"""What the server's validation refuses before admission is asked, and our rule that refuses the same."""


@dataclass(frozen=True)
class Case:
    """A pod and the standard to judge it by."""

    pod: str
    """JSON, so that a pod that occurs in the data of many versions is asked for once."""
    level: str
    version: str

    @property
    def namespace(self) -> str:
        return f"{self.level}-{self.version.removeprefix('v1.')}"

    def ours(self) -> set[str]:
        """The pack's rules that the pod breaks."""
        options = {"namespace-pod-security": {"level": self.level, "version": self.version}}
        resource = Resource("kubernetes:core/v1:Pod", json.loads(self.pod), options=options)
        return {id for id, rule in STANDARD_RULES.items() if rule.violations(resource)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    try:
        with api_server.start(tmp_path_factory.mktemp("pod-security")) as started:
            for level, minor in itertools.product(_LEVELS, range(_MINOR + 1)):
                labels = {
                    "pod-security.kubernetes.io/enforce": level,
                    "pod-security.kubernetes.io/enforce-version": f"v1.{minor}",
                }
                started.namespace(f"{level}-{minor}", labels)
            for level in _LEVELS:
                started.namespace(f"warn-{level}", {"pod-security.kubernetes.io/warn": level})
            yield started
    except ToolchainError as error:
        pytest.skip(f"the API server cannot be had here: {error}")


def _text(pod: dict[str, Any]) -> str:
    """Test data names pods after checks, with characters that names of objects do not have."""
    metadata = {**pod["metadata"], "name": str(pod["metadata"]["name"]).replace("_", "-")}
    return json.dumps({**pod, "metadata": metadata}, sort_keys=True)


def _asked(server: ApiServer, cases: Iterable[Case]) -> list[tuple[Case, Answer]]:
    def ask(case: Case) -> tuple[Case, Answer]:
        pod = json.loads(case.pod)
        pod["metadata"]["namespace"] = case.namespace
        return case, server.create(pod, dry_run=True)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(ask, cases))


def _reasons(message: str) -> list[str]:
    """The reasons in admission's message: `reason (details), reason (details)`, details being nested."""
    found, depth, start = [], 0, 0
    for index, character in enumerate(message):
        if character == "(":
            if depth == 0:
                found.append(message[start:index].strip(" ,"))
            depth += 1
        elif character == ")":
            depth -= 1
            start = index + 1
    return found


def _disagreement(theirs: Iterable[str], ours: set[str]) -> str | None:
    """A reason that no rule of ours stands for, or a rule of ours that no reason of theirs does."""
    expected = [_REASONS[reason] for reason in theirs]
    for reason, rules in zip(theirs, expected, strict=True):
        if not rules & ours:
            return f"only the server: {reason}"
    only = ours - set().union(*expected)
    return f"only the pack: {', '.join(sorted(only))}" if only else None


def _compared(answers: Iterable[tuple[Case, Answer]]) -> Counter[str]:
    """How often which verdict fell; AssertionError with every disagreement."""
    verdicts: Counter[str] = Counter()
    wrong: list[str] = []
    for case, answer in answers:
        ours = case.ours()
        found = re.search(r'violates PodSecurity "[^"]+": (.*)', answer.message, re.DOTALL)
        if answer.accepted:
            verdict, problem = "allowed", _disagreement([], ours)
        elif found:
            verdict, problem = "refused", _disagreement(_reasons(found[1]), ours)
        else:
            rules = {rule for text, rule in _VALIDATION.items() if text in answer.message}
            verdict = "refused by validation"
            problem = None if rules and rules <= ours else "refused for another reason"
        verdicts[verdict] += 1
        if problem:
            wrong.append(f"{case.level} {case.version}: {problem}\n  {answer.message}\n  {case.pod}")
    assert not wrong, f"{len(wrong)} disagreements:\n" + "\n".join(wrong[:10])
    return verdicts


def _told(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))


def test_admission_and_pack_agree_on_the_test_data(server: ApiServer, capsys: Any) -> None:
    occurrences: Counter[Case] = Counter()
    own: Counter[Case] = Counter()
    expected: dict[Case, bool] = {}
    for sample in samples():
        pod = _text(sample.properties)
        case = Case(pod, sample.level, sample.version)
        occurrences[case] += 1
        expected[case] = sample.allowed
        own.update(Case(pod, level, api_server.version()) for level in _LEVELS)
    answers = _asked(server, dict.fromkeys([*occurrences, *own]))
    verdicts = _compared(answers)
    by_case = dict(answers)
    # The data says so too, so nothing was lost on the way here.
    assert [case for case, allowed in expected.items() if by_case[case].accepted != allowed] == []
    newest = Counter({"allowed": 0, "refused": 0})
    for case, count in own.items():
        newest["allowed" if by_case[case].accepted else "refused"] += count
    with capsys.disabled():
        print(
            f"\nPod Security admission of Kubernetes {api_server.version()} and the pack agree on "
            f"{occurrences.total()} pods of the test data at their own level and version, and on "
            f"{own.total()} verdicts at the server's version by both levels ({_told(newest)}); "
            f"{len(answers)} different requests: {_told(verdicts)}"
        )


# Pods that combine what the test data varies one at a time


def test_admission_and_pack_agree_on_combinations(server: ApiServer, capsys: Any) -> None:
    source = random.Random(20261121)
    cases: dict[Case, None] = {}
    for _ in range(_COMBINED):
        pod = _text(combined(source))
        cases[Case(pod, "baseline", api_server.version())] = None
        cases[Case(pod, "restricted", api_server.version())] = None
        cases[Case(pod, source.choice(_LEVELS), f"v1.{source.randint(0, _MINOR)}")] = None
    answers = _asked(server, cases)
    judged = [(case, answer) for case, answer in answers if answer.status in (201, 403)]
    verdicts = _compared(judged)
    assert len(judged) > 0.9 * len(answers), Counter(a.message for _, a in answers if a.status == 422)
    assert min(verdicts["allowed"], verdicts["refused"]) > _COMBINED // 4
    with capsys.disabled():
        print(
            f"\nPod Security admission and the pack agree on {len(judged)} verdicts over combined pods: "
            f"{_told(verdicts)}; {len(answers) - len(judged)} more were no valid pods"
        )


# Every shape: admission warns of templates

_WORKLOADS: Final = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "PodTemplate": "v1",
}


def _workload(kind: str, pod: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": "x"}
    template: dict[str, Any] = {
        "metadata": {**pod["metadata"], "labels": labels},
        "spec": copy.deepcopy(pod["spec"]),
    }
    template["metadata"].pop("name")
    result: dict[str, Any] = {"apiVersion": _WORKLOADS[kind], "kind": kind, "metadata": {"name": "x"}}
    if kind == "PodTemplate":
        return {**result, "template": template}
    if kind == "CronJob":
        template["spec"]["restartPolicy"] = "Never"
        job = {"spec": {"template": template}}
        return {**result, "spec": {"schedule": "* * * * *", "jobTemplate": job}}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
        return {**result, "spec": {"template": template}}
    selector: dict[str, Any] = labels if kind == "ReplicationController" else {"matchLabels": labels}
    spec: dict[str, Any] = {"selector": selector, "template": template}
    return {**result, "spec": {**spec, "serviceName": "x"} if kind == "StatefulSet" else spec}


def test_admission_and_pack_agree_on_every_kind_of_workload(server: ApiServer, capsys: Any) -> None:
    pods = list(dict.fromkeys(_text(sample.properties) for sample in samples()))
    kinds = itertools.cycle(_WORKLOADS)
    asked = [(next(kinds), json.loads(pod), level) for pod in pods for level in _LEVELS]

    def ask(one: tuple[str, dict[str, Any], str]) -> Answer:
        kind, pod, level = one
        manifest = _workload(kind, pod)
        manifest["metadata"]["namespace"] = f"warn-{level}"
        return server.create(manifest, dry_run=True)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(ask, asked))
    verdicts: Counter[str] = Counter()
    wrong: list[str] = []
    for (kind, pod, level), answer in zip(asked, answers, strict=True):
        manifest = _workload(kind, pod)
        options = {"namespace-pod-security": {"level": level, "version": api_server.version()}}
        group = _WORKLOADS[kind] if "/" in _WORKLOADS[kind] else f"core/{_WORKLOADS[kind]}"
        resource = Resource(f"kubernetes:{group}:{kind}", manifest, options=options)
        ours = {id for id, rule in STANDARD_RULES.items() if rule.violations(resource)}
        if not answer.accepted:
            rules = {rule for text, rule in _VALIDATION.items() if text in answer.message}
            verdicts["refused by validation"] += 1
            problem = None if rules and rules <= ours else f"refused for another reason: {answer.message}"
        else:
            warned = [one for one in answer.warnings if "would violate PodSecurity" in one]
            reasons = [reason for one in warned for reason in _reasons(one.partition('": ')[2])]
            verdicts["warned of" if warned else "allowed"] += 1
            problem = _disagreement(reasons, ours)
        if problem:
            wrong.append(f"{kind} {level}: {problem}\n  {answer.warnings}\n  {json.dumps(pod)}")
    assert not wrong, f"{len(wrong)} disagreements:\n" + "\n".join(wrong[:10])
    with capsys.disabled():
        print(
            f"\nPod Security admission and the pack agree on {len(asked)} templates of "
            f"{len(_WORKLOADS)} kinds: {_told(verdicts)}"
        )
