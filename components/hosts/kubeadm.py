"""kubeadm's configuration (kubeadm.k8s.io/v1beta4) of a control plane of several nodes behind an address.

No secret is in it: nodes join by a discovery file and by certificates that the operator copies.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from components.audit import api_server
from components.hosts.plan import Host, HostsPlan
from components.hosts.reservations import kubelet_fields
from components.hosts.settings import ExternalEtcd, StackedEtcd
from components.virtual_ip.settings import KubernetesApi

API_VERSION: Final = "kubeadm.k8s.io/v1beta4"
CRI_SOCKET: Final = "unix:///run/containerd/containerd.sock"
DISCOVERY_FILE: Final = "/etc/kubernetes/discovery.conf"
PATCHES: Final = "/etc/kubernetes/patches"
_SHUTDOWN_SECONDS: Final = 120
_CRITICAL_SHUTDOWN_SECONDS: Final = 90
"""Of these, for critical pods: the proxies' own grace."""

Document = dict[str, Any]


def render_kubeadm(plan: HostsPlan, host: Host) -> str:
    """Content of kubeadm.yaml: for `kubeadm init` on the first node, for `kubeadm join` on the others."""
    if host.role == "first-control-plane":
        documents = [_init(plan, host), _cluster(plan), _kubelet(plan, host), _proxy(plan)]
    else:
        documents = [_join(plan, host)]
    return "---\n".join(yaml.safe_dump(document, sort_keys=False) for document in documents)


def render_kubelet_patch(host: Host) -> str:
    """Patch of the node's kubelet configuration: reservations follow its own processors."""
    return yaml.safe_dump(kubelet_fields(host.cpu), sort_keys=False)


def _arguments(values: dict[str, str]) -> list[Document]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _registration(host: Host) -> Document:
    arguments = {"node-ip": str(host.address)}
    if host.pool and host.pool.labels:
        arguments["node-labels"] = ",".join(
            f"{key}={value}" for key, value in sorted(host.pool.labels.items())
        )
    registration: Document = {
        "name": host.name,
        "criSocket": CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": _arguments(arguments),
    }
    if host.pool is not None:
        # Stated, so that a control-plane node of a pool takes that pool's workloads.
        registration["taints"] = [
            {"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in host.pool.taints
        ]
    return registration


def _init(plan: HostsPlan, host: Host) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "InitConfiguration",
        "nodeRegistration": _registration(host),
        "localAPIEndpoint": {"advertiseAddress": str(host.address), "bindPort": _server_port(plan)},
        "patches": {"directory": PATCHES},
    }


def _cluster(plan: HostsPlan) -> Document:
    settings = plan.settings
    names = [settings.control_plane.endpoint_name, str(plan.virtual_ip.address.ip)]
    # One leader at a time of each, whichever nodes are up.
    leader = _arguments({"leader-elect": "true", "profiling": "false"})
    document: Document = {
        "apiVersion": API_VERSION,
        "kind": "ClusterConfiguration",
        "clusterName": settings.cluster_name,
        "kubernetesVersion": f"v{settings.kubernetes_version}",
        "controlPlaneEndpoint": plan.endpoint,
        "networking": {
            "podSubnet": str(settings.pod_cidr),
            "serviceSubnet": str(settings.service_cidr),
            "dnsDomain": settings.dns_domain,
        },
        "apiServer": {
            "certSANs": [name for name in names if name]
            + [str(host.address) for host in plan.hosts if host.control_plane],
            "extraArgs": _arguments(
                {"profiling": "false", "enable-admission-plugins": "NodeRestriction", **api_server.flags()}
            ),
            "extraVolumes": _audit_volumes(),
        },
        "controllerManager": {"extraArgs": leader},
        "scheduler": {"extraArgs": [dict(argument) for argument in leader]},
        "etcd": _etcd(settings.control_plane.etcd),
    }
    if settings.image_repository:
        document["imageRepository"] = settings.image_repository
    return document


def _audit_volumes() -> list[Document]:
    policy, log = str(api_server.policy_path().parent), str(api_server.log_folder())
    return [
        {
            "name": "audit-policy",
            "hostPath": policy,
            "mountPath": policy,
            "readOnly": True,
            "pathType": "Directory",
        },
        # Made where it is missing, with root as its owner.
        {
            "name": "audit-log",
            "hostPath": log,
            "mountPath": log,
            "readOnly": False,
            "pathType": "DirectoryOrCreate",
        },
    ]


def _etcd(etcd: StackedEtcd | ExternalEtcd) -> Document:
    if isinstance(etcd, ExternalEtcd):
        return {
            "external": {
                "endpoints": list(etcd.endpoints),
                "caFile": etcd.ca_file,
                "certFile": etcd.cert_file,
                "keyFile": etcd.key_file,
            }
        }
    return {"local": {"dataDir": etcd.data_dir}}


def _kubelet(plan: HostsPlan, host: Host) -> Document:
    limited = plan.settings.swap == "limited"
    document: Document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "rotateCertificates": True,
        "readOnlyPort": 0,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "protectKernelDefaults": True,
        "failSwapOn": not limited,
        "shutdownGracePeriod": f"{_SHUTDOWN_SECONDS}s",
        "shutdownGracePeriodCriticalPods": f"{_CRITICAL_SHUTDOWN_SECONDS}s",
        **kubelet_fields(host.cpu),
    }
    if limited:
        document["memorySwap"] = {"swapBehavior": "LimitedSwap"}
    return document


def _proxy(plan: HostsPlan) -> Document:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(plan.settings.pod_cidr),
    }


def _join(plan: HostsPlan, host: Host) -> Document:
    document: Document = {
        "apiVersion": API_VERSION,
        "kind": "JoinConfiguration",
        "discovery": {"file": {"kubeConfigPath": DISCOVERY_FILE}},
        "nodeRegistration": _registration(host),
        "patches": {"directory": PATCHES},
    }
    if host.control_plane:
        document["controlPlane"] = {
            "localAPIEndpoint": {"advertiseAddress": str(host.address), "bindPort": _server_port(plan)}
        }
    return document


def _server_port(plan: HostsPlan) -> int:
    frontend = plan.virtual_ip.settings.frontend
    assert isinstance(frontend, KubernetesApi)
    return frontend.server_port
