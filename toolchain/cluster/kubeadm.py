"""What kubeadm is told, and running it.

Configuration is written as JSON documents, which are YAML too: this runs before any YAML library is
installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain import artefacts, paths
from toolchain.cluster import layout
from toolchain.cluster.network import Ranges

# CPU requested by the control plane, in place of kubeadm's 650m: the embedded node may have two cores, which
# the model server needs. Requests also set shares under contention, so the API server and etcd keep the most.
CPU_REQUESTS = {
    "kube-apiserver": "100m",
    "etcd": "50m",
    "kube-controller-manager": "50m",
    "kube-scheduler": "25m",
}
COREDNS_CPU_REQUEST = "25m"
# Nobody renews certificates of a cluster that is made and removed by commands.
_TEN_YEARS = "87600h"
_GIB = 1 << 30
# What the API server writes down is the same on every cluster whose API server is ours, so it is read where
# the platform has it.
AUDIT = paths.ROOT / "components" / "audit" / "api_server"
# Place of the policy where kubelet, and so the API server's pod, sees it.
_AUDIT_POLICY = Path("/etc/kubernetes/audit/policy.yaml")


@dataclass(frozen=True)
class Options:
    """What depends on the host."""

    ranges: Ranges
    cgroup: str
    cgroup_version: int


def _arguments(**values: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def configuration(options: Options) -> list[dict[str, Any]]:
    """kubeadm's documents."""
    node = str(options.ranges.node)
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "nodeRegistration": {
            "name": layout.NODE,
            "criSocket": f"unix://{layout.CONTAINERD_SOCKET}",
            "imagePullPolicy": "IfNotPresent",
            # The one node runs everything.
            "taints": [],
            "kubeletExtraArgs": _arguments(node_ip=node),
        },
        "localAPIEndpoint": {"advertiseAddress": node, "bindPort": layout.SERVER_PORT},
        # A machine that builds or pulls at the same time takes longer than kubeadm's four minutes.
        "timeouts": {"controlPlaneComponentHealthCheck": "10m0s", "kubernetesAPICall": "5m0s"},
        "patches": {"directory": str(layout.KUBEADM_PATCHES)},
        # Nothing joins; the checks are made by preflight.py for what is really needed.
        "skipPhases": ["preflight", "upload-certs", "show-join-command"],
    }
    cluster = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": layout.NAME,
        "kubernetesVersion": layout.KUBERNETES_VERSION,
        "imageRepository": layout.IMAGE_REPOSITORY,
        "certificateValidityPeriod": _TEN_YEARS,
        "caCertificateValidityPeriod": _TEN_YEARS,
        "networking": {
            "podSubnet": str(options.ranges.pods),
            "serviceSubnet": str(options.ranges.services),
            "dnsDomain": "cluster.local",
        },
        # The API is served to this machine only.
        "apiServer": {
            "extraArgs": [*_arguments(bind_address=node, profiling="false"), *_audit_arguments()],
            "extraVolumes": _audit_volumes(),
        },
        "controllerManager": {
            "extraArgs": _arguments(
                profiling="false",
                flex_volume_plugin_dir=str(layout.KUBELET / "volume-plugins"),
                leader_elect="false",
            )
        },
        "scheduler": {"extraArgs": _arguments(profiling="false", leader_elect="false")},
        "etcd": {"local": {"dataDir": str(layout.ETCD), "imageTag": layout.ETCD_VERSION}},
        "dns": {"imageTag": layout.COREDNS_VERSION},
    }
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(options.ranges.pods),
        "healthzBindAddress": f"{node}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # Zeros leave the host's connection tracking parameters alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return [init, cluster, _kubelet(options), proxy]


def _audit_flags() -> dict[str, str]:
    flags: dict[str, str] = json.loads((AUDIT / "flags.json").read_text(encoding="utf-8"))
    return flags


def _audit_arguments() -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in _audit_flags().items()]


def _audit_volumes() -> list[dict[str, Any]]:
    log = str(Path(_audit_flags()["audit-log-path"]).parent)
    return [
        {
            "name": "audit-policy",
            "hostPath": str(_AUDIT_POLICY.parent),
            "mountPath": str(_AUDIT_POLICY.parent),
            "readOnly": True,
            "pathType": "Directory",
        },
        {
            "name": "audit-log",
            "hostPath": str(layout.AUDIT_LOGS),
            "mountPath": log,
            "readOnly": False,
            "pathType": "Directory",
        },
    ]


