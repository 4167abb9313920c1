"""An etcd cluster of a test's own: what the components register, in a namespace that goes with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.common.quantities import GIB, MIB, Resources
from components.etcd.component import EtcdCluster, EtcdClusterArgs
from components.etcd.plan import EtcdPlan, plan_etcd
from components.etcd.settings import EtcdSettings
from components.service_registry.component import (
    ModelServers,
    RegistryPlan,
    ServiceRegistry,
    ServiceRegistryArgs,
)
from components.tenant_namespace.component import ContainerLimits, Quota, TenantNamespace, TenantNamespaceArgs
from tests.harness import kube
from tests.harness.commands import Result
from tests.unit.graph import record

Json = dict[str, Any]

MEMBERS = "app.kubernetes.io/name=etcd"
"""Label of the members' pods and volumes, as in the runbooks."""
SETTINGS: Mapping[str, Any] = {
    "antiAffinity": "preferred",
    "resources": {"cpu": "20m", "cpuLimit": "300m", "memory": "128Mi", "ephemeralStorage": "64Mi"},
    "storage": {"size": "2Gi"},
    "backendQuota": "16Mi",
    "election": {"heartbeatMilliseconds": 300, "timeoutMilliseconds": 3000},
    "snapshots": {"schedule": "0 0 1 1 *", "keep": 4, "size": "1Gi"},
    "defragmentation": {"schedule": "0 0 1 1 *"},
    "tools": {"cpu": "10m", "cpuLimit": "300m", "memory": "64Mi", "ephemeralStorage": "32Mi"},
}
"""Small, so that it fits beside a model server; jobs run when a test says so."""
_QUOTA = Quota(
    cpu=1000,
    cpu_limits=4000,
    memory=2 * GIB,
    ephemeral_storage=2 * GIB,
    storage=16 * GIB,
    persistent_volume_claims=8,
    pods=16,
    jobs=10,
)
_LIMITS = ContainerLimits(default=Resources(20, 64 * MIB, 32 * MIB), maximum=Resources(1000, GIB, 512 * MIB))

# Both run in the registry's pod, whose certificate and name make it a client of etcd.
# Prints what is acknowledged.
_PUT = """
import os, sys
from pathlib import Path
from etcd_tools.cluster import Cluster
from etcd_tools.gateway import Credentials, encoded

cluster = Cluster(os.environ["ETCD_ENDPOINTS"].split(","), Credentials(Path("/etc/etcd/tls/client")))
prefix, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(count):
    key = f"{prefix}{number:05}"
    cluster.call("kv/put", {"key": encoded(key), "value": encoded(key.ljust(size))})
    print(key, flush=True)
"""
# What one member itself holds, without asking the others.
_KEYS = """
import json, sys
from pathlib import Path
from etcd_tools.gateway import Credentials, Gateway, decoded, encoded, prefix_end

query = {"key": encoded(sys.argv[2]), "range_end": prefix_end(sys.argv[2]), "serializable": True}
answer = Gateway(sys.argv[1], Credentials(Path("/etc/etcd/tls/client")), 20.0).call("kv/range", query)
found = answer.get("kvs", [])
print(json.dumps({decoded(item["key"]): decoded(item.get("value")).strip() for item in found}))
"""


