"""The Elastic operator's objects, judged by a real API server with the operator's definitions (ECK 3.5.0)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.logging import eck
from tests.harness import api_server
from tests.harness.api_server import ApiServer
from tests.unit.logging.examples import FULL, TRAIL, plan
from toolchain import golang
from toolchain.errors import ToolchainError

pytestmark = pytest.mark.slow
MODULE = "github.com/elastic/cloud-on-k8s/v3@v3.5.0"
SUM = "h1:sR4oj+gNnwI9hgsKhBwjUlx+5F2T/kND40hrzaogtek="


def definitions() -> Path:
    """The operator's custom resource definitions, from its Go module."""
    try:
        answer = subprocess.run(
            [golang.go(), "mod", "download", "-json", MODULE],
            capture_output=True,
            text=True,
            cwd="/",
            env={**os.environ, **golang.environment()},
            timeout=300,
        )
    except (ToolchainError, OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{MODULE} cannot be had: {error}")
    document = json.loads(answer.stdout or "{}")
    if answer.returncode:
        pytest.skip(f"{MODULE} cannot be had: {document.get('Error') or answer.stderr}")
    assert document["Sum"] == SUM
    return Path(document["Dir"]) / "config" / "crds" / "v1" / "all-crds.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    crds = definitions()
    try:
        context = api_server.start(tmp_path_factory.mktemp("api"))
        with context as one:
            one.install_crds(crds)
            one.namespace("logging", {"pod-security.kubernetes.io/enforce": "restricted"})
            one.namespace("node-agents", {"pod-security.kubernetes.io/enforce": "privileged"})
            yield one
    except ToolchainError as error:
        pytest.skip(f"no API server: {error}")


def objects() -> dict[str, dict[str, Any]]:
    planned = plan(**FULL)
    with_trail = plan(trail=TRAIL, **FULL)

    def document(api: str, kind: str, spec: Any, name: str = "logs", namespace: str = "logging") -> Any:
        return {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }

    return {
        "elasticsearch": document(eck.ELASTICSEARCH_API, "Elasticsearch", eck.elasticsearch(planned)),
        "kibana": document(eck.KIBANA_API, "Kibana", eck.kibana(planned)),
        "logstash": document(eck.LOGSTASH_API, "Logstash", eck.logstash(planned)),
        "logstash-trail": document(eck.LOGSTASH_API, "Logstash", eck.logstash(with_trail), "with-trail"),
        "log-files": document(
            eck.LOGSTASH_API, "Logstash", eck.log_files(planned, "exports", "/*.log"), eck.FILES_NAME
        ),
        "filebeat": document(
            eck.BEAT_API, "Beat", eck.filebeat(planned, "workload"), namespace=planned.agents_namespace
        ),
    }


@pytest.mark.parametrize(
    "name", ["elasticsearch", "kibana", "logstash", "logstash-trail", "log-files", "filebeat"]
)
def test_the_api_server_accepts_the_object_strictly(server: ApiServer, name: str) -> None:
    assert server.create(objects()[name]).succeeded()


def test_the_api_server_refuses_a_field_that_does_not_exist(server: ApiServer) -> None:
    wrong = objects()["elasticsearch"]
    wrong["metadata"]["name"] = "wrong"
    wrong["spec"]["nodeSet"] = []
    assert not server.create(wrong).accepted


@pytest.mark.parametrize(
    "name", ["elasticsearch-0", "elasticsearch-1", "kibana", "logstash", "logstash-trail", "log-files"]
)
def test_pods_of_the_store_keep_the_restricted_standard(server: ApiServer, name: str) -> None:
    """The pod of the template alone; what the operator adds was read in its source, and not run."""
    kind, index = (name[:-2], name[-1]) if name[-1].isdigit() else (name, "")
    spec = objects()[kind]["spec"]
    template = spec["nodeSets"][int(index)]["podTemplate"] if index else spec["podTemplate"]
    assert server.create(_pod(name, "logging", template["spec"]), dry_run=True).succeeded()


def test_a_pod_of_the_shipper_is_a_pod_and_needs_a_namespace_of_agents(server: ApiServer) -> None:
    spec = objects()["filebeat"]["spec"]["daemonSet"]["podTemplate"]["spec"]
    spec.pop("serviceAccountName")
    assert server.create(_pod("filebeat", "node-agents", spec), dry_run=True).succeeded()
    refused = server.create(_pod("filebeat", "logging", spec), dry_run=True)
    assert not refused.accepted
    assert "hostPath" in refused.message


def _pod(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """As the operator completes it, as far as the API server asks: images, and volumes from claims."""
    claims = {"logstash-data", "elasticsearch-data"}
    named = {volume["name"] for volume in spec.get("volumes", [])}
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        container.setdefault("image", "registry.example.com/image")
        for mount in container.get("volumeMounts", []):
            assert mount["name"] in named | claims
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
