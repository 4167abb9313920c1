"""kubectl on the embedded cluster."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.harness.commands import Result, run
from toolchain import paths

T = TypeVar("T")

KINDS = (
    "configmap,deployment,job,limitrange,networkpolicy,persistentvolumeclaim,pod,poddisruptionbudget,"
    "resourcequota,service,serviceaccount"
)
"""Everything that the platform makes in its namespace, and its pods."""


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 120) -> Result:
    """A kubectl command."""
    env = {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG)}
    return run([paths.BIN / "kubectl", *arguments], env=env, stdin=stdin, timeout=timeout)


def get(*arguments: str) -> Any:
    """`kubectl get … -o json`."""
    return json.loads(kubectl("get", *arguments, "-o", "json").succeeded().stdout)


def items(*arguments: str) -> list[dict[str, Any]]:
    """The objects of a `kubectl get` that lists."""
    found: list[dict[str, Any]] = get(*arguments)["items"]
    return found


def apply(*objects: dict[str, Any], arguments: Sequence[str] = ()) -> Result:
    """`kubectl apply` of the objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return kubectl("apply", *arguments, "-f", "-", stdin=json.dumps(listed))


def wait_until(what: str, probe: Callable[[], T | None], seconds: float, pause: float = 1) -> T:
    """The first result of `probe` that is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)


def unready_pods() -> dict[str, str]:
    """Pods of all namespaces that neither have ended well nor are ready, with the reason."""
    unready = {}
    for pod in items("pods", "--all-namespaces"):
        status = pod["status"]
        conditions = {item["type"]: item for item in status.get("conditions", [])}
        ready = conditions.get("Ready", {}).get("status") == "True"
        if status.get("phase") != "Succeeded" and not (status.get("phase") == "Running" and ready):
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            unready[name] = f"{status.get('phase')}: {conditions.get('Ready', {}).get('message', '')}"
    return unready


def objects(namespace: str) -> dict[str, Any]:
    """Identity and content, without status, of everything that the platform made in a namespace."""
    found = {}
    for item in [get("namespace", namespace), *items(KINDS, "--namespace", namespace)]:
        metadata = item["metadata"]
        found[f"{item['kind']}/{metadata['name']}"] = {
            "uid": metadata["uid"],
            "labels": metadata.get("labels"),
            **{key: item[key] for key in ("spec", "data") if key in item},
        }
    return found


def pod_spec(image: str, code: str, *arguments: str) -> dict[str, Any]:
    """A pod that runs Python code, as strictly as pod security `restricted` asks."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "probe",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-u", "-c", code, *arguments],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "resources": {
                    "requests": {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
                    "limits": {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
                },
            }
        ],
    }
