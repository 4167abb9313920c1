"""The rules, judged by the real engine."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.catalogue import RULES, STACK_RULES
from tests.policies.cases import CASES
from tests.policies.cloud_cases import CLOUD_CASES, GOOD_CLOUD_STACK
from tests.policies.engine import Program, Verdict, analyze, analyze_run
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


def _recorded(name: str, resource: Resource, *, protect: bool = True) -> dict[str, Any]:
    token, properties = resource
    outputs = properties | ({"id": "vpc-1"} if token == "aws:ec2/vpc:Vpc" else {})
    return {
        "urn": _urn(token, name),
        "custom": True,
        "id": name,
        "type": token,
        "inputs": properties,
        "outputs": outputs,
        "protect": protect,
        "provider": f"{_PROVIDER['urn']}::{_PROVIDER['id']}",
    }


@pytest.mark.engine
@pytest.mark.slow
def test_every_case_has_the_same_verdict_in_the_engine(tmp_path: Path, capsys: Any) -> None:
    cases = [case for case in (*CASES, *CLOUD_CASES) if not case.options]
    names = {f"case-{index}": case for index, case in enumerate(cases)}
    bare = edited(GOOD["namespace"], {"metadata name": "bare"})
    server = edited(
        GOOD["deployment"], {"metadata namespace": "bare", "spec template spec initContainers": []}
    )
    budget = edited(GOOD["disruption-budget"], {"metadata namespace": "bare"})
    strict = edited(budget, {"spec": {"minAvailable": 2.0, "selector": {"matchLabels": {"x": "y"}}}})
    strict[1]["spec"]["selector"] = budget[1]["spec"]["selector"]
    resources = [
        _PROVIDER,
        *(_recorded(f"good-{name}", resource) for name, resource in {**GOOD, **GOOD_CLOUD_STACK}.items()),
        *(_recorded(name, case.resource, protect=case.protect) for name, case in names.items()),
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
        refused = sum(case.path is not None for case in cases)
        print(
            f"\npolicy pack on the real engine: {len(RULES)} + {len(STACK_RULES)} rules, {len(cases)} cases"
            f" ({refused} refused, {len(cases) - refused} passed), {len(verdicts)} violations"
        )


@pytest.mark.engine
def test_the_good_stack_passes_in_the_engine(tmp_path: Path) -> None:
    everything = {**GOOD, **GOOD_CLOUD_STACK}
    resources = [_PROVIDER, *(_recorded(name, resource) for name, resource in everything.items())]
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


# The program of this repository


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.engine
@pytest.mark.slow
def test_the_pack_as_a_program_judges_alike(program: Program) -> None:
    program.env["PULUMI_OPTION_POLICY_PACK"] = "policies/analyzer"
    done = program.run("preview", "--stack", "dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "autoglm-platform" in done.stdout
    _latest(program)
    done = program.run("preview", "--stack", "dev")
    assert done.returncode != 0
    assert re.search(r"\[mandatory\].* image-tag ", done.stdout), done.stdout


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("stack", ["dev", "staging", "prod", "onprem"])
def test_a_plan_without_credentials_passes_with_exemptions_alone(tmp_path: Path, stack: str) -> None:
    done = Program(tmp_path, stack).run("preview", "--stack", stack)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "autoglm-platform" in output
    assert "can't run policy" not in output
    assert "[mandatory]" not in output
    advisories = re.findall(r"\[advisory\] \[severity: \w+\]\s+(\S+)", output)
    assert set(advisories) <= {"exemption"}, output
    assert "not needed for" not in output


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "rule"),
    [
        ("eks/node_groups.py", 'http_tokens="required"', 'http_tokens="optional"', "node-metadata"),
        (
            "object_storage/s3.py",
            "block_public_policy=True",
            "block_public_policy=False",
            "bucket-public-access",
        ),
    ],
    ids=["metadata service", "public bucket policy"],
)
def test_a_weakened_cloud_is_refused_in_a_plan_without_credentials(
    tmp_path: Path, file: str, old: str, new: str, rule: str
) -> None:
    program = Program(tmp_path, "prod")
    program.edit(f"components/{file}", old, new)
    done = program.run("preview", "--stack", "prod")
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert re.search(rf"\[mandatory\].* {rule} ", output), output


def _without_limits(program: Program) -> None:
    program.edit(
        "components/common/pods.py",
        "requests=resources.amounts(), limits=limits.amounts()",
        "requests=resources.amounts()",
    )


def _latest(program: Program) -> None:
    # Past the program's own check of references.
    program.edit(
        "components/model_server/component.py", "image=args.image,", 'image="autoglm.local/vllm:latest",'
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
        "requests=resources.amounts(), limits=limits.amounts()",
        'requests=resources.amounts() | {"nvidia.com/gpu": "1"},'
        ' limits=limits.amounts() | {"nvidia.com/gpu": "2"}',
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


_LEVELS_REFUSED = {
    "typo": ({"imagedigest": "disabled"}, "imagedigest: no such rule"),
    "typo in an option": ({"workload-replicas": {"maximun": 4}}, "workload-replicas.maximun: unknown"),
    "expired": (
        {
            "pod-host-path": {
                "exemptions": [
                    {"resource": "*device-plugin*", "reason": "needs its socket", "expires": "2020-01-01"}
                ]
            }
        },
        "pod-host-path.exemptions[0].expires: 2020-01-01 is past",
    ),
}


@pytest.mark.engine
@pytest.mark.parametrize(("content", "problem"), _LEVELS_REFUSED.values(), ids=list(_LEVELS_REFUSED))
def test_a_wrong_levels_file_from_anywhere_is_refused(
    tmp_path: Path, content: dict[str, Any], problem: str
) -> None:
    file = tmp_path / "levels.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    done = analyze_run([_PROVIDER, _recorded("service", GOOD["service"])], tmp_path, file)
    assert done.returncode != 0
    assert problem in done.stdout + done.stderr


@pytest.mark.engine
def test_an_exemption_is_reported_and_lets_pass(tmp_path: Path) -> None:
    expires = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)).isoformat()
    exemption = {"resource": "kubernetes:core/v1:Service::entry", "reason": "moves to ClusterIP soon"}
    file = tmp_path / "levels.json"
    file.write_text(
        json.dumps({"service-node-port": {"exemptions": [{**exemption, "expires": expires}]}}),
        encoding="utf-8",
    )
    node_port = edited(GOOD["service"], {"spec type": "NodePort"})
    exempt, other = _recorded("entry", node_port), _recorded("other", node_port)
    verdicts = analyze([_PROVIDER, exempt], tmp_path, file)
    assert [(one.rule, one.level) for one in verdicts] == [("exemption", "advisory")]
    assert f"service-node-port: moves to ClusterIP soon; until {expires}" in verdicts[0].message
    verdicts = analyze([_PROVIDER, exempt, other], tmp_path, file)
    assert {(one.rule, one.urn, one.level) for one in verdicts} == {
        ("exemption", exempt["urn"], "advisory"),
        ("service-node-port", other["urn"], "mandatory"),
    }


def _pack_processes(folder: Path) -> list[int]:
    """Processes that serve the pack of a copy of the program."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        # Started by a language host or, as a program, by the engine itself.
        pack = b"pulumi.policy" in arguments or bytes(folder / "policies") in arguments
        if pack and any(one.startswith(bytes(folder)) for one in arguments):
            found.append(int(entry.parent.name))
    return found


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("seconds", [0.0, 1.5], ids=["at the start", "while it judges"])
@pytest.mark.parametrize("pack", ["policies", "policies/analyzer"])
def test_f10_a_killed_pack_fails_closed(program: Program, pack: str, seconds: float) -> None:
    program.env["PULUMI_OPTION_POLICY_PACK"] = str(program.folder / pack)
    running = program.start("up", "--stack", "dev", "--yes")
    deadline = time.monotonic() + 60
    while not (found := _pack_processes(program.folder)):
        assert running.poll() is None, "the engine ended before it had a pack"
        assert time.monotonic() < deadline, "no process of the pack"
        time.sleep(0.02)
    time.sleep(seconds)
    for process in found:
        os.kill(process, signal.SIGKILL)
    output, errors = running.communicate(timeout=120)
    assert running.returncode != 0, output + errors
    assert program.resources() == []
