"""The rules, judged by the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import PolicyCustomTimeouts, PolicyResourceOptions, ResourceValidationArgs
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies import sdk
from policies.catalogue import RULES, STACK_RULES
from tests.policies.cases import CASES
from tests.policies.engine import Program, Verdict, analyze
from tests.policies.examples import GOOD, Resource, edited


def _urn(token: str, name: str) -> str:
    return f"urn:pulumi:dev::fixtures::{token}::{name}"


_PROVIDER_TOKEN = "pulumi:providers:kubernetes"
_PROVIDER = {
    "urn": _urn(_PROVIDER_TOKEN, "cluster"),
    "custom": True,
    "id": "00000000-0000-4000-8000-000000000000",
    "type": _PROVIDER_TOKEN,
    "inputs": {},
    "outputs": {},
}


def _recorded(name: str, resource: Resource) -> dict[str, Any]:
    token, properties = resource
    return {
        "urn": _urn(token, name),
        "custom": True,
        "id": name,
        "type": token,
        "inputs": properties,
        "outputs": properties,
        "provider": f"{_PROVIDER['urn']}::{_PROVIDER['id']}",
    }


@pytest.mark.engine
@pytest.mark.slow
def test_every_case_has_the_same_verdict_in_the_engine(tmp_path: Path, capsys: Any) -> None:
    names = {f"case-{index}": case for index, case in enumerate(CASES)}
    bare = edited(GOOD["namespace"], {"metadata name": "bare"})
    server = edited(
        GOOD["deployment"], {"metadata namespace": "bare", "spec template spec initContainers": []}
    )
    budget = edited(GOOD["disruption-budget"], {"metadata namespace": "bare"})
    strict = edited(budget, {"spec": {"minAvailable": 2.0, "selector": {"matchLabels": {"x": "y"}}}})
    strict[1]["spec"]["selector"] = budget[1]["spec"]["selector"]
    resources = [
        _PROVIDER,
        *(_recorded(f"good-{name}", resource) for name, resource in GOOD.items()),
        *(_recorded(name, case.resource) for name, case in names.items()),
        _recorded("bare-namespace", bare),
        _recorded("bare-server", server),
        _recorded("bare-budget", strict),
    ]
    verdicts = analyze(resources, tmp_path)
    seen = {(one.rule, one.urn.rpartition("::")[2]) for one in verdicts}

    assert {one.level for one in verdicts} == {"mandatory"}
    resource_rules = {rule.id for rule in RULES}
    assert not [(rule, urn) for rule, urn in seen if urn.startswith("good-") and rule in resource_rules]
    for name, case in names.items():
        assert ((case.rule, name) in seen) == (case.path is not None), case
    assert {rule for rule, urn in seen if urn == "bare-namespace"} >= {
        "namespace-default-deny",
        "namespace-quota",
        "namespace-limit-range",
        "disruption-budget-below-replicas",
    }
    with capsys.disabled():
        refused = sum(case.path is not None for case in CASES)
        print(
            f"\npolicy pack on the real engine: {len(RULES)} + {len(STACK_RULES)} rules, {len(CASES)} cases"
            f" ({refused} refused, {len(CASES) - refused} passed), {len(verdicts)} violations"
        )


@pytest.mark.engine
def test_the_good_stack_passes_in_the_engine(tmp_path: Path) -> None:
    resources = [_PROVIDER, *(_recorded(name, resource) for name, resource in GOOD.items())]
    assert analyze(resources, tmp_path) == []


@pytest.mark.engine
def test_a_server_without_budget_is_refused_by_the_engine(tmp_path: Path) -> None:
    resources = [
        _PROVIDER,
        *(_recorded(name, resource) for name, resource in GOOD.items() if name != "disruption-budget"),
    ]
    assert _rules(analyze(resources, tmp_path)) == {"serving-disruption-budget"}


def _rules(verdicts: list[Verdict]) -> set[str]:
    return {one.rule for one in verdicts}


def test_an_unknown_value_leaves_the_verdict_mandatory() -> None:
    """In a preview the SDK raises where an unknown value is read, which would make the rule advisory."""
    token, properties = edited(
        GOOD["deployment"],
        {
            "metadata name": UNKNOWN_STRING_VALUE,
            "spec template spec containers 0 args 1": UNKNOWN_STRING_VALUE,
            "spec template spec initContainers 0 image": UNKNOWN_STRING_VALUE,
            "spec template spec containers 0 image": "registry.example/vllm:latest",
        },
    )
    options = PolicyResourceOptions(False, [], False, [], PolicyCustomTimeouts(0, 0, 0), [], None)
    found: dict[str, list[str]] = {}
    for rule in RULES:
        args = ResourceValidationArgs(
            token, unknown_checking_proxy(properties), _urn(token, "x"), "x", options, None, None, {}
        )
        policy: Any = sdk.Pack([rule], []).policies[0]
        policy.validate(args, lambda message, urn=None, id=rule.id: found.setdefault(id, []).append(message))
    assert set(found) == {"image-digest", "image-tag"}
    assert "containers[0]" in found["image-tag"][0]


# The program of this repository


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.engine
@pytest.mark.slow
def test_the_dev_program_passes_every_rule_without_advisories(program: Program) -> None:
    done = program.run("preview", "--stack", "dev")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "autoglm-platform" in output
    assert "can't run policy" not in output
    assert "[advisory]" not in output
    assert "[mandatory]" not in output


def _without_limits(program: Program) -> None:
    program.edit(
        "components/common/pods.py",
        "requests=resources.amounts(), limits=resources.amounts()",
        "requests=resources.amounts()",
    )


def _latest(program: Program) -> None:
    # Past the program's own check of references.
    program.edit(
        "components/model_server/component.py", "image=spec.image,", 'image="autoglm.local/vllm:latest",'
    )


def _without_default_deny(program: Program) -> None:
    program.edit(
        "components/tenant_namespace/component.py",
        'pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]\n',
        'pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]\n',
    )
    program.edit(
        "components/tenant_namespace/component.py", 'metadata("default-deny")', 'metadata("renamed")'
    )


def _unequal_gpus(program: Program) -> None:
    program.edit(
        "components/common/pods.py",
        "requests=resources.amounts(), limits=resources.amounts()",
        'requests=resources.amounts() | {"nvidia.com/gpu": "1"},'
        ' limits=resources.amounts() | {"nvidia.com/gpu": "2"}',
    )


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (_without_limits, "container-memory-limit"),
        (_latest, "image-tag"),
        (_without_default_deny, "namespace-default-deny"),
        (_unequal_gpus, "accelerator-request-equals-limit"),
    ],
    ids=["limits removed", "latest", "default-deny removed", "GPU request is not the limit"],
)
def test_up_is_refused_and_changes_nothing(
    program: Program, break_it: Callable[[Program], None], rule: str
) -> None:
    break_it(program)
    done = program.run("up", "--stack", "dev", "--yes")
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert re.search(rf"\[mandatory\].* {rule} ", output), output
    assert program.resources() == []


@pytest.mark.engine
def test_a_misspelt_level_keeps_the_pack_from_starting(program: Program) -> None:
    (program.folder / "policies" / "levels" / "prod.json").write_text(
        '{"imagedigest": "disabled"}', encoding="utf-8"
    )
    done = program.run("preview", "--stack", "dev")
    assert done.returncode != 0
    assert "prod.json: imagedigest: no such rule" in done.stdout + done.stderr
