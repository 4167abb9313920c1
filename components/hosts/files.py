"""The files that a machine gets, by path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from components.audit import api_server
from components.hosts import kubeadm, virtual_ip
from components.hosts.plan import Host, HostsPlan
from components.hosts.preflight import PREFLIGHT, render_preflight

MODULES: Final = ("overlay", "br_netfilter", "nf_tables")
"""Snapshots of containers; bridged packets in the firewall; kube-proxy and the virtual IP's rules."""
_NVIDIA_RUNTIME: Final = "/usr/bin/nvidia-container-runtime"
_ASCEND_RUNTIME: Final = "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime"
"""Where the vendors' packages put them."""


@dataclass(frozen=True)
class File:
    """A file of a machine."""

    path: str
    content: str
    mode: str = "0644"
    """Octal, as chmod takes it; the owner is root."""


def files(plan: HostsPlan, host: Host) -> list[File]:
    """All of them, sorted by path."""
    return sorted(_files(plan, host), key=lambda file: file.path)


def _files(plan: HostsPlan, host: Host) -> Iterator[File]:
    limit = plan.settings.open_files
    yield File("/etc/modules-load.d/90-autoglm.conf", "".join(f"{name}\n" for name in MODULES))
    yield File("/etc/sysctl.d/90-autoglm.conf", render_sysctls(plan))
    yield File(
        "/etc/security/limits.d/90-autoglm.conf",
        "".join(f"{who} {kind} nofile {limit}\n" for who in ("*", "root") for kind in ("soft", "hard")),
    )
    for unit in ("containerd", "kubelet"):
        yield File(
            f"/etc/systemd/system/{unit}.service.d/90-autoglm.conf", f"[Service]\nLimitNOFILE={limit}\n"
        )
    yield File("/etc/containerd/config.toml", render_containerd(host))
    yield File("/etc/crictl.yaml", f"runtime-endpoint: {kubeadm.CRI_SOCKET}\n")
    # 0600: kubeadm adds nothing secret to it, and nobody else needs it.
    yield File("/etc/kubernetes/kubeadm.yaml", kubeadm.render_kubeadm(plan, host), "0600")
    yield File(
        f"{kubeadm.PATCHES}/kubeletconfiguration0+merge.yaml", kubeadm.render_kubelet_patch(host), "0600"
    )
    yield File(PREFLIGHT, render_preflight(plan, host), "0755")
    if host.control_plane:
        # Before kubeadm: an API server that is told of a policy and finds none ends at once.
        yield File(str(api_server.policy_path()), api_server.policy(), "0600")
        for path, content, mode in virtual_ip.files(plan, host):
            yield File(path, content, mode)


def sysctls(plan: HostsPlan) -> dict[str, int]:
    """Kernel parameters by name."""
    given = plan.settings.sysctls
    return {
        "net.core.somaxconn": given.somaxconn,
        "fs.file-max": given.file_max,
        "fs.inotify.max_user_instances": given.inotify_instances,
        "fs.inotify.max_user_watches": given.inotify_watches,
        "vm.max_map_count": given.map_count,
        "net.ipv4.ip_forward": 1,
        "net.bridge.bridge-nf-call-iptables": 1,
        "net.bridge.bridge-nf-call-ip6tables": 1,
        # What the kubelet's protectKernelDefaults insists on (k8s.io/kubernetes, pkg/util/sysctl).
        "vm.overcommit_memory": 1,
        "vm.panic_on_oom": 0,
        "kernel.panic": 10,
        "kernel.panic_on_oops": 1,
        "kernel.keys.root_maxkeys": 1000000,
        "kernel.keys.root_maxbytes": 25000000,
    }


def render_sysctls(plan: HostsPlan) -> str:
    """A file of sysctl.d(5)."""
    return "".join(f"{name} = {value}\n" for name, value in sysctls(plan).items())


def render_containerd(host: Host) -> str:
    """config.toml of containerd 2 (configuration version 3); the accelerator's runtime is the default."""
    runtime, binary = _runtime(host)
    special = (
        f"""
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.{runtime}]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.{runtime}.options]
BinaryName = '{binary}'
SystemdCgroup = true
"""
        if binary
        else ""
    )
    return f"""\
version = 3

[plugins.'io.containerd.cri.v1.runtime']
enable_cdi = true

[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = '{runtime}'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = true
{special}"""


def _runtime(host: Host) -> tuple[str, str | None]:
    """Name and program of the runtime; Cambricon's device plugin works with plain runc."""
    vendor = host.accelerator.vendor if host.accelerator else None
    if vendor == "NVIDIA":
        return "nvidia", _NVIDIA_RUNTIME
    if vendor == "Huawei":
        return "ascend", _ASCEND_RUNTIME
    return "runc", None
