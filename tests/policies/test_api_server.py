"""The API server that judges objects in tests: it refuses what a cluster refuses, and ends with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import api_server
from tests.harness.api_server import ApiServer, ServerError
from toolchain import paths
from toolchain.errors import ToolchainError

pytestmark = pytest.mark.slow

_STARTS = """
import signal, sys, time
from pathlib import Path
from tests.harness import api_server
# Whoever runs the tests in the background has it ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with api_server.start(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    time.sleep(60)
"""
_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "maximum": 3}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    try:
        with api_server.start(tmp_path_factory.mktemp("api-server"), tokens={"tenant": ()}) as started:
            started.namespace("tenant", {"pod-security.kubernetes.io/enforce": "restricted"})
            started.install_crds(_CRD)
            yield started
    except ToolchainError as error:
        pytest.skip(f"the API server cannot be had here: {error}")


def _map(**more: Any) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "tenant"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


def _widget(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "tenant"}
    return {"apiVersion": "example.test/v1", "kind": "Widget", "metadata": metadata, "spec": spec}


def test_a_dry_run_stores_nothing(server: ApiServer) -> None:
    assert server.create(_map(data={"a": "b"}), dry_run=True).accepted
    assert server.apply(_map(data={"a": "b"}), dry_run=True).accepted
    assert server.get("v1", "ConfigMap", "one", "tenant").status == 404


def test_fields_that_a_kind_lacks_are_refused(server: ApiServer) -> None:
    assert 'unknown field "dta"' in server.create(_map(dta={}), dry_run=True).message
    assert ".dta: field not declared in schema" in server.apply(_map(dta={}), dry_run=True).message


def test_pod_security_is_enforced(server: ApiServer) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "tenant"},
        "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "x"}]},
    }
    refused = server.create(pod, dry_run=True)
    assert refused.status == 403
    assert 'violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)' in refused.message


def test_custom_resources_are_held_to_their_definition(server: ApiServer) -> None:
    assert server.create(_widget(size=3), dry_run=True).accepted
    assert "should be less than or equal to 3" in server.create(_widget(size=4), dry_run=True).message
    assert 'unknown field "spec.sise"' in server.create(_widget(sise=3), dry_run=True).message
    with pytest.raises(ServerError, match="install its CRD first"):
        server.create({**_widget(), "kind": "Gadget"})


def test_strangers_and_other_users_are_refused(server: ApiServer) -> None:
    assert server.request("GET", "/api/v1/namespaces", token="nobody").status == 401
    assert server.create(_map(), token="tenant").status == 403


def test_kubectl_reaches_it(server: ApiServer) -> None:
    assert "tenant" in server.kubectl("get", "namespaces").succeeded().stdout


def _alive(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in line:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_whoever_has_started_it(server: ApiServer, tmp_path: Path, how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _STARTS, str(tmp_path)],
        cwd=paths.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        assert len(_alive(tmp_path)) == 3
    finally:
        parent.send_signal(how)
        parent.wait(timeout=30)
    until = time.monotonic() + 10
    while _alive(tmp_path):
        assert time.monotonic() < until, "still running"
        time.sleep(0.1)
