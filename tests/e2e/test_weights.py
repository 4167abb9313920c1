"""F40: weights that are not byte for byte the pinned ones are never served; the last good version stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import kube
from tests.harness.api import Client
from tests.harness.engine import Engine, write_settings
from tests.harness.published import DAMAGES, MODEL, WEIGHTS, pin, publish_next_version, withdraw
from toolchain import paths

NEXT = "e2e-next"
SERVER = "app.kubernetes.io/name=model-server"
FETCH = "app.kubernetes.io/name=model-fetch"


@pytest.fixture(scope="module")
def served(engine: Engine) -> Iterator[Client]:
    """The model, whose Service other tests may have made again; at the end the stack is as it was."""
    endpoint = engine.run("stack", "output", "endpoint").succeeded().stdout.strip()
    yield Client(endpoint, MODEL)
    withdraw(NEXT)
    engine.up().succeeded()


def _server_pod(namespace: str) -> dict[str, Any]:
    (pod,) = [
        pod
        for pod in kube.items("pods", "--namespace", namespace, "-l", SERVER)
        if "deletionTimestamp" not in pod["metadata"]
    ]
    return pod


def _digest(engine: Engine) -> str:
    digest: str = engine.run("stack", "output", "models", "--json").succeeded().stdout
    return digest


def _newest_failed_job(namespace: str) -> str:
    """Failed Jobs of earlier attempts stay, with their logs, until an update succeeds."""
    failed = [
        job
        for job in kube.items("jobs", "--namespace", namespace, "-l", FETCH)
        if any(
            condition["type"] == "Failed" and condition["status"] == "True"
            for condition in job["status"].get("conditions", [])
        )
    ]
    newest = max(failed, key=lambda job: job["metadata"]["creationTimestamp"])
    name: str = newest["metadata"]["name"]
    return name


@pytest.mark.parametrize("damage", DAMAGES)
def test_f40_damaged_source_is_refused_and_the_old_version_answers(
    damage: str, engine: Engine, served: Client, namespace: str, tmp_path: Path
) -> None:
    pod = _server_pod(namespace)
    spoil, file, reason = DAMAGES[damage]
    folder, sums = publish_next_version(NEXT)
    spoil(folder)
    result = engine.up(config_file=write_settings(tmp_path, pin(NEXT, sums))).failed()
    job = _newest_failed_job(namespace)
    assert job in result.output, f"the failed Job is not named: {result}"
    assert f"weights: refused: {file}" in result.output, f"{result}"

    said = kube.kubectl("logs", f"job/{job}", "--namespace", namespace).succeeded()
    (line,) = [line for line in said.output.splitlines() if line.startswith("weights: refused: ")]
    assert file in line
    assert reason in line

    assert served.chat().status == 200
    after = _server_pod(namespace)
    assert after["metadata"]["uid"] == pod["metadata"]["uid"], "the server has been replaced"
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_settings_taken_back_converge(engine: Engine, served: Client, namespace: str) -> None:
    pod = _server_pod(namespace)
    engine.up().succeeded()
    engine.run("preview", "--expect-no-changes").succeeded()
    engine.run("refresh", "--yes", "--expect-no-changes").succeeded()
    assert _server_pod(namespace)["metadata"]["uid"] == pod["metadata"]["uid"], "the server has been replaced"
    assert served.chat().status == 200


def test_intact_next_version_is_served_and_can_be_taken_back(
    engine: Engine, served: Client, namespace: str, tmp_path: Path
) -> None:
    before = _digest(engine)
    _, sums = publish_next_version(NEXT)
    engine.up(config_file=write_settings(tmp_path, pin(NEXT, sums))).succeeded()
    assert _digest(engine) != before
    assert served.chat().status == 200
    engine.up().succeeded()
    assert _digest(engine) == before
    assert served.chat().status == 200
    engine.run("refresh", "--yes", "--expect-no-changes").succeeded()


def test_f40_version_damaged_on_its_volume_is_not_served(
    engine: Engine, served: Client, namespace: str
) -> None:
    """Somebody with access to the node changes published weights: the next server refuses to start."""
    pod = _server_pod(namespace)
    volumes = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "weights"]
    claim = kube.get("pvc", volumes[0]["persistentVolumeClaim"]["claimName"], "--namespace", namespace)[
        "spec"
    ]["volumeName"]
    (mount,) = [item for item in pod["spec"]["containers"][0]["volumeMounts"] if item["name"] == "weights"]
    found = [
        file for file in paths.VOLUMES.rglob(f"{mount['subPath']}/{WEIGHTS}") if claim in str(file)
    ] or list(paths.VOLUMES.rglob(f"{mount['subPath']}/{WEIGHTS}"))
    (weights,) = found
    content = weights.read_bytes()
    mode = weights.stat().st_mode

    def write(data: bytes) -> None:
        weights.chmod(0o644)
        weights.write_bytes(data)
        weights.chmod(mode)

    def refusal() -> str | None:
        for item in kube.items("pods", "--namespace", namespace, "-l", SERVER):
            for status in item["status"].get("initContainerStatuses", []):
                for state in (status.get("state", {}), status.get("lastState", {})):
                    message: str = state.get("terminated", {}).get("message", "")
                    if "weights: refused" in message:
                        return message
        return None

    write(bytes([content[0] ^ 1]) + content[1:])
    try:
        kube.kubectl("delete", "pod", pod["metadata"]["name"], "--namespace", namespace, "--wait").succeeded()
        message = kube.wait_until("the init container refuses", refusal, 90)
        assert WEIGHTS in message
        assert not served.serves()
    finally:
        write(content)
        # A new pod does not wait out the back-off of the refused one.
        kube.kubectl("delete", "pod", "--namespace", namespace, "-l", SERVER, "--wait", "--grace-period=1")
    kube.wait_until("the mended version is served", served.serves, 300)
    assert served.chat().status == 200
