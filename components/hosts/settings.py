"""Settings of the machines themselves: what first boot and kubeadm need. Pulumi does not touch machines; the
platform renders their configuration from these.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field

from components.common.cidr import Ipv4Cidr
from components.common.schema import FrozenModel, PositiveInt
from components.virtual_ip.settings import NodeName, VirtualIp

KubernetesVersion = Annotated[str, Field(pattern=r"^1\.\d+\.\d+$")]
DriverVersion = Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?$")]
AbsolutePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._-]+)+$")]
HttpsUrl = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.:\[\]-]+$")]


class StackedEtcd(FrozenModel):
    """etcd members run on the control-plane nodes, managed by kubeadm."""

    kind: Literal["stacked"]
    data_dir: AbsolutePath = "/var/lib/etcd"
    """Directory of the data, on a disk with fast fsync."""


class ExternalEtcd(FrozenModel):
    """An etcd cluster of its own."""

    kind: Literal["external"]
    endpoints: Annotated[tuple[HttpsUrl, ...], Field(min_length=1)]
    """Client URLs of the members."""
    ca_file: AbsolutePath = "/etc/kubernetes/pki/etcd/ca.crt"
    """Authority of the members' certificates, on each control-plane node."""
    cert_file: AbsolutePath = "/etc/kubernetes/pki/apiserver-etcd-client.crt"
    """Client certificate of the API server."""
    key_file: AbsolutePath = "/etc/kubernetes/pki/apiserver-etcd-client.key"
    """Its key."""


class ControlPlaneNode(FrozenModel):
    """A machine that runs API server, controller manager and scheduler."""

    name: NodeName
    """Host name and name of the node."""
    address: IPv4Address
    """Its address."""


class ControlPlane(FrozenModel):
    """A control plane of three nodes behind a virtual address, made by kubeadm."""

    nodes: Annotated[tuple[ControlPlaneNode, ...], Field(min_length=1)]
    """The nodes; an odd number of at least three. kubeadm init runs on the first."""
    virtual_ip: VirtualIp
    """Address of the API, with keepalived and haproxy as services of the machines: it must be there before
    Kubernetes is."""
    endpoint_name: NodeName | None = None
    """DNS name that resolves to the virtual address; without it, the address is the endpoint."""
    etcd: Annotated[StackedEtcd | ExternalEtcd, Field(discriminator="kind")] = StackedEtcd(kind="stacked")
    """Where the cluster's state lies."""


class Sysctls(FrozenModel):
    """Kernel parameters that differ from Debian's."""

    somaxconn: PositiveInt = 65535
    """net.core.somaxconn: connections that wait to be accepted."""
    file_max: PositiveInt = 2097152
    """fs.file-max: open files of the whole machine."""
    inotify_instances: PositiveInt = 8192
    """fs.inotify.max_user_instances."""
    inotify_watches: PositiveInt = 524288
    """fs.inotify.max_user_watches."""
    map_count: PositiveInt = 262144
    """vm.max_map_count."""


class Drivers(FrozenModel):
    """Oldest accelerator drivers that preflight accepts."""

    nvidia: DriverVersion = "535.104"
    """NVIDIA driver, as `nvidia-smi` tells it."""
    ascend: DriverVersion | None = None
    """Ascend driver, as /usr/local/Ascend/driver/version.info tells it; without one, any."""
    cambricon: DriverVersion | None = None
    """Cambricon driver, as /proc/driver/cambricon tells it; without one, any."""


class AptSource(FrozenModel):
    """A package archive besides the distribution's, for containerd and Kubernetes."""

    name: NodeName
    """Name of the file in /etc/apt/sources.list.d."""
    source: Annotated[str, Field(pattern=r"^deb .+$")]
    """Line of sources.list; `$KEY_FILE` stands for the key."""
    key: Annotated[str, Field(pattern=r"^-----BEGIN PGP PUBLIC KEY BLOCK-----")]
    """Public key of the archive, armored."""


class Hosts(FrozenModel):
    """What the machines get at first boot."""

    kubernetes_version: KubernetesVersion
    """Version of kubeadm, kubelet and the control plane."""
    control_plane: ControlPlane
    """The control plane."""
    cluster_name: NodeName = "autoglm"
    """Name of the cluster in kubeconfigs."""
    pod_cidr: Ipv4Cidr = Field(default="10.244.0.0/16", validate_default=True)
    """Range of pod addresses."""
    service_cidr: Ipv4Cidr = Field(default="10.96.0.0/16", validate_default=True)
    """Range of Service addresses."""
    dns_domain: NodeName = "cluster.local"
    """Domain of Services."""
    open_files: PositiveInt = 65536
    """nofile of containerd, kubelet and logins."""
    swap: Literal["off", "limited"] = "off"
    """`off` turns swap off at every boot; `limited` leaves it to pods of the Burstable class."""
    apt_sources: tuple[AptSource, ...] = ()
    """Archives of containerd and Kubernetes; without any, the machines' own have to offer them."""
    packages: tuple[PackageName, ...] = ("containerd.io", "kubeadm", "kubelet", "kubectl")
    """Packages of these archives; what the virtual IP needs comes from the distribution."""
    image_repository: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]*$")] | None = None
    """Registry of the control plane's images; without it, kubeadm's own."""
    sysctls: Sysctls = Field(default_factory=Sysctls)
    """Kernel parameters."""
    drivers: Drivers = Field(default_factory=Drivers)
    """Oldest accelerator drivers."""
