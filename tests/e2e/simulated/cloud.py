"""What only a cloud's controllers do: volumes for claims, addresses for load balancers."""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import Any

from tests.e2e.simulated.nodes import SIMULATED
from tests.harness import kube

ADDRESS = "192.0.2.10"
"""Of every load balancer; TEST-NET-1 (RFC 5737), which nobody has."""
_PERIOD_SECONDS = 1.0


class Cloud:
    """A thread that plays provisioner and cloud controller manager for one namespace.

    EFS and Filestore are NFS to the nodes, and so are its volumes; no node here ever mounts one.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures: list[str] = []

    def __enter__(self) -> Cloud:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_PERIOD_SECONDS):
            try:
                for item in kube.items("persistentvolumeclaims,services", "--namespace", self._namespace):
                    if item["kind"] == "PersistentVolumeClaim":
                        self._provision(item)
                    elif item["spec"]["type"] == "LoadBalancer":
                        self._assign(item)
            except (AssertionError, OSError, ValueError) as failure:
                self.failures.append(str(failure))

    def _provision(self, claim: dict[str, Any]) -> None:
        if claim["status"].get("phase") != "Pending":
            return
        metadata, spec = claim["metadata"], claim["spec"]
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"simulated-{metadata['uid']}", "labels": {SIMULATED: self._namespace}},
            "spec": {
                "storageClassName": spec["storageClassName"],
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
                "nfs": {"server": ADDRESS, "path": "/"},
            },
        }
        kube.apply(volume).succeeded()

    def _assign(self, service: dict[str, Any]) -> None:
        if service["status"]["loadBalancer"].get("ingress"):
            return
        status = {"status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}}
        kube.kubectl(
            *("patch", "service", service["metadata"]["name"], "--namespace", self._namespace),
            *("--subresource=status", "--type=merge", "--patch", json.dumps(status)),
        ).succeeded()


def remove_volumes() -> None:
    """Delete the volumes, as their file system's owner would."""
    kube.kubectl("delete", "persistentvolumes", "-l", SIMULATED, "--wait=false").succeeded()
