"""One good example of everything, and small edits of it."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

DELETE: Final = object()
"""Instead of a value: the field is taken out."""

DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
IMAGE: Final = f"registry.example/vllm@{DIGEST}"
NAMESPACE: Final = "tenant"
LABELS: Final = {"app.kubernetes.io/name": "server", "app.kubernetes.io/component": "inference"}

Resource = tuple[str, dict[str, Any]]


def edited(resource: Resource, edits: dict[str, Any]) -> Resource:
    """A copy of a resource with fields set or deleted; a path is keys and indices with spaces between."""
    token, properties = copy.deepcopy(resource)
    for path, value in edits.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split()]
        holder: Any = properties
        for part in parents:
            holder = holder.setdefault(part, {}) if isinstance(holder, dict) else holder[part]
        if value is DELETE:
            del holder[last]
        elif isinstance(holder, list) and last == len(holder):
            holder.append(value)
        else:
            holder[last] = value
    return token, properties


def metadata(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, **more}


def probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10}


def container(name: str = "vllm") -> dict[str, Any]:
    """A container that no rule refuses. Numbers are floats, as they arrive in a policy pack."""
    amounts = {"cpu": "1200m", "memory": "6Gi", "ephemeral-storage": "2Gi", "nvidia.com/gpu": "1"}
    return {
        "name": name,
        "image": IMAGE,
        "command": ["vllm"],
        "args": ["serve", "/models/m", "--max-model-len", "25480"],
        "env": [
            {"name": "HOME", "value": "/tmp"},
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
        ],
        "ports": [{"name": "http", "containerPort": 8000.0}],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "startupProbe": probe("/v1/models"),
        "readinessProbe": probe("/v1/models"),
        "livenessProbe": probe("/health"),
        "lifecycle": {"preStop": {"sleep": {"seconds": 15.0}}},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "tmp", "mountPath": "/tmp"}],
    }


def pod_spec() -> dict[str, Any]:
    return {
        "serviceAccountName": "workload",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 75.0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532.0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1.0, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "initContainers": [container("verify-weights")],
        "containers": [container()],
        "volumes": [
            {"name": "weights", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }


def template() -> dict[str, Any]:
    annotations = {"prometheus.io/scrape": "true"}
    return {"metadata": {"labels": dict(LABELS), "annotations": annotations}, "spec": pod_spec()}


def workload(token: str) -> Resource:
    """A pod-carrying resource of a built-in kind."""
    spec: dict[str, Any] = {"selector": {"matchLabels": dict(LABELS)}, "template": template()}
    match token.rpartition(":")[2]:
        case "Pod":
            return token, {"metadata": metadata("server", labels=dict(LABELS)), "spec": pod_spec()}
        case "PodTemplate":
            return token, {"metadata": metadata("server"), "template": template()}
        case "Job":
            spec = {"activeDeadlineSeconds": 3600.0, "template": template()}
        case "CronJob":
            job = {"activeDeadlineSeconds": 3600.0, "template": template()}
            spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}}
        case "Deployment" | "StatefulSet":
            spec["replicas"] = 2.0
    return token, {"metadata": metadata("server"), "spec": spec}


GOOD: Final[dict[str, Resource]] = {
    "namespace": (
        "kubernetes:core/v1:Namespace",
        {
            "metadata": {
                "name": NAMESPACE,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "v1.36",
                },
            }
        },
    ),
    "default-deny": (
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        {
            "metadata": metadata("default-deny"),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        },
    ),
    "network-policy": (
        "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        {
            "metadata": metadata("server"),
            "spec": {
                "podSelector": {"matchLabels": dict(LABELS)},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from": [
                            {"namespaceSelector": {"matchLabels": {"purpose": "trusted"}}},
                            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}},
                        ],
                        "ports": [{"port": 8000.0, "protocol": "TCP"}],
                    }
                ],
                "egress": [
                    {
                        "to": [
                            {"ipBlock": {"cidr": "10.20.0.0/16"}},
                            {"ipBlock": {"cidr": "169.254.0.0/16", "except": ["169.254.169.254/32"]}},
                        ],
                        "ports": [{"port": 443.0, "protocol": "TCP"}],
                    }
                ],
            },
        },
    ),
    "quota": (
        "kubernetes:core/v1:ResourceQuota",
        {
            "metadata": metadata("tenant-quota"),
            "spec": {
                "hard": {
                    "requests.cpu": "8",
                    "limits.cpu": "8",
                    "requests.memory": "64Gi",
                    "limits.memory": "64Gi",
                    "pods": "20",
                    "requests.nvidia.com/gpu": "8",
                }
            },
        },
    ),
    "limit-range": (
        "kubernetes:core/v1:LimitRange",
        {
            "metadata": metadata("tenant-limits"),
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "100m", "memory": "128Mi"},
                        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                        "max": {"cpu": "4", "memory": "16Gi"},
                    }
                ]
            },
        },
    ),
    "service-account": (
        "kubernetes:core/v1:ServiceAccount",
        {"metadata": metadata("workload"), "automountServiceAccountToken": False},
    ),
    "deployment": workload("kubernetes:apps/v1:Deployment"),
    "job": workload("kubernetes:batch/v1:Job"),
    "cron-job": workload("kubernetes:batch/v1:CronJob"),
    "disruption-budget": (
        "kubernetes:policy/v1:PodDisruptionBudget",
        {
            "metadata": metadata("server"),
            "spec": {"maxUnavailable": 1.0, "selector": {"matchLabels": dict(LABELS)}},
        },
    ),
    "service": (
        "kubernetes:core/v1:Service",
        {
            "metadata": metadata("server"),
            "spec": {"type": "ClusterIP", "selector": dict(LABELS), "ports": [{"port": 8000.0}]},
        },
    ),
    "load-balancer": (
        "kubernetes:core/v1:Service",
        {
            "metadata": metadata("gateway", annotations={"networking.gke.io/load-balancer-type": "Internal"}),
            "spec": {
                "type": "LoadBalancer",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "ports": [{"port": 443.0, "nodePort": 30443.0}],
            },
        },
    ),
    "ingress": (
        "kubernetes:networking.k8s.io/v1:Ingress",
        {
            "metadata": metadata("api"),
            "spec": {
                "tls": [{"hosts": ["api.example.com"], "secretName": "api-tls"}],
                "rules": [{"host": "api.example.com", "http": {"paths": []}}],
            },
        },
    ),
    "gateway": (
        "kubernetes:gateway.networking.k8s.io/v1:Gateway",
        {
            "metadata": metadata("gateway"),
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": [
                    {
                        "name": "https",
                        "protocol": "HTTPS",
                        "port": 443.0,
                        "hostname": "api.example.com",
                        "allowedRoutes": {
                            "namespaces": {
                                "from": "Selector",
                                "selector": {"matchLabels": {"purpose": "serving"}},
                            }
                        },
                    }
                ],
            },
        },
    ),
    "role": (
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
        {
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
        },
    ),
    "role-binding": (
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        {
            "metadata": metadata("reader"),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "workload", "namespace": NAMESPACE}],
        },
    ),
    "volume": (
        "kubernetes:core/v1:PersistentVolume",
        {
            "metadata": {"name": "models"},
            "spec": {"capacity": {"storage": "1Gi"}, "csi": {"driver": "efs.csi.aws.com"}},
        },
    ),
    "etcd-configuration": (
        "kubernetes:core/v1:ConfigMap",
        {
            "metadata": metadata("etcd"),
            "data": {
                "etcd.json": json.dumps(
                    {
                        "listen-client-urls": "https://0.0.0.0:2379",
                        "listen-peer-urls": "https://0.0.0.0:2380",
                        "listen-metrics-urls": "http://0.0.0.0:2381",
                        "client-transport-security": {"client-cert-auth": True},
                        "peer-transport-security": {"client-cert-auth": True},
                    }
                )
            },
        },
    ),
    "config-map": (
        "kubernetes:core/v1:ConfigMap",
        {
            "metadata": metadata("server"),
            "data": {
                "server.conf": "level: info\nmax_tokens: 512\nbearer_token_file: /var/run/secrets/token\n",
                "username": "server",
            },
        },
    ),
    "peer-authentication": (
        "kubernetes:security.istio.io/v1:PeerAuthentication",
        {"metadata": metadata("default"), "spec": {"mtls": {"mode": "STRICT"}}},
    ),
    "chart": (
        "kubernetes:helm.sh/v4:Chart",
        {
            "name": "cert-manager",
            "namespace": "cert-manager",
            "chart": "oci://registry.example/charts/cert-manager",
            "version": "1.21.0",
            "values": {"replicaCount": 2.0, "initContainers": [], "image": {"digest": DIGEST}},
        },
    ),
    "leader-worker-set": (
        "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
        {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": metadata("big-model"),
            "spec": {
                "replicas": 1.0,
                "leaderWorkerTemplate": {
                    "size": 2.0,
                    "leaderTemplate": template(),
                    "workerTemplate": template(),
                },
            },
        },
    ),
}
"""Resources that pass every rule."""
