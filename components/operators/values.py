"""Values of the operators' charts: what differs from the charts' own, for hardened operation.

Keys and their meaning: values.yaml of cert-manager v1.21.0 (deploy/charts/cert-manager, with a JSON schema
beside it), eck-operator 3.5.0 (elastic/cloud-on-k8s, deploy/eck-operator), kube-prometheus-stack 88.5.3 and
prometheus-operator-crds 31.0.1 (prometheus-community/helm-charts).

All of them: no hooks (helm.v4.Chart leaves them out), images by digest from one's own registry, requests
equal to limits, the restricted pod security standard, definitions that stay when the operator goes.
NetworkPolicies are not the charts': theirs admit everybody, see component.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from components.common.quantities import Resources
from components.operators.images import image_parts
from components.operators.settings import CertManagerChart, EckChart, PrometheusOperatorChart

Values = dict[str, Any]

CERT_MANAGER_IMAGES: Final = {
    "controller": "cert-manager-controller",
    "webhook": "cert-manager-webhook",
    "cainjector": "cert-manager-cainjector",
    "startupapicheck": "cert-manager-startupapicheck",
}
"""Names of its images by part."""
PROMETHEUS_OPERATOR_IMAGE: Final = "prometheus-operator"
CONFIG_RELOADER_IMAGE: Final = "prometheus-config-reloader"
ECK_IMAGE: Final = "eck-operator"
ECK_METRICS_PORT: Final = 9090

KEEP: Final = {"helm.sh/resource-policy": "keep"}
"""Annotation of what outlives its chart; the provider sets retainOnDelete for it."""
_HOOKS: Final = ("helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy")
_SECCOMP: Final = {"type": "RuntimeDefault"}
_POD_SECURITY: Final = {"runAsNonRoot": True, "seccompProfile": _SECCOMP}
_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": _SECCOMP,
}


def cert_manager_values(
    settings: CertManagerChart, images: Mapping[str, str], *, priority_class: str
) -> Values:
    """Values of the chart cert-manager."""
    requests = _requirements(settings.resources.resources())

    def part(name: str, **more: Any) -> Values:
        labels = {"app.kubernetes.io/component": _COMPONENT_LABELS[name], "app.kubernetes.io/instance": NAME}
        return {
            "image": _repository_tag_digest(images[CERT_MANAGER_IMAGES[name]]),
            "replicaCount": settings.replicas,
            "resources": requests,
            "securityContext": dict(_POD_SECURITY),
            "containerSecurityContext": dict(_CONTAINER_SECURITY),
            "enableServiceLinks": False,
            **_own_token("volumes", "volumeMounts"),
            "podDisruptionBudget": {"enabled": settings.replicas > 1},
            "topologySpreadConstraints": [_spread({"matchLabels": labels})],
            **more,
        }

    check = part("startupapicheck")
    for key in ("replicaCount", "podDisruptionBudget", "topologySpreadConstraints"):
        del check[key]
    # As an ordinary Job it is waited for: certificates are asked for only when the webhook answers. Null
    # takes the chart's hook annotations away.
    ordinary = dict.fromkeys(_HOOKS)
    return {
        "global": {
            "priorityClassName": priority_class,
            "leaderElection": {"namespace": settings.namespace},
        },
        "crds": {"enabled": True, "keep": True},
        **part("controller"),
        # No issuer here uses ACME; left out, its argument would name a public registry.
        "acmesolver": {
            "image": {"repository": _beside(images[CERT_MANAGER_IMAGES["controller"]], "acmesolver")}
        },
        "prometheus": {"enabled": True, "servicemonitor": {"enabled": False}},
        "webhook": part("webhook", timeoutSeconds=10),
        "cainjector": part("cainjector"),
        "startupapicheck": {
            **check,
            "enabled": True,
            "jobAnnotations": ordinary,
            "rbac": {"annotations": ordinary},
            "serviceAccount": {"automountServiceAccountToken": False, "annotations": ordinary},
        },
    }


NAME: Final = "cert-manager"
_COMPONENT_LABELS: Final = {
    "controller": "controller",
    "webhook": "webhook",
    "cainjector": "cainjector",
    "startupapicheck": "startupapicheck",
}


def prometheus_operator_values(
    settings: PrometheusOperatorChart,
    images: Mapping[str, str],
    *,
    priority_class: str,
    namespaces: Sequence[str],
) -> Values:
    """Values of kube-prometheus-stack: the operator and nothing else.

    :param namespaces: those that it reads custom resources, Secrets and ConfigMaps of; none: all.
    """
    off = {"enabled": False}
    operator: Values = {
        "enabled": True,
        "fullnameOverride": PROMETHEUS_OPERATOR_IMAGE,
        "image": _registry_repository_sha(images[PROMETHEUS_OPERATOR_IMAGE]),
        "prometheusConfigReloader": {
            "image": _registry_repository_sha(images[CONFIG_RELOADER_IMAGE]),
            "resources": _requirements(settings.config_reloader.resources()),
            "enableProbe": True,
        },
        **_own_token("extraVolumes", "extraVolumeMounts"),
        # Of sidecars that nobody asks for; left out, the argument would name a public registry.
        "thanosImage": {"registry": image_parts(images[PROMETHEUS_OPERATOR_IMAGE]).registry},
        "resources": _requirements(settings.resources.resources()),
        "priorityClassName": priority_class,
        "securityContext": {**_POD_SECURITY, "runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534},
        "containerSecurityContext": dict(_CONTAINER_SECURITY),
        # Rules are tested before they are applied, and the webhook's certificate is made by hooks.
        "admissionWebhooks": off,
        "tls": off,
        "networkPolicy": off,
        "serviceMonitor": {"selfMonitor": False},
        # It would write Endpoints into kube-system.
        "kubeletService": off,
        "kubeletEndpointsEnabled": False,
        "kubeletEndpointSliceEnabled": False,
    }
    if namespaces:
        operator["namespaces"] = {"releaseNamespace": False, "additional": list(namespaces)}
    return {
        "crds": off,
        "defaultRules": {"create": False},
        **dict.fromkeys(_OTHER_PARTS, off),
        "prometheusOperator": operator,
    }


_OTHER_PARTS: Final = (
    "alertmanager",
    "coreDns",
    "grafana",
    "kubeApiServer",
    "kubeControllerManager",
    "kubeDns",
    "kubeEtcd",
    "kubeProxy",
    "kubeScheduler",
    "kubeStateMetrics",
    "kubelet",
    "kubernetesServiceMonitors",
    "nodeExporter",
    "prometheus",
    "thanosRuler",
    "windowsMonitoring",
)


def definitions_values() -> Values:
    """Values of prometheus-operator-crds."""
    return {"crds": {"annotations": dict(KEEP)}}


def eck_values(
    settings: EckChart, images: Mapping[str, str], *, priority_class: str, namespaces: Sequence[str]
) -> Values:
    """Values of the chart eck-operator.

    :param namespaces: those that it manages; none: all.
    """
    selector = {"matchLabels": {"app.kubernetes.io/name": "elastic-operator"}}
    return {
        "installCRDs": True,
        "replicaCount": settings.replicas,
        "image": _repository_tag_digest(images[ECK_IMAGE]),
        "priorityClassName": priority_class,
        "resources": _requirements(settings.resources.resources()),
        "podSecurityContext": dict(_POD_SECURITY),
        "securityContext": dict(_CONTAINER_SECURITY),
        **_own_token("volumes", "volumeMounts"),
        "podDisruptionBudget": {"enabled": settings.replicas > 1, "minAvailable": 1},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "labelSelector": selector,
                            "topologyKey": "kubernetes.io/hostname",
                        },
                    }
                ]
            }
        },
        "managedNamespaces": list(namespaces),
        # An object of one namespace may refer to one of another only with a service account that may read it.
        "refs": {"enforceRBAC": True},
        "telemetry": {"disabled": True},
        "config": {
            # Of images that an object does not name.
            "containerRegistry": image_parts(images[ECK_IMAGE]).registry,
            "metrics": {"port": str(ECK_METRICS_PORT)},
            "enableLeaderElection": True,
        },
    }


def _own_token(volumes: str, mounts: str) -> Values:
    """The service account's token where clients look for it, for an hour at a time and this pod alone."""
    return {
        "automountServiceAccountToken": False,
        "serviceAccount": {"automountServiceAccountToken": False},
        volumes: [
            {
                "name": "token",
                "projected": {
                    "defaultMode": 0o444,
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                        {
                            "configMap": {
                                "name": "kube-root-ca.crt",
                                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                            }
                        },
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"fieldPath": "metadata.namespace"},
                                    }
                                ]
                            }
                        },
                    ],
                },
            }
        ],
        mounts: [
            {
                "name": "token",
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": True,
            }
        ],
    }


def _requirements(resources: Resources) -> Values:
    return {"requests": resources.amounts(), "limits": resources.amounts()}


def _spread(selector: Values) -> Values:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }


def _beside(reference: str, last: str) -> str:
    """Repository of the image whose name differs in what follows the last dash."""
    return f"{image_parts(reference).name.rpartition('-')[0]}-{last}"


def _repository_tag_digest(reference: str) -> Values:
    parts = image_parts(reference)
    tag = {"tag": parts.tag} if parts.tag else {}
    return {"repository": parts.name, **tag, "digest": parts.digest}


def _registry_repository_sha(reference: str) -> Values:
    parts = image_parts(reference)
    tag = {"tag": parts.tag} if parts.tag else {}
    return {
        "registry": parts.registry,
        "repository": parts.repository,
        **tag,
        "sha": parts.digest.removeprefix("sha256:"),
    }
