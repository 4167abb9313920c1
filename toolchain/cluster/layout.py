"""Where the embedded cluster keeps what, and the names and numbers that other parts rely on.

Everything is below `.toolchain`. Programs that insist on fixed places (/etc/kubernetes, /var/lib/kubelet …)
get them in a mount namespace of the cluster's own, where those places are bind mounts from `.toolchain`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain import paths

NAME: Final = "autoglm-embedded"
# One node, whose name must not depend on the host's name: certificates and volumes carry it.
NODE: Final = NAME
KUBERNETES_VERSION: Final = "v1.36.3"
ETCD_VERSION: Final = "3.6.8"
COREDNS_VERSION: Final = "v1.14.0"
CERT_MANAGER_VERSION: Final = "v1.21.0"
PROMETHEUS_OPERATOR_VERSION: Final = "v0.92.0"
IMAGE_REPOSITORY: Final = "autoglm.local"
CONTAINERD_NAMESPACE: Final = "k8s.io"
SERVER_PORT: Final = 6443

STATE: Final = paths.CLUSTER / "state.json"
LOCK: Final = paths.CLUSTER / "up.lock"
SUPERVISOR_LOCK: Final = paths.CLUSTER / "supervisor.lock"
SUPERVISOR_STATE: Final = paths.CLUSTER / "supervisor.json"
SERVICES: Final = paths.CLUSTER / "services.json"
KUBEADM_CONFIG: Final = paths.CLUSTER / "kubeadm.yaml"
KUBEADM_PATCHES: Final = paths.CLUSTER / "patches"
KUBERNETES: Final = paths.CLUSTER / "kubernetes"
KUBELET: Final = paths.CLUSTER / "kubelet"
ETCD: Final = paths.CLUSTER / "etcd"
CONTAINERD_ROOT: Final = paths.CLUSTER / "containerd"
CONTAINERD_CONFIG: Final = paths.CLUSTER / "containerd.toml"
CNI_CONFIG: Final = paths.CLUSTER / "cni"
RESOLV_CONF: Final = paths.CLUSTER / "resolv.conf"
COMMANDS: Final = paths.CLUSTER / "commands"
POD_LOGS: Final = paths.LOGS / "pods"
AUDIT_LOGS: Final = paths.LOGS / "audit"
SERVICE_LOGS: Final = paths.LOGS / "cluster"

# Inside the cluster's mount namespace.
CONTAINERD_STATE: Final = Path("/run/containerd")
CONTAINERD_SOCKET: Final = CONTAINERD_STATE / "containerd.sock"
KUBELET_CONFIG: Final = Path("/var/lib/kubelet/config.yaml")
ADMIN_KUBECONFIG: Final = Path("/etc/kubernetes/admin.conf")
KUBELET_KUBECONFIG: Final = Path("/etc/kubernetes/kubelet.conf")


@dataclass(frozen=True)
class Mount:
    """A place in the cluster's mount namespace: a directory of `.toolchain`, or a tmpfs without a source."""

    target: Path
    source: Path | None = None


MOUNTS: Final = (
    Mount(Path("/etc/kubernetes"), KUBERNETES),
    Mount(Path("/var/lib/kubelet"), KUBELET),
    Mount(Path("/var/log/containers"), paths.CLUSTER / "container-logs"),
    # Where agents of nodes look for them, on every cluster.
    Mount(Path("/var/log/pods"), POD_LOGS),
    Mount(Path("/var/log/kubernetes/audit"), AUDIT_LOGS),
    # Sockets, mounts of containers and addresses given to pods mean nothing after a restart of the machine.
    Mount(CONTAINERD_STATE),
    Mount(Path("/var/lib/cni")),
)

# Other places that kubelet, or the pods of kubeadm's manifests, create on the host when they are missing.
CREATED_BY_PODS: Final = (
    Path("/lib/modules"),
    Path("/run/xtables.lock"),
    Path("/usr/libexec/kubernetes/kubelet-plugins/volume/exec"),
)

# TCP ports by the address they are taken on. 2381 etcd metrics, 10248 kubelet health, 10249 and 10256
# kube-proxy, 10257 controller manager, 10259 scheduler, 20244 network policy controller.
NODE_PORTS: Final = (2379, 2380, 6443, 10250, 10256)
LOOPBACK_PORTS: Final = (2379, 2381, 10248, 10249, 10257, 10259, 20244)

# Links of the node's own address: a veth pair, because container networking needs that driver anyway.
LINK: Final = "autoglm0"
LINK_PEER: Final = "autoglm1"


def cgroup_name() -> str:
    """Name of the cluster's control group: several checkouts on one machine must not share it."""
    return f"autoglm-{hashlib.sha256(str(paths.ROOT).encode()).hexdigest()[:8]}"


def image(name: str, version: str) -> str:
    """Reference of an image of the cluster itself."""
    return f"{IMAGE_REPOSITORY}/{name}:{version}"


PAUSE_IMAGE: Final = image("pause", "3.10.2")
POLICY_IMAGE: Final = image("network-policy-controller", "1.6.1")
PROVISIONER_IMAGE: Final = image("local-volume-provisioner", "1.0.0")
CERT_MANAGER_IMAGE: Final = image("cert-manager-controller", CERT_MANAGER_VERSION)
PROMETHEUS_OPERATOR_IMAGE: Final = image("prometheus-operator", PROMETHEUS_OPERATOR_VERSION)
CONFIG_RELOADER_IMAGE: Final = image("prometheus-config-reloader", PROMETHEUS_OPERATOR_VERSION)
KWOK_IMAGE: Final = image("kwok", "0.8.0")
