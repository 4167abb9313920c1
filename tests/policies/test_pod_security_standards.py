"""The Pod Security Standards, judged on the Kubernetes project's own test data.

Source: module k8s.io/pod-security-admission, folder test/testdata/{baseline,restricted}/v1.*/{pass,fail}, at
the version that the toolchain builds Kubernetes from.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from policies.catalogue import RULES
from policies.public_sets import SAME_AS
from policies.resource import Resource
from tests.policies.engine import Verdict, analyze
from tests.policies.public_sets import pod_security_module
from toolchain.errors import ToolchainError

MODULE: Final = "k8s.io/pod-security-admission"
STANDARD_RULES: Final = {rule.id: rule for rule in RULES if "pss" in SAME_AS.get(rule.id, {})}
_CHECKS: Final = {
    "allowprivilegeescalation": {"container-privilege-escalation"},
    "apparmorprofile": {"pod-app-armor"},
    "capabilities_baseline": {"container-capabilities"},
    "capabilities_restricted": {"container-capabilities"},
    "hostnamespaces": {"pod-host-namespaces", "pod-host-network"},
    "hostpathvolumes": {"pod-host-path"},
    "hostports": {"container-host-port"},
    "hostprobesandhostlifecycle": {"container-probe-host"},
    "privileged": {"container-privileged"},
    "procmount": {"container-proc-mount"},
    "procmount_restricted": {"container-proc-mount"},
    "restrictedvolumes": {"pod-volume-types", "pod-host-path"},
    "runasnonroot": {"container-non-root"},
    "runasuser": {"container-non-root"},
    "seccompprofile_baseline": {"container-seccomp"},
    "seccompprofile_restricted": {"container-seccomp"},
    "selinuxoptions": {"pod-selinux"},
    "sysctls": {"pod-sysctls"},
    "windowshostprocess": {"pod-host-process"},
}
"""Rules by the name that the data gives to a check."""


@dataclass(frozen=True)
class Sample:
    """A pod of the test data."""

    level: str
    version: str
    allowed: bool
    name: str
    file: Path

    @property
    def check(self) -> str:
        """The check that it is about; `base` for the pods that the others are made from."""
        return re.sub(r"[0-9]+$", "", self.name)

    @property
    def options(self) -> dict[str, dict[str, object]]:
        """Levels file that sets the standard."""
        return {"namespace-pod-security": {"level": self.level, "version": self.version}}

    @property
    def properties(self) -> dict[str, Any]:
        result: dict[str, Any] = yaml.load(self.file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        return result


@cache
def _folder() -> Path:
    try:
        return pod_security_module() / "test" / "testdata"
    except (ToolchainError, subprocess.SubprocessError) as error:
        pytest.skip(f"module {MODULE} cannot be had here: {error}")


@cache
def samples() -> tuple[Sample, ...]:
    """All pods of the test data."""
    found = tuple(
        Sample(level, version.name, verdict == "pass", file.stem, file)
        for level in ("baseline", "restricted")
        for version in sorted((_folder() / level).iterdir())
        for verdict in ("pass", "fail")
        for file in sorted((version / verdict).glob("*.yaml"))
    )
    assert len(found) > 4000
    return found


def _judged(sample: Sample) -> set[str]:
    resource = Resource("kubernetes:core/v1:Pod", sample.properties, options=sample.options)
    return {id for id, rule in STANDARD_RULES.items() if rule.violations(resource)}


def test_every_check_of_the_standard_has_rules() -> None:
    assert {rule for rules in _CHECKS.values() for rule in rules} == set(STANDARD_RULES)
    assert {sample.check for sample in samples()} - set(_CHECKS) == {"base", "base_linux", "base_windows"}


@pytest.mark.slow
def test_every_pod_is_judged_as_kubernetes_judges_it(capsys: Any) -> None:
    for sample in samples():
        found = _judged(sample)
        if sample.allowed:
            assert not found, sample
        else:
            assert found & _CHECKS[sample.check], sample
    with capsys.disabled():
        print(f"\nPod Security Standards: {len(samples())} pods judged by the rules")


def _recorded(sample: Sample) -> dict[str, Any]:
    name = f"{'pass' if sample.allowed else 'fail'}-{sample.name}"
    token = "kubernetes:core/v1:Pod"
    return {
        "urn": f"urn:pulumi:dev::standards::{token}::{name}",
        "custom": True,
        "id": name,
        "type": token,
        "inputs": sample.properties,
        "outputs": sample.properties,
        "provider": f"{_PROVIDER['urn']}::{_PROVIDER['id']}",
    }


_PROVIDER: Final = {
    "urn": "urn:pulumi:dev::standards::pulumi:providers:kubernetes::cluster",
    "custom": True,
    "id": "00000000-0000-4000-8000-000000000000",
    "type": "pulumi:providers:kubernetes",
    "inputs": {},
    "outputs": {},
}


def _groups() -> Iterator[tuple[str, str, list[Sample]]]:
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples():
        groups.setdefault((sample.level, sample.version), []).append(sample)
    for (level, version), members in groups.items():
        yield level, version, members


def _analyzed(group: tuple[str, str, list[Sample]], folder: Path) -> list[Verdict]:
    level, version, members = group
    own = folder / f"{level}-{version}"
    own.mkdir()
    levels = own / "levels.json"
    levels.write_text(json.dumps(members[0].options), encoding="utf-8")
    return analyze([_PROVIDER, *map(_recorded, members)], own, levels)


@pytest.mark.engine
@pytest.mark.slow
def test_every_pod_is_judged_so_by_the_real_engine(tmp_path: Path, capsys: Any) -> None:
    groups = list(_groups())
    with ThreadPoolExecutor(max_workers=2) as pool:
        verdicts = list(pool.map(lambda group: _analyzed(group, tmp_path), groups))
    for (_, _, members), found in zip(groups, verdicts, strict=True):
        by_name: dict[str, set[str]] = {}
        for one in found:
            if one.rule in STANDARD_RULES:
                assert one.level == "mandatory"
                by_name.setdefault(one.urn.rpartition("::")[2], set()).add(one.rule)
        for sample in members:
            rules = by_name.get(_recorded(sample)["id"], set())
            assert bool(rules) != sample.allowed, sample
            assert sample.allowed or rules & _CHECKS[sample.check], sample
    allowed = sum(sample.allowed for sample in samples())
    with capsys.disabled():
        print(
            f"\nPod Security Standards through pulumi policy analyze: {len(samples())} pods of {MODULE}, "
            f"{allowed} allowed, {len(samples()) - allowed} refused, {len(groups)} levels and versions"
        )


MINIMAL: Final = {
    "metadata": {"name": "x", "namespace": "tenant"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "c",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}


@pytest.mark.parametrize("version", ["v1.35", "v1.36", "v1.99"])
def test_a_minimal_pod_meets_the_newest_standard(version: str) -> None:
    options = {"namespace-pod-security": {"level": "restricted", "version": version}}
    resource = Resource("kubernetes:core/v1:Pod", MINIMAL, options=options)
    assert [id for id, rule in STANDARD_RULES.items() if rule.violations(resource)] == []


def test_without_levels_the_newest_restricted_standard_holds() -> None:
    bare = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c"}]}}
    found = {
        id for id, rule in STANDARD_RULES.items() if rule.violations(Resource("kubernetes:core/v1:Pod", bare))
    }
    assert found == {
        "container-capabilities",
        "container-non-root",
        "container-privilege-escalation",
        "container-seccomp",
    }
