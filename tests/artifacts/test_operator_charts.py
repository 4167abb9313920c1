"""Charts of operators with our values: rendered by Helm's own engine, judged by the policy pack.

The charts are those of the operators' Go modules: cert-manager v1.21.0 and ECK 3.5.0, the versions that the
settings of the examples name. kube-prometheus-stack is in no module; see
docs/decisions/0013-operators-from-charts.md.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from components.operators.plan import ChartPlan, OperatorPlan, PodAccess
from policies.catalogue import RULES
from policies.resource import Resource
from tests.unit.operators.examples import CERT_MANAGER_VERSION, ECK_VERSION, plan
from toolchain import golang, paths
from toolchain.errors import ToolchainError

Json = dict[str, Any]

KUBERNETES: Final = "v1.36.3"
_CERT_MANAGER: Final = "github.com/cert-manager/cert-manager"
_ECK: Final = "github.com/elastic/cloud-on-k8s/v3"
FOLDERS: Final = {
    "cert-manager": (_CERT_MANAGER, paths.CERT_MANAGER_MODULE, "deploy/charts/cert-manager"),
    "eck-operator": (_ECK, paths.CHARTS_MODULE, "deploy/eck-operator"),
}
"""Module, the module of ours that requires it, and the chart's folder in it, by release."""
EXEMPTED: Final = {
    ("workload-probes", "Deployment", "cert-manager"),
    ("workload-probes", "Deployment", "cert-manager-cainjector"),
    ("workload-probes", "StatefulSet", "elastic-operator"),
    ("rbac-escalation", "ClusterRole", "cert-manager-cainjector"),
    ("rbac-escalation", "ClusterRole", "cert-manager-controller-certificates"),
    ("rbac-escalation", "ClusterRole", "cert-manager-controller-challenges"),
    ("rbac-escalation", "ClusterRole", "cert-manager-controller-clusterissuers"),
    ("rbac-escalation", "ClusterRole", "cert-manager-controller-issuers"),
    ("rbac-escalation", "ClusterRole", "cert-manager-controller-orders"),
    ("rbac-escalation", "ClusterRole", "elastic-operator"),
    ("job-deadline", "Job", "cert-manager-startupapicheck"),
}
"""Rule, kind and name of what the charts cannot be told otherwise."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes a lone `=` for something special; Go does not, and a definition lists one."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


@dataclass(frozen=True)
class Rendered:
    """A chart and its objects."""

    operator: OperatorPlan
    chart: ChartPlan
    objects: tuple[Json, ...]

    def of(self, *kinds: str) -> Iterator[Json]:
        """The objects of these kinds."""
        return (item for item in self.objects if item["kind"] in kinds)

    @property
    def pods(self) -> Mapping[str, Json]:
        """Pod templates by name of their workload."""
        kinds = ("Deployment", "StatefulSet", "DaemonSet", "Job")
        return {item["metadata"]["name"]: item["spec"]["template"] for item in self.of(*kinds)}


def _folder(release: str) -> Path:
    """The chart's folder; its module is checked against go.sum."""
    module, within, folder = FOLDERS[release]
    done = subprocess.run(
        [golang.go(), "mod", "download", "-json", module],
        cwd=within,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"module {module} cannot be had: {done.stderr.strip()[-300:]}")
    return Path(json.loads(done.stdout)["Dir"]) / folder


def _render(
    folder: Path, chart: ChartPlan, namespace: str, scratch: Path
) -> subprocess.CompletedProcess[str]:
    try:
        program = golang.ensure_binaries("helm-render")["helm-render"]
    except ToolchainError as error:
        pytest.skip(f"Helm's engine cannot be built: {error}")
    values = scratch / "values.json"
    values.write_text(json.dumps(chart.values), encoding="utf-8")
    arguments = {
        "chart": str(folder),
        "values": str(values),
        "release": chart.release,
        "namespace": namespace,
        "kubernetes": KUBERNETES,
    }
    flags = [f"-{key}={value}" for key, value in arguments.items()]
    return subprocess.run([program, *flags], capture_output=True, text=True, timeout=60, check=False)


def _documents(manifests: Mapping[str, str]) -> Iterator[Json]:
    for manifest in manifests.values():
        # As Helm parts documents (releaseutil.SplitManifests).
        for text in re.split(r"(?:^|\s*\n)---\s*", manifest):
            document = yaml.load(text, _Loader)
            if document:
                yield document


@pytest.fixture(scope="module", params=sorted(FOLDERS))
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    (operator, chart) = next(
        (operator, chart)
        for operator in plan().installed
        for chart in operator.charts
        if chart.release == request.param
    )
    done = _render(_folder(chart.release), chart, operator.namespace, tmp_path_factory.mktemp("chart"))
    assert done.returncode == 0, done.stderr
    return Rendered(operator, chart, tuple(_documents(json.loads(done.stdout))))


