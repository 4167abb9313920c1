"""The `cluster` section of a stack on Google Kubernetes Engine, as people write it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from components.accelerators.settings import EXCLUSIVE, LabelKey, LabelText, Sharing, Taint
from components.common.cidr import Ipv4Cidr
from components.common.quantities import GIB, Bytes
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt

ClusterName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,22}[a-z0-9])?$")]
"""Short enough for what is named after it: a service account's id has 30 characters at most."""
PoolName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,29}[a-z0-9])?$")]
"""A node pool's name has 40 characters at most; a digest of its shape is appended."""
Region = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]{1,2}$", examples=["europe-west4"])]
Zone = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]{1,2}-[a-z]$", examples=["europe-west4-a"])]
ProjectId = Annotated[str, Field(pattern=r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$", examples=["example-project"])]
ProjectNumber = Annotated[str, Field(pattern=r"^[0-9]{6,14}$", examples=["111122223333"])]
GoogleLabelKey = Annotated[str, Field(pattern=r"^[a-z][-_a-z0-9]{0,62}$")]
GoogleLabelText = Annotated[str, Field(pattern=r"^[-_a-z0-9]{0,63}$")]
IamMember = Annotated[
    str,
    Field(
        pattern=r"^(user|group|serviceAccount):[^@\s*]+@[^@\s*]+$|^principal(Set)?://iam\.googleapis\.com/\S+$",
        examples=["group:platform-security@example.com"],
    ),
]
"""Somebody in IAM. `allUsers` and `allAuthenticatedUsers` are nobody in particular, so they do not fit."""
Version = Annotated[
    str, Field(pattern=r"^1\.[0-9]{2}(\.[0-9]+(-gke\.[0-9]+)?)?$", examples=["1.36.3-gke.1000000"])
]
RepositoryName = Annotated[
    str,
    Field(
        pattern=r"^projects/[a-z][-a-z0-9]{4,28}[a-z0-9]/locations/[a-z0-9-]+/repositories/[a-z]([-a-z0-9]{0,62})$",
        examples=["projects/example-project/locations/europe-west4/repositories/autoglm"],
    ),
]
Weekday: TypeAlias = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
LoggingComponent: TypeAlias = Literal[
    "SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"
]
MonitoringComponent: TypeAlias = Literal[
    "SYSTEM_COMPONENTS",
    "APISERVER",
    "SCHEDULER",
    "CONTROLLER_MANAGER",
    "STORAGE",
    "HPA",
    "POD",
    "DAEMONSET",
    "DEPLOYMENT",
    "STATEFULSET",
    "CADVISOR",
    "KUBELET",
    "DCGM",
    "JOBSET",
]
FilestoreTier: TypeAlias = Literal["standard", "premium", "zonal", "enterprise"]
DiskType: TypeAlias = Literal["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"]


class GkeNat(FrozenModel):
    """Cloud NAT, for the networks that the nodes must reach on the Internet, and no others."""

    destinations: Annotated[tuple[Ipv4Cidr, ...], Field(min_length=1)]
    """Networks that pods and nodes may reach, over TCP port 443. There is no route to anything else."""


class GkeNetwork(FrozenModel):
    """The VPC of the cluster and its address ranges. Its ranges cannot be changed later."""

    zones: Annotated[tuple[Zone, ...], Field(min_length=1)]
    """Zones of the nodes, in the region, e.g. `europe-west4-a`; three for production."""
    cidr: Ipv4Cidr
    """Block that the ranges of nodes, Filestore and control plane are planned in, /16 to /20."""
    pod_cidr: Ipv4Cidr
    """Secondary range of the pods. Each node takes a block of twice its pods, rounded up to a power of 2."""
    service_cidr: Ipv4Cidr
    """Secondary range of the Services' virtual addresses, /16 to /27."""
    peer_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Networks that this one is or will be connected to (VPN, peering): its ranges must not overlap them."""
    nat: GkeNat | None = None
    """Way to the Internet. Without it, nodes reach Google's APIs by private addresses and nothing else."""
    flow_log_sampling: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the packets' flows that are logged."""


class GkeApiAccess(FrozenModel):
    """Who reaches the Kubernetes API. The cluster's own nodes and pods always do."""

    private_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Ranges among `network.peerCidrs` that may reach the private endpoint, e.g. of a VPN or a CI runner."""
    public_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Public ranges that may reach a public endpoint; without any there is no public endpoint.
    All addresses are refused."""
    global_access: bool = False
    """Whether the private endpoint answers hosts in other regions."""


class GkeMaintenance(FrozenModel):
    """When Google may upgrade the control plane and the nodes. GKE needs 48 hours in any 32 days."""

    start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "01:00"
    """Start of the window, UTC."""
    hours: Annotated[int, Field(strict=True, ge=4, le=24)] = 6
    """Length of the window; GKE counts windows of at least 4 hours."""
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = ("SA", "SU")
    """Days on which it starts."""


class GkeOnDemand(FrozenModel):
    """Machines at the regular price, as long as there are any."""

    kind: Literal["on-demand"]


class GkeSpot(FrozenModel):
    """Spare machines at a discount, taken back with 30 seconds' notice."""

    kind: Literal["spot"]


class GkeReservation(FrozenModel):
    """Machines reserved beforehand; without a free one in it no node is made."""

    kind: Literal["reservation"]
    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
    """Name of the reservation, in the cluster's project."""


CapacitySource: TypeAlias = Annotated[GkeOnDemand | GkeSpot | GkeReservation, Field(discriminator="kind")]


class GkeUpgrade(FrozenModel):
    """How many nodes a surge upgrade adds and takes at a time."""

    max_surge: NonNegativeInt
    """Nodes beyond the pool's size. They need quota, and accelerators that are free."""
    max_unavailable: NonNegativeInt
    """Nodes of the pool that are missing."""


class GkeSystemPool(FrozenModel):
    """Untainted nodes for the cluster's own workloads and the platform's services."""

    machine_type: str = "e2-standard-4"
    """Machine type of Compute Engine."""
    min_nodes: PositiveInt = 3
    """Fewest nodes, over all zones."""
    max_nodes: PositiveInt = 6
    """Most nodes, over all zones."""
    disk: Bytes = 100 * GIB
    """Boot disk: system, images, and pods' scratch space."""


class GkeNodePool(FrozenModel):
    """Nodes of one shape. The pool is made anew, before the old one is drained, when its shape changes."""

    name: PoolName
    """Name; a digest of the shape is appended to that of the pool in the cluster."""
    machine_type: str
    """Machine type of Compute Engine, e.g. `g2-standard-8`, `a3-highgpu-8g`, `ct6e-standard-4t`."""
    min_nodes: NonNegativeInt = 0
    """Fewest nodes. A TPU slice of several hosts has none or all of them."""
    max_nodes: PositiveInt
    """Most nodes. For a TPU slice of several hosts their number."""
    bounds: Literal["total", "zone"] = "total"
    """Whether `minNodes` and `maxNodes` count the nodes of all zones together or of each zone."""
    zones: tuple[Zone, ...] = ()
    """Zones among `network.zones`; without any, all of them. A TPU slice of several hosts has exactly one."""
    capacity: CapacitySource = GkeOnDemand(kind="on-demand")
    """Where the machines come from."""
    gpus: PositiveInt | None = None
    """GPUs of each node; must be what the machine type has. Only N1 leaves a choice, and needs `gpu` too."""
    gpu: str | None = None
    """GPU to attach to an N1 machine, by its name in the accelerator catalogue, e.g. `T4`."""
    driver: Literal["DEFAULT", "LATEST", "INSTALLATION_DISABLED"] = "DEFAULT"
    """NVIDIA driver that GKE installs: the default of its version, the newest it has, or none."""
    sharing: Sharing = EXCLUSIVE
    """How containers share a GPU."""
    topology: Annotated[str, Field(pattern=r"^[1-9][0-9]*(x[1-9][0-9]*){1,2}$", examples=["2x4"])] | None = (
        None
    )
    """Topology of a TPU slice: `2x4` for 8 chips in a plane, `2x2x2` for 8 in a cube."""
    local_ssds: PositiveInt | None = None
    """Local SSDs of 375 GB that hold pods' scratch space, on machine types that do not bring their own."""
    disk: Bytes = 200 * GIB
    """Boot disk: system, images and, without local SSDs, pods' scratch space."""
    disk_type: DiskType | None = None
    """Kind of boot disk; without it, balanced: Hyperdisk where the machine type takes nothing else."""
    labels: dict[LabelKey, LabelText] = Field(default_factory=dict)
    """Labels of the nodes, beside those that GKE sets."""
    taints: tuple[Taint, ...] = ()
    """Taints of the nodes, beside those that GKE sets on nodes with accelerators."""
    fast_socket: bool | None = None
    """NCCL Fast Socket; without it, where it helps: several GPUs and no faster network of their own."""
    upgrade: GkeUpgrade | None = None
    """Surge; without it one node more at a time, or one fewer where accelerators are scarce."""


class SharedStorage(FrozenModel):
    """File systems that several nodes mount, of the class `shared` (Filestore)."""

    tier: FilestoreTier = "zonal"
    """Kind of Filestore instance. It decides the smallest volume: 1 TiB, of `premium` 2.5 TiB."""


class GkeCluster(FrozenModel):
    """A private, VPC-native cluster of Google Kubernetes Engine with its own network and keys."""

    kind: Literal["gke"]
    name: ClusterName
    """Name of the cluster; network, keys and service account are named after it."""
    project: ProjectId
    """Project that it belongs to."""
    project_number: ProjectNumber
    """Number of that project, as a text: Google's service agents are named after it."""
    region: Region
    """Region of the control plane."""
    release_channel: Literal["RAPID", "REGULAR", "STABLE", "EXTENDED", "UNSPECIFIED"] = "REGULAR"
    """How soon Google upgrades the cluster; UNSPECIFIED pins it to `version`."""
    version: Version | None = None
    """Version of Kubernetes: the lowest on a channel, the exact one (`1.36.3-gke.…`) without."""
    maintenance: GkeMaintenance = Field(default_factory=GkeMaintenance)
    """When Google may upgrade."""
    key_administrators: Annotated[tuple[IamMember, ...], Field(min_length=1)]
    """Members of IAM that administer the encryption keys. They cannot decrypt with them: only the service
    agents of Google can."""
    key_rotation_days: Annotated[int, Field(strict=True, ge=1, le=90)] = 90
    """A new version of each key is made after so many days; 90 is the limit of CIS Google Cloud 1.10."""
    key_protection: Literal["SOFTWARE", "HSM"] = "SOFTWARE"
    """Where keys are kept."""
    network: GkeNetwork
    """VPC and address ranges."""
    api: GkeApiAccess = Field(default_factory=GkeApiAccess)
    """Access to the Kubernetes API."""
    binary_authorization: Literal["DISABLED", "PROJECT_SINGLETON_POLICY_ENFORCE"] = (
        "PROJECT_SINGLETON_POLICY_ENFORCE"
    )
    """Whether the project's policy of Binary Authorization decides which images may run."""
    security_posture: Literal["DISABLED", "BASIC", "ENTERPRISE"] = "BASIC"
    """Level of the security posture dashboard."""
    security_group: Annotated[str, Field(pattern=r"^gke-security-groups@[a-z0-9.-]+$")] | None = None
    """Google group whose member groups RBAC may name."""
    inter_node_encryption: bool = False
    """Whether packets between nodes are encrypted, at the price of CPU time."""
    logging: tuple[LoggingComponent, ...] = (
        "SYSTEM_COMPONENTS",
        "WORKLOADS",
        "APISERVER",
        "SCHEDULER",
        "CONTROLLER_MANAGER",
    )
    """Whose logs are kept."""
    monitoring: tuple[MonitoringComponent, ...] = (
        "SYSTEM_COMPONENTS",
        "APISERVER",
        "SCHEDULER",
        "CONTROLLER_MANAGER",
        "STORAGE",
        "HPA",
        "POD",
        "DAEMONSET",
        "DEPLOYMENT",
        "STATEFULSET",
        "CADVISOR",
        "KUBELET",
        "DCGM",
    )
    """Whose metrics are kept."""
    audit_data_access: bool = True
    """Whether reads and writes of the Kubernetes API are in the audit log, not only administration. Holds for
    all clusters of the project."""
    log_retention_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = 400
    """Days for which the project's log bucket `_Default` keeps what is in it: reads of the Kubernetes API,
    and what containers and nodes say. Google's own default is 30. Holds for the whole project; null leaves it
    alone."""
    image_repositories: tuple[RepositoryName, ...] = ()
    """Repositories of Artifact Registry that exist already and that nodes may pull from; those of the stack
    itself are not named here."""
    max_pods_per_node: Annotated[int, Field(strict=True, ge=8, le=256)] = 64
    """Pods of a node, GKE's own included; decides how many addresses a node takes."""
    system_pool: GkeSystemPool = Field(default_factory=GkeSystemPool)
    """Nodes for everything that needs no accelerator."""
    node_pools: tuple[GkeNodePool, ...] = ()
    """Further pools."""
    shared_storage: SharedStorage = Field(default_factory=SharedStorage)
    """File systems that several nodes mount."""
    labels: dict[GoogleLabelKey, GoogleLabelText] = Field(default_factory=dict)
    """Labels of the cloud resources, for billing and search."""
