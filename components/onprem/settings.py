"""Settings of a bare-metal cluster, as people write them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field

from components.accelerators.settings import LabelKey, LabelText, Taint
from components.common.names import DnsLabel, LabelValue
from components.common.quantities import Bytes, Millicores
from components.common.schema import FrozenModel, PositiveInt
from components.hosts.settings import AbsolutePath, Hosts
from components.virtual_ip.settings import NodeName, VirtualIp


class OnpremNode(FrozenModel):
    """A machine of a pool."""

    name: NodeName
    """Name of the Kubernetes node."""
    address: IPv4Address
    """Its address in the nodes' network."""


class NodeHardware(FrozenModel):
    """What every machine of a pool has. Pods get less: the kubelet's reservations are subtracted."""

    cpu: Millicores
    """Logical processors."""
    memory: Bytes
    """Main memory."""
    disk: Bytes
    """File system of containers and their logs."""
    accelerator: str | None = None
    """Model of accelerator, by its name in the catalogue, e.g. `H100-80` or `Ascend-910B`."""
    accelerator_count: PositiveInt = 1
    """Accelerators of each machine."""


class OnpremNodePool(FrozenModel):
    """Machines of one kind."""

    name: DnsLabel
    """Name of the pool."""
    nodes: Annotated[tuple[OnpremNode, ...], Field(min_length=1)]
    """The machines."""
    hardware: NodeHardware
    """What each of them has."""
    zone: LabelValue = "default"
    """Where they stand: room, rack or building that fails as one."""
    labels: dict[LabelKey, LabelText] = Field(default_factory=dict)
    """Labels of the nodes, besides those that the platform sets."""
    taints: tuple[Taint, ...] = ()
    """Taints of the nodes, besides the one of their accelerator."""


class LocalVolume(FrozenModel):
    """A directory or mount point of a node that becomes a persistent volume."""

    node: NodeName
    """The node."""
    path: AbsolutePath
    """Mount point on it; a file system of its own, or one volume can fill another."""
    size: Bytes
    """Its capacity."""


class LocalStorage(FrozenModel):
    """Storage class over disks of the nodes. The disk's data is lost with the disk."""

    class_name: DnsLabel = "local"
    """Name of the storage class."""
    default: bool = True
    """Whether claims without a class get this one."""
    volumes: tuple[LocalVolume, ...] = ()
    """The volumes; without any the class exists already, with a provisioner of its own."""


class OnpremCluster(FrozenModel):
    """An existing Kubernetes cluster on machines of your own."""

    kind: Literal["onprem"]
    kubeconfig: str = "kubeconfig"
    """Path of the kubeconfig, relative to the project. Used unless $KUBECONFIG names another."""
    context: str | None = None
    """Context of the kubeconfig; without it, the current one."""
    node_pools: Annotated[tuple[OnpremNodePool, ...], Field(min_length=1)]
    """The nodes, in pools of equal machines."""
    storage: LocalStorage = Field(default_factory=LocalStorage)
    """Storage on the nodes' disks."""
    virtual_ip: VirtualIp
    """Address of the model API, held by one of the entry nodes."""
    entry_namespace: DnsLabel = "entry"
    """Namespace of keepalived and haproxy; privileged, and for them alone."""
    hosts: Hosts | None = None
    """How the machines are made into a cluster; without it the cluster was made otherwise."""