@dataclass(frozen=True)
class EtcdRelease:
    """The cluster, addressed as the runbooks do."""

    namespace: str
    images: Mapping[str, str]

    def plan(self, changes: Mapping[str, Any]) -> EtcdPlan:
        settings = EtcdSettings.model_validate({**SETTINGS, **changes})
        plan, problems = plan_etcd(settings, namespace=self.namespace, images=self.images, protect=False)
        assert plan is not None, problems
        return plan

    def apply(self, changes: Mapping[str, Any] | None = None) -> None:
        """What `pulumi up` does after the settings have changed."""
        manifests = _manifests(self.plan(changes or {}))
        kube.apply(*manifests, arguments=("--server-side", "--force-conflicts")).succeeded()

    def kubectl(self, *arguments: str, timeout: float = 120) -> Result:
        return kube.kubectl("--namespace", self.namespace, *arguments, timeout=timeout)

    def execute(self, *command: str, timeout: float = 120) -> Result:
        """In the registry's pod."""
        return self.kubectl("exec", "deploy/etcd-registry", "--", *command, timeout=timeout)

    def tools(self, *arguments: str, timeout: float = 120) -> Result:
        return self.execute("python3", "-m", "etcd_tools", *arguments, timeout=timeout)

    def put(self, prefix: str, count: int, size: int = 0) -> list[str]:
        """Write keys; those that were acknowledged, whatever came after."""
        result = self.execute("python3", "-c", _PUT, prefix, str(count), str(size))
        return result.stdout.split()

    def keys(self, member: int, prefix: str) -> dict[str, str]:
        """What one member holds."""
        endpoint = self.plan({}).member_endpoints[member]
        found: dict[str, str] = json.loads(
            self.execute("python3", "-c", _KEYS, endpoint, prefix).succeeded().stdout
        )
        return found

    def healthy(self) -> bool:
        """All three members are, and agree."""
        status = self.tools("status", timeout=60)
        return status.status == 0 and len(status.stdout.splitlines()) == 3

    def wait_healthy(self, seconds: float) -> None:
        kube.wait_until("all members healthy", self.healthy, seconds, pause=0.5)

    def bootstrap_logs(self, member: int) -> str:
        """Of the init container, as far as it has one."""
        arguments = ("logs", f"etcd-{member}", "-c", "bootstrap", "--tail=20")
        return self.kubectl(*arguments).stdout + self.kubectl(*arguments, "--previous").stdout

    def lose_everything(self) -> None:
        """All members' volumes and pods at once, in the words of the runbook."""
        before = {pod["metadata"]["uid"] for pod in self.pods()}
        self.kubectl("delete", "pvc,pod", "-l", MEMBERS, "--wait=false").succeeded()

        def gone() -> bool:
            return not before & {pod["metadata"]["uid"] for pod in self.pods()}

        kube.wait_until("the old members are gone", gone, 90, pause=0.5)

    def pods(self) -> list[Json]:
        return kube.items("pods", "--namespace", self.namespace, "-l", MEMBERS)

    def snapshot(self) -> tuple[str, str]:
        """Take one now; its SHA-256 and name, as the job's log has them."""
        name = "etcd-snapshot-now"
        self.kubectl("delete", "job", name, "--ignore-not-found", "--wait").succeeded()
        self.kubectl("create", "job", "--from=cronjob/etcd-snapshot", name).succeeded()
        self.kubectl("wait", "--for=condition=complete", f"job/{name}", "--timeout=120s").succeeded()
        log = self.kubectl("logs", f"job/{name}").succeeded().stdout
        found = re.search(r"^([0-9a-f]{64})  (\S+\.db)$", log, re.MULTILINE)
        assert found, log
        return found[1], found[2]

    def on_snapshots(self, code: str, *arguments: str) -> str:
        """Run Python where the snapshots lie, as whoever can write there."""
        name = "etcd-snapshots-hand"
        spec = kube.pod_spec(self.images["etcd-tools"], code, *arguments)
        spec["containers"][0]["volumeMounts"] = [{"name": "snapshots", "mountPath": "/snapshots"}]
        spec["volumes"] = [{"name": "snapshots", "persistentVolumeClaim": {"claimName": "etcd-snapshots"}}]
        metadata = {"name": name, "namespace": self.namespace}
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).succeeded()
        try:
            wait = ("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
            self.kubectl(*wait).succeeded()
            return self.kubectl("logs", name).succeeded().stdout
        finally:
            self.kubectl("delete", "pod", name, "--wait")


def _manifests(plan: EtcdPlan) -> list[Json]:
    """What the components register."""

    def program() -> None:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        opts = pulumi.ResourceOptions(providers=[provider])
        tenant_args = TenantNamespaceArgs(plan.namespace, "v1.36", _QUOTA, _LIMITS)
        tenant = TenantNamespace("tenant", tenant_args, opts)
        cluster = EtcdClusterArgs(plan.namespace, "workload", plan)
        EtcdCluster("etcd", cluster, opts)
        registry = RegistryPlan(plan, (ModelServers("none", 8000),))
        ServiceRegistry("registry", ServiceRegistryArgs(plan.namespace, "workload", registry), opts)
        del tenant

    registered = [item for item in record(program)[0] if not item.type.startswith(("pulumi:", "autoglm:"))]
    objects: list[Json] = [item.document for item in registered]
    return sorted(objects, key=lambda item: _order(item["kind"]))


def _order(kind: str) -> int:
    first: Sequence[str] = ("Namespace", "ResourceQuota", "LimitRange", "ServiceAccount", "NetworkPolicy")
    return first.index(kind) if kind in first else len(first)


@contextmanager
def etcd_release(namespace: str, images: Mapping[str, str], seconds: float) -> Iterator[EtcdRelease]:
    """Up and healthy within that time; everything goes at the end."""
    release = EtcdRelease(namespace, images)
    kube.kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout=180).succeeded()
    try:
        release.apply()
        release.kubectl("rollout", "status", "deploy/etcd-registry", f"--timeout={seconds:.0f}s").succeeded()
        release.wait_healthy(seconds)
        yield release
    finally:
        kube.kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout=180)