def _kubelet(options: Options) -> dict[str, Any]:
    kubelet: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(options.ranges.node),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{options.cgroup.strip('/')}",
        "clusterDNS": [str(options.ranges.dns)],
        "resolvConf": str(layout.RESOLV_CONF),
        "podLogsDir": str(layout.POD_LOGS),
        "volumePluginDir": str(layout.KUBELET / "volume-plugins"),
        "containerLogMaxSize": "10Mi",
        # Its chains would stay on the host; nothing uses them.
        "makeIPTablesUtilChains": False,
        "failSwapOn": False,
        # Writing the limit of all pods fails in some containers and virtual machines, and guards little on
        # one node.
        "enforceNodeAllocatable": [],
        # Images have no registry to come back from.
        "imageGCHighThresholdPercent": 100,
        # The defaults are shares of the disk, which the host's own files may already exceed.
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "1Gi",
            "imagefs.available": "1Gi",
            "nodefs.inodesFree": "1%",
        },
        "shutdownGracePeriod": "0s",
    }
    if options.cgroup_version == 1:
        kubelet["failCgroupV1"] = False
    return kubelet


IMAGE_ANNOTATION = "autoglm.dev/image"


def patches(image_keys: Mapping[str, str]) -> dict[str, Any]:
    """Patch files by name, in kubeadm's naming: target[suffix]+type.json.

    `image_keys` identify the content of each component's image: a rebuilt image keeps its tag, and the
    changed annotation has the pod started again.
    """
    files: dict[str, Any] = {
        f"{component}+strategic.json": {
            "metadata": {"annotations": {IMAGE_ANNOTATION: image_keys[component]}},
            "spec": {"containers": [{"name": component, "resources": {"requests": {"cpu": cpu}}}]},
        }
        for component, cpu in CPU_REQUESTS.items()
    }
    files["corednsdeployment+strategic.json"] = {
        "spec": {
            # A second replica on the same node guards against nothing.
            "replicas": 1,
            "template": {
                "metadata": {"annotations": {IMAGE_ANNOTATION: image_keys["coredns"]}},
                "spec": {
                    "containers": [
                        {"name": "coredns", "resources": {"requests": {"cpu": COREDNS_CPU_REQUEST}}}
                    ],
                    # Simulated nodes run no pods: a resolver placed there answers nothing.
                    "nodeSelector": {"kubernetes.io/hostname": layout.NODE},
                },
            },
        }
    }
    return files


def write(options: Options, image_keys: Mapping[str, str]) -> str:
    """Write the configuration, the patches and the audit policy; returns a digest of all."""
    documents = [json.dumps(document, indent=1) for document in configuration(options)]
    layout.KUBEADM_CONFIG.write_text("\n---\n".join(documents) + "\n")
    layout.KUBEADM_PATCHES.mkdir(parents=True, exist_ok=True)
    files = {name: json.dumps(patch, indent=1) for name, patch in patches(image_keys).items()}
    for name, text in files.items():
        (layout.KUBEADM_PATCHES / name).write_text(text + "\n")
    policy = (AUDIT / "policy.yaml").read_text(encoding="utf-8")
    # Written before the API server starts, which ends at once without it.
    layout.AUDIT_LOGS.mkdir(parents=True, exist_ok=True)
    # Who did what is for the administrators of this machine.
    layout.AUDIT_LOGS.chmod(0o700)
    place = layout.KUBERNETES / _AUDIT_POLICY.relative_to("/etc/kubernetes")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(policy)
    return artefacts.digest(*documents, *files.values(), policy)


def kubelet_arguments(kubelet: Path, ranges: Ranges) -> tuple[str, ...]:
    """kubelet's command line; the rest is in the file that kubeadm writes."""
    return (
        str(kubelet),
        f"--config={layout.KUBELET_CONFIG}",
        f"--kubeconfig={layout.KUBELET_KUBECONFIG}",
        f"--hostname-override={layout.NODE}",
        f"--node-ip={ranges.node}",
    )


def kubeconfig(admin: dict[str, Any]) -> dict[str, Any]:
    """The administrator's kubeconfig under names that cannot be mistaken for another cluster's."""
    cluster = admin["clusters"][0]["cluster"]
    user = admin["users"][0]["user"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": layout.NAME, "cluster": cluster}],
        "users": [{"name": layout.NAME, "user": user}],
        "contexts": [{"name": layout.NAME, "context": {"cluster": layout.NAME, "user": layout.NAME}}],
        "current-context": layout.NAME,
    }
