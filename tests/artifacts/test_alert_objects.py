"""Objects of monitoring before a real API server with prometheus-operator's own definitions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.monitoring.objects import API_VERSION
from tests.harness import api_server
from tests.harness.api_server import ApiServer
from tests.unit.graph import Registration, objects
from tests.unit.monitoring.test_components import build
from toolchain import golang, paths
from toolchain.errors import ToolchainError

pytestmark = pytest.mark.slow
_MODULE = "github.com/prometheus-operator/prometheus-operator"


def definitions() -> Path:
    """Of prometheus-operator, as its module has them; skips where that cannot be had."""
    try:
        done = subprocess.run(
            [golang.go(), "mod", "download", "-json", _MODULE],
            cwd=paths.PROMETHEUS_MODULE,
            env={**os.environ, **golang.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
    except (ToolchainError, OSError) as error:
        pytest.skip(f"no Go: {error}")
    if done.returncode:
        reason = done.stderr.strip() or done.stdout.strip()
        pytest.skip(f"prometheus-operator's module cannot be had: {reason}")
    return Path(json.loads(done.stdout)["Dir"]) / "example" / "prometheus-operator-crd"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    found = definitions()
    with api_server.start(tmp_path_factory.mktemp("api-server")) as started:
        # PyYAML reads a lone `=` in them as YAML 1.1 does, and fails; kubectl does not.
        started.kubectl("apply", "--server-side", "-f", str(found)).succeeded()
        started.kubectl("wait", "--for=condition=Established", "crd", "--all").succeeded()
        for namespace in ("autoglm", "monitoring", "node-agents"):
            started.namespace(namespace)
        yield started


@pytest.fixture(scope="module")
def graph() -> list[Registration]:
    return build()


def test_every_object_is_admitted(server: ApiServer, graph: list[Registration]) -> None:
    # What a Secret holds is hidden from here.
    wanted = [item for item in objects(graph) if item.inputs.get("kind") not in (None, "Secret")]
    assert {"Prometheus", "Alertmanager", "PodMonitor", "PrometheusRule", "DaemonSet"} <= {
        item.inputs["kind"] for item in wanted
    }
    refused = {}
    for item in wanted:
        answer = server.create(item.document, dry_run=True)
        if not answer.accepted:
            refused[item.name] = answer.message
    assert refused == {}


MUTANTS = {
    "replicas in words": ("Prometheus", "replicas", "two"),
    "a retention without a unit": ("Prometheus", "retention", "15 days"),
    "an interval without a unit": ("Prometheus", "scrapeInterval", "15"),
    "a size without a unit": ("Prometheus", "retentionSize", "much"),
}


@pytest.mark.parametrize("case", MUTANTS)
def test_what_the_definitions_forbid_is_refused(
    server: ApiServer, graph: list[Registration], case: str
) -> None:
    kind, key, value = MUTANTS[case]
    (item,) = (one for one in objects(graph) if one.inputs.get("kind") == kind)
    wrong = item.document
    assert wrong["apiVersion"] == API_VERSION
    wrong["spec"][key] = value
    answer = server.create(wrong, dry_run=True)
    assert not answer.accepted
    assert f"spec.{key}" in answer.message