def test_the_modules_are_of_the_versions_that_the_charts_have() -> None:
    versions = {
        release: golang.module_version(module, within) for release, (module, within, _) in FOLDERS.items()
    }
    assert versions == {"cert-manager": CERT_MANAGER_VERSION, "eck-operator": f"v{ECK_VERSION}"}


def test_a_value_that_the_chart_does_not_know_is_refused(tmp_path: Path) -> None:
    (operator,) = [one for one in plan().installed if one.name == "cert-manager"]
    values = copy.deepcopy(dict(operator.charts[0].values)) | {"replicaCounts": 2}
    chart = ChartPlan("cert-manager", "", "", values)
    done = _render(_folder("cert-manager"), chart, "cert-manager", tmp_path)
    assert done.returncode == 1
    assert "replicaCounts" in done.stderr


def test_every_object_is_valid_kubernetes(rendered: Rendered) -> None:
    assert rendered.pods
    for item in rendered.objects:
        if item["kind"] != "CustomResourceDefinition":
            kubernetes_validate.validate(item, "1.36", strict=True)


def test_the_pack_objects_to_what_it_is_exempted_from(rendered: Rendered) -> None:
    found = {
        (rule.id, item["kind"], item["metadata"]["name"])
        for item in rendered.objects
        for token in (_token(item),)
        for rule in RULES
        if rule.judges(token) and rule.violations(Resource(token, item))
    }
    names = {item["metadata"]["name"] for item in rendered.objects}
    assert found == {one for one in EXEMPTED if one[2] in names}


@pytest.mark.parametrize("stack", ["onprem", "prod", "staging"])
def test_the_stacks_levels_have_the_exemptions(rendered: Rendered, stack: str) -> None:
    levels = json.loads((paths.ROOT / "policies" / "levels" / f"{stack}.json").read_text(encoding="utf-8"))
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in rendered.objects}
    for rule, kind, name in EXEMPTED:
        item = by_name.get((kind, name))
        if item is None:
            continue
        # As helm.v4.Chart names them: prefix, namespace, name.
        namespace = item["metadata"].get("namespace")
        resource = f"{rendered.chart.release}-chart:{f'{namespace}/' if namespace else ''}{name}"
        patterns = [one["resource"] for one in levels.get(rule, {}).get("exemptions", [])]
        assert any(fnmatchcase(f"{_token(item)}::{resource}", one) for one in patterns), (rule, resource)


def _token(item: Json) -> str:
    group, _, version = item["apiVersion"].rpartition("/")
    return f"kubernetes:{group or 'core'}/{version}:{item['kind']}"


def test_no_object_is_a_hook(rendered: Rendered) -> None:
    hooks = [
        item["metadata"]["name"]
        for item in rendered.objects
        if "helm.sh/hook" in (item["metadata"].get("annotations") or {})
    ]
    assert hooks == []


def test_definitions_stay_when_the_operator_goes(rendered: Rendered) -> None:
    policies = [
        (item["metadata"].get("annotations") or {}).get("helm.sh/resource-policy")
        for item in rendered.of("CustomResourceDefinition")
    ]
    assert policies
    assert set(policies) == {"keep"}


def test_no_registry_but_ones_own_is_named(rendered: Rendered) -> None:
    workloads = json.dumps(list(rendered.of("Deployment", "StatefulSet", "Job", "ConfigMap")))
    assert (
        re.findall(r"(?:quay\.io|docker\.io|docker\.elastic\.co|ghcr\.io|registry\.k8s\.io)", workloads) == []
    )
    images = [c["image"] for pod in rendered.pods.values() for c in pod["spec"]["containers"]]
    assert all(re.fullmatch(r"registry\.example\.com/.+@sha256:[0-9a-f]{64}", image) for image in images)


def test_each_pod_has_its_network_policy_with_the_ports_that_it_serves(rendered: Rendered) -> None:
    seen = []
    for name, template in rendered.pods.items():
        labels = template["metadata"]["labels"]
        chosen = [one for one in rendered.operator.access if one.selector.items() <= labels.items()]
        assert len(chosen) == 1, name
        seen += chosen
        ports = {
            port["containerPort"]: port["name"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", [])
        }
        _ports_are(chosen[0], ports)
    assert len(seen) == len(rendered.operator.access)


def _ports_are(access: PodAccess, ports: Mapping[int, str]) -> None:
    for port, pattern in ((access.webhook_port, "http"), (access.metrics_port, "metrics")):
        if port is not None:
            assert pattern in ports.get(port, ""), (access.name, port, ports)


def test_pods_and_quota_agree(rendered: Rendered) -> None:
    replicas = sum(item["spec"]["replicas"] for item in rendered.of("Deployment", "StatefulSet"))
    assert replicas < rendered.operator.pods + 1
    asked = rendered.operator.container.amounts()
    for template in rendered.pods.values():
        (container,) = template["spec"]["containers"]
        assert container["resources"] == {"requests": asked, "limits": asked}
