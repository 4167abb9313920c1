"""Grafana's objects before a real API server: admission, Pod Security, prometheus-operator's definitions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.grafana.component import GrafanaServer, GrafanaServerArgs
from components.tenant_namespace.component import SERVICE_ACCOUNT
from tests.harness import api_server
from tests.harness.api_server import ApiServer
from tests.unit.grafana.examples import plan
from tests.unit.graph import record
from toolchain import golang, paths
from toolchain.errors import ToolchainError

NAMESPACE = "monitoring"
OPERATOR = "github.com/prometheus-operator/prometheus-operator"


def definition() -> Path:
    """Of PodMonitor, from the operator's own Go module."""
    answer = subprocess.run(
        [golang.go(), "mod", "download", "-json", OPERATOR],
        cwd=paths.PROMETHEUS_MODULE,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        pytest.skip(f"{OPERATOR} cannot be had: {answer.stdout or answer.stderr}")
    folder = Path(json.loads(answer.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
    return folder / "monitoring.coreos.com_podmonitors.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    try:
        with api_server.start(tmp_path_factory.mktemp("api")) as one:
            one.install_crds(definition())
            one.namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
            yield one
    except ToolchainError as error:
        pytest.skip(f"no API server: {error}")


def manifests() -> list[dict[str, Any]]:
    """All objects, as registered."""

    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        args = GrafanaServerArgs(NAMESPACE, SERVICE_ACCOUNT, plan(replicas=2))
        GrafanaServer("grafana", args, pulumi.ResourceOptions(providers=[provider]))

    registrations, _ = record(program)
    return [one.document for one in registrations if one.type.startswith("kubernetes:")]


def test_the_api_server_takes_every_object(server: ApiServer) -> None:
    made = manifests()
    kinds = {one["kind"] for one in made}
    assert {"Deployment", "ConfigMap", "NetworkPolicy", "PodMonitor", "Service"} <= kinds
    for manifest in made:
        answer = server.apply(manifest)
        assert answer.accepted, f"{manifest['kind']}: {answer.message}"
        assert not answer.warnings


def test_the_restricted_standard_takes_its_pods(server: ApiServer) -> None:
    (deployment,) = [one for one in manifests() if one["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    # The account is made with the namespace, which is not of this test.
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
    labels = template["metadata"]["labels"]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": spec}
    pod["metadata"] = {"name": "grafana", "namespace": NAMESPACE, "labels": labels}
    # Nobody makes default accounts here either.
    account = {"name": "default", "namespace": NAMESPACE}
    server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    answer = server.create(pod, dry_run=True)
    assert answer.accepted, answer.message
    spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = server.create(pod, dry_run=True)
    assert not refused.accepted
    assert "restricted" in refused.message
