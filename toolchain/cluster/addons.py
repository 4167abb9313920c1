"""Objects that the cluster needs beside kubeadm's: DNS, policy controller, storage, the marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolchain import paths
from toolchain.cluster import layout
from toolchain.cluster.kubeadm import IMAGE_ANNOTATION
from toolchain.cluster.network import Ranges

Manifest = dict[str, Any]

NAMESPACE = "kube-system"
_PROVISIONER = "autoglm.dev/local"
_SHARED_CLASS = "published-models"
_READ_RULE = ["get", "list", "watch"]
_WRITE = ["create", "update", "patch", "delete"]


def corefile(upstream: Sequence[str]) -> str:
    """CoreDNS' configuration; without an upstream server, names outside the cluster do not exist."""
    if upstream:
        rest = f"    forward . {' '.join(upstream)} {{\n        max_concurrent 1000\n    }}\n"
    else:
        # An answer at once, where a forwarder without servers would make every client wait.
        rest = "    template ANY ANY {\n        rcode NXDOMAIN\n    }\n"
    return f""".:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
{rest}    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loop
    reload 5s
    loadbalance
}}
"""


def manifest(api_version: str, kind: str, name: str, *, namespaced: bool = True, **content: Any) -> Manifest:
    metadata: dict[str, Any] = {"name": name, "labels": {"app.kubernetes.io/part-of": layout.NAME}}
    if namespaced:
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def account(name: str, rules: list[Manifest]) -> list[Manifest]:
    """A service account with a cluster role of its own."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    return [
        manifest("v1", "ServiceAccount", name),
        manifest("rbac.authorization.k8s.io/v1", "ClusterRole", name, namespaced=False, rules=rules),
        manifest(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            name,
            namespaced=False,
            roleRef=reference,
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        ),
    ]


def rule(group: str, resources: list[str], verbs: list[str]) -> Manifest:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


_NODE_NAME = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


def pod_template(name: str, spec: Manifest) -> Manifest:
    return {"metadata": {"labels": {"app.kubernetes.io/name": name}}, "spec": spec}


def security_context(*capabilities: str) -> Manifest:
    """Of a container that is root only where it has capabilities, and has these alone."""
    return {
        **({} if capabilities else {"runAsNonRoot": True}),
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], **({"add": list(capabilities)} if capabilities else {})},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def probes(port: int, path: str, **target: str) -> Manifest:
    """Of a container that tells over HTTP how it is."""
    probe = {"httpGet": {**target, "port": port, "path": path}}
    return {
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 20, "failureThreshold": 6},
    }


def controller(
    name: str, image: str, container: Manifest, rules: list[Manifest], **pod: Any
) -> list[Manifest]:
    """One pod on the node, with an account and a cluster role of its own; `pod` is more of its spec."""
    template = pod_template(
        name,
        {
            "priorityClassName": "system-cluster-critical",
            "serviceAccountName": name,
            "nodeSelector": {"kubernetes.io/hostname": layout.NODE},
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": name, "image": image, "imagePullPolicy": "Never", **container}],
            **pod,
        },
    )
    selector = {"matchLabels": {"app.kubernetes.io/name": name}}
    deployment = {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": selector, "template": template}
    return [*account(name, rules), manifest("apps/v1", "Deployment", name, spec=deployment)]


def network_policy_controller(ranges: Ranges) -> list[Manifest]:
    """Enforces NetworkPolicy on the node."""
    name = "network-policy-controller"
    container = {
        "name": name,
        "image": layout.POLICY_IMAGE,
        "imagePullPolicy": "Never",
        "args": [f"--service-cluster-ip-range={ranges.services}", "--health-address=127.0.0.1:20244"],
        "env": [_NODE_NAME],
        "resources": {"requests": {"cpu": "20m", "memory": "40Mi"}, "limits": {"memory": "200Mi"}},
        **probes(20244, "/healthz", host="127.0.0.1"),
        "securityContext": security_context("NET_ADMIN", "NET_RAW"),
        # iptables-nft keeps a lock file there.
        "volumeMounts": [{"name": "run", "mountPath": "/run"}],
    }
    template = pod_template(
        name,
        {
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "serviceAccountName": name,
            "nodeSelector": {"kubernetes.io/hostname": layout.NODE},
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 10,
            "containers": [container],
            "volumes": [{"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        },
    )
    selector = {"matchLabels": {"app.kubernetes.io/name": name}}
    return [
        *account(
            name,
            [
                rule("", ["pods", "namespaces", "nodes"], _READ_RULE),
                rule("networking.k8s.io", ["networkpolicies"], _READ_RULE),
            ],
        ),
        manifest("apps/v1", "DaemonSet", name, spec={"selector": selector, "template": template}),
    ]


def storage() -> list[Manifest]:
    """The default class `local`, the class of published models, and the provisioner behind both."""
    name = "local-volume-provisioner"
    root = str(paths.VOLUMES)
    container = {
        "args": [f"--root={root}"],
        "env": [_NODE_NAME],
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}, "limits": {"memory": "100Mi"}},
        "volumeMounts": [{"name": "volumes", "mountPath": root}],
        # Files in volumes belong to any user.
        "securityContext": security_context("DAC_OVERRIDE", "FOWNER"),
    }
    volume = {"name": "volumes", "hostPath": {"path": root, "type": "Directory"}}
    rules = [
        rule("", ["persistentvolumes"], [*_READ_RULE, "create", "delete", "patch", "update"]),
        rule("", ["persistentvolumeclaims"], [*_READ_RULE, "update"]),
        rule("storage.k8s.io", ["storageclasses", "csinodes"], _READ_RULE),
        rule("", ["events"], ["create", "update", "patch"]),
        rule("", ["nodes"], _READ_RULE),
    ]
    default = manifest(
        "storage.k8s.io/v1",
        "StorageClass",
        "local",
        namespaced=False,
        provisioner=_PROVISIONER,
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
    )
    default["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    shared = manifest(
        "storage.k8s.io/v1",
        "StorageClass",
        _SHARED_CLASS,
        namespaced=False,
        provisioner=_PROVISIONER,
        parameters={"sharedPath": str(paths.PUBLISHED_MODELS)},
        mountOptions=["ro"],
        reclaimPolicy="Delete",
        volumeBindingMode="Immediate",
    )
    return [
        *controller(name, layout.PROVISIONER_IMAGE, container, rules, volumes=[volume]),
        default,
        shared,
        published_models(),
    ]


def published_models() -> Manifest:
    """The directory of models that were generated on this machine, as a volume to fetch from."""
    terms = [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [layout.NODE]}]}
    ]
    volume = manifest(
        "v1",
        "PersistentVolume",
        "published-models",
        namespaced=False,
        spec={
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": _SHARED_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "mountOptions": ["ro"],
            "local": {"path": str(paths.PUBLISHED_MODELS)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        },
    )
    # The provisioner gives it free again when its claim is deleted.
    volume["metadata"]["labels"]["autoglm.dev/rebind"] = "true"
    return volume


def cert_manager() -> list[Manifest]:
    """Issues and renews certificates. Its custom resource definitions come from its own module."""
    name = "cert-manager-controller"
    group = "cert-manager.io"
    container = {
        # Resident 63 MB while it issues and renews six certificates.
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "192Mi"}},
        **probes(9403, "/livez"),
        "securityContext": security_context(),
    }
    rules = [
        rule(group, ["certificates", "issuers"], [*_READ_RULE, "update", "patch"]),
        rule(group, ["clusterissuers"], _READ_RULE),
        rule(group, ["certificaterequests"], [*_READ_RULE, *_WRITE]),
        rule(
            group,
            ["certificates/status", "certificaterequests/status", "issuers/status"],
            ["update", "patch"],
        ),
        rule(group, ["certificates/finalizers", "certificaterequests/finalizers"], ["update"]),
        {**rule(group, ["signers"], ["approve"]), "resourceNames": [f"issuers.{group}/*"]},
        rule("", ["secrets"], [*_READ_RULE, *_WRITE]),
        rule("", ["events"], ["create", "patch"]),
    ]
    return controller(name, layout.CERT_MANAGER_IMAGE, container, rules)


def prometheus_operator() -> list[Manifest]:
    """Runs each Prometheus and Alertmanager. Its custom resource definitions come from its own module."""
    name = "prometheus-operator"
    group = "monitoring.coreos.com"
    container = {
        "args": [
            f"--prometheus-config-reloader={layout.CONFIG_RELOADER_IMAGE}",
            "--config-reloader-cpu-request=5m",
            "--config-reloader-cpu-limit=100m",
            "--config-reloader-memory-request=32Mi",
            "--config-reloader-memory-limit=32Mi",
            # What no Prometheus or Alertmanager refers to need not be watched.
            "--secret-field-selector=type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1",
            "--kubelet-endpoints=false",
            "--disable-unmanaged-prometheus-configuration",
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "GOGC", "value": "30"}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "160Mi"}},
        **probes(8080, "/healthz"),
        "securityContext": security_context(),
    }
    kinds = ("prometheuses", "prometheusagents", "alertmanagers", "thanosrulers")
    monitors = ("servicemonitors", "podmonitors", "probes", "scrapeconfigs")
    configured = (*kinds, *monitors, "prometheusrules", "alertmanagerconfigs")
    rules = [
        rule(group, list(configured), [*_READ_RULE, "update", "patch"]),
        rule(group, [f"{kind}/status" for kind in configured], ["update", "patch", "get"]),
        rule(group, [f"{kind}/finalizers" for kind in kinds], ["update"]),
        rule("apps", ["statefulsets", "daemonsets"], [*_READ_RULE, *_WRITE, "deletecollection"]),
        rule("", ["configmaps", "secrets"], [*_READ_RULE, *_WRITE, "deletecollection"]),
        rule("", ["services", "services/finalizers"], [*_READ_RULE, *_WRITE]),
        rule("", ["pods"], ["list", "delete"]),
        rule("", ["nodes", "namespaces"], _READ_RULE),
        rule("storage.k8s.io", ["storageclasses"], ["get"]),
        rule("events.k8s.io", ["events"], ["create", "patch"]),
    ]
    return controller(name, layout.PROMETHEUS_OPERATOR_IMAGE, container, rules)


def kube_proxy() -> Manifest:
    """What kubeadm cannot be told of its kube-proxy DaemonSet: the node, and how much CPU it asks for."""
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": layout.NODE},
        "containers": [{"name": "kube-proxy", "resources": {"requests": {"cpu": "10m"}}}],
    }
    # The schema wants the selector even where it stays as it is.
    selector = {"matchLabels": {"k8s-app": "kube-proxy"}}
    return manifest(
        "apps/v1", "DaemonSet", "kube-proxy", spec={"selector": selector, "template": {"spec": spec}}
    )


def annotate_images(objects: Sequence[Manifest], image_keys: Mapping[str, str]) -> None:
    """Note in each pod template which build of its image is meant: a rebuilt image keeps its tag."""
    for item in objects:
        if item["kind"] in ("DaemonSet", "Deployment"):
            container = item["spec"]["template"]["spec"]["containers"][0]["name"]
            metadata = item["spec"]["template"].setdefault("metadata", {})
            metadata.setdefault("annotations", {})[IMAGE_ANNOTATION] = image_keys[container]


def manifests(ranges: Ranges, upstream: Sequence[str]) -> list[Manifest]:
    """Everything, in the order in which it is applied."""
    return [
        # Tools that write only to embedded clusters look for this object.
        manifest("v1", "ConfigMap", layout.NAME, data={"purpose": "embedded"}),
        manifest("v1", "ConfigMap", "coredns", data={"Corefile": corefile(upstream)}),
        *network_policy_controller(ranges),
        *storage(),
        *cert_manager(),
        *prometheus_operator(),
        kube_proxy(),
    ]
