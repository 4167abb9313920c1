"""The cluster section of a stack on Amazon EKS, as people write it.

Where a value is an enumeration or a limit of AWS, the source is the EC2, EKS, KMS or CloudWatch Logs API model.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.names import DnsLabel, LabelValue
from components.common.quantities import GIB, Bytes
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt

ACCOUNT_ID: Final = r"^\d{12}$"
REGION: Final = r"^[a-z]{2}(-[a-z]+)+-\d$"
ZONE: Final = r"^[a-z]{2}(-[a-z]+)+-\d[a-h]$"
ROLE_ARN: Final = r"^arn:aws(-cn|-us-gov)?:iam::\d{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$"
MAX_POOL_NAME: Final = 30
"""Names of instances, launch templates and node groups (63 characters at most) are made from a pool's."""

AccountId = Annotated[str, Field(pattern=ACCOUNT_ID)]
Region = Annotated[str, Field(pattern=REGION)]
Zone = Annotated[str, Field(pattern=ZONE)]
RoleArn = Annotated[str, Field(pattern=ROLE_ARN)]
PoolName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=MAX_POOL_NAME)]
LabelKey = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*)/)?[A-Za-z0-9]([A-Za-z0-9._-]*)$")]
AddonVersion = Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+-eksbuild\.\d+$")]
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""What CloudWatch Logs accepts (PutRetentionPolicy)."""


class EksNetwork(FrozenModel):
    """The VPC. Its subnets are planned from the range and the zones; see `components/eks/cidr.py`."""

    cidr: str
    """Range of the VPC, /16 to /20, e.g. `10.40.0.0/16`. An eighth of it goes to each zone."""
    zones: Annotated[tuple[Zone, ...], Field(min_length=3)]
    """Availability zones of the region, three at least, e.g. `eu-central-1a`. The letter decides the zone's
    place in the range, so adding, removing or reordering zones moves no other subnet."""
    service_cidr: str = "172.20.0.0/16"
    """Range of the cluster's Service addresses, /12 to /24. Cannot be changed later."""
    peer_cidrs: tuple[str, ...] = ()
    """Ranges that are or will be connected to the VPC, by peering, transit gateway or VPN: nothing may
    overlap them, and whoever reaches the private API endpoint is among them."""
    nat: Literal["none", "single", "per-zone"] = "none"
    """Way out to the internet, e.g. for models from Hugging Face. `none`: there is none, everything that nodes
    need comes over interface endpoints. `single` saves cost, and ends with its zone."""
    public_subnets: bool = False
    """Subnets for internet-facing load balancers. NAT gateways bring them along."""
    flow_log_retention_days: LogRetentionDays = 365
    """How long VPC flow logs are kept."""


class ApiAccess(FrozenModel):
    """Who reaches the Kubernetes API endpoint. It is always reachable from within the VPC."""

    private_cidrs: tuple[str, ...] = ()
    """Ranges among `network.peerCidrs` that may reach the private endpoint, e.g. of a VPN or a CI runner."""
    public_cidrs: tuple[str, ...] = ()
    """Public ranges that may reach a public endpoint; without any there is no public endpoint.
    All addresses are refused."""


class Addons(FrozenModel):
    """Versions of the EKS add-ons, as `aws eks describe-addon-versions --kubernetes-version …` lists them."""

    vpc_cni: AddonVersion
    """Amazon VPC CNI; NetworkPolicies are enforced by it."""
    coredns: AddonVersion
    """CoreDNS."""
    kube_proxy: AddonVersion
    """kube-proxy; same minor version as the cluster."""
    eks_pod_identity_agent: AddonVersion
    """EKS Pod Identity Agent: hands pods the credentials of their own role."""
    aws_ebs_csi_driver: AddonVersion
    """Amazon EBS CSI driver: the default storage class."""
    aws_efs_csi_driver: AddonVersion
    """Amazon EFS CSI driver: storage class `shared`."""


class Taint(FrozenModel):
    """A taint of a pool's nodes."""

    key: LabelKey
    """Key."""
    value: LabelValue | None = None
    """Value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """Effect, in Kubernetes' spelling."""


class OnDemand(FrozenModel):
    """Instances at the list price, while there are any."""

    kind: Literal["on-demand"]


class Spot(FrozenModel):
    """Spare instances, taken back with two minutes' notice."""

    kind: Literal["spot"]


class Reservation(FrozenModel):
    """An On-Demand Capacity Reservation of the account."""

    kind: Literal["reservation"]
    id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")]
    """Id of the reservation."""
    zone: Zone
    """Zone that it is in."""


class CapacityBlock(FrozenModel):
    """A Capacity Block for ML: accelerators bought for a period."""

    kind: Literal["capacity-block"]
    id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")]
    """Id of the capacity reservation that the block is."""
    zone: Zone
    """Zone that it is in."""


CapacitySource = Annotated[OnDemand | Spot | Reservation | CapacityBlock, Field(discriminator="kind")]


class Exclusive(FrozenModel):
    """Each accelerator belongs to one container."""

    kind: Literal["exclusive"]


class TimeSlicing(FrozenModel):
    """Containers take turns on an accelerator. Its memory is shared and not isolated."""

    kind: Literal["time-slicing"]
    replicas: Annotated[int, Field(strict=True, ge=2, le=48)]
    """Containers for each accelerator."""


class Mig(FrozenModel):
    """Each accelerator is cut into isolated instances of one profile."""

    kind: Literal["mig"]
    profile: Annotated[str, Field(pattern=r"^\d+g\.\d+gb$")]
    """MIG profile, e.g. `3g.40gb`; the accelerator decides which there are."""


Sharing = Annotated[Exclusive | TimeSlicing | Mig, Field(discriminator="kind")]


class SystemPool(FrozenModel):
    """Untainted nodes for the cluster's own workloads and the platform's services."""

    machine_type: str = "m7i.xlarge"
    """EC2 instance type, x86-64, without accelerators."""
    min_nodes: PositiveInt = 3
    """Fewest nodes over all zones; one in each zone at least."""
    max_nodes: PositiveInt = 6
    """Most nodes over all zones."""
    disk: Bytes = 100 * GIB
    """Root volume: images, logs and scratch space of pods."""
    max_pods: Annotated[int, Field(strict=True, ge=20, le=250)] = 110
    """Most pods on a node. Decides how many addresses each node takes from its subnet."""
    release_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+-\d{8}$")] | None = None
    """Release of the EKS-optimised image, e.g. `1.34.2-20260101`; without it, EKS takes the newest when the
    pool is created and then keeps it."""


class EksNodePool(FrozenModel):
    """A pool of equal nodes, with accelerators or without."""

    name: PoolName
    """Name of the pool."""
    machine_type: str
    """EC2 instance type, e.g. `g6e.2xlarge`."""
    min_nodes: NonNegativeInt
    """Fewest nodes over all zones; with `efa`, in each zone. 0 lets the pool vanish while nobody needs it."""
    max_nodes: PositiveInt
    """Most nodes, counted like `minNodes`. Between the two the cluster autoscaler decides."""
    zones: tuple[Zone, ...] = ()
    """Zones among `network.zones`; without any, all of them where the instance type is offered."""
    capacity: CapacitySource = OnDemand(kind="on-demand")
    """Where the instances come from."""
    disk: Bytes = 200 * GIB
    """Root volume: images, logs and, where the instance has no disks of its own, scratch space of pods."""
    max_pods: Annotated[int, Field(strict=True, ge=8, le=250)] = 30
    """Most pods on a node. Decides how many addresses each node takes from its subnet."""
    sharing: Sharing = Exclusive(kind="exclusive")
    """Whether several containers share an accelerator."""
    efa: bool = False
    """Elastic Fabric Adapter interfaces and a cluster placement group, for engines that span nodes: all nodes
    are then in one zone, so that a group is made for each zone."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the nodes, besides those that the platform sets."""
    taints: tuple[Taint, ...] = ()
    """Taints of the nodes, besides the one that keeps other pods away from accelerators."""
    release_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+-\d{8}$")] | None = None
    """Release of the EKS-optimised image; without it, EKS takes the newest when the pool is created."""


class FileSystem(FrozenModel):
    """The EFS file system behind storage class `shared`, which holds the published weights."""

    throughput_mode: Literal["elastic", "bursting"] = "elastic"
    """`elastic` pays per byte moved and needs no planning; `bursting` grows with what is stored."""
    backup: bool = True
    """Daily backup by AWS Backup's default plan for EFS, kept for 35 days."""


class EksCluster(FrozenModel):
    """A cluster on Amazon EKS, and all that it stands on."""

    kind: Literal["eks"]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$")]
    """Name of the cluster; names of everything else begin with it."""
    region: Region
    """Region, e.g. `eu-central-1`."""
    account_id: AccountId
    """The account, 12 digits, in quotes. Other accounts are refused at `pulumi up`."""
    partition: Literal["aws", "aws-cn", "aws-us-gov"] = "aws"
    """Partition that the region belongs to."""
    version: Annotated[str, Field(pattern=r"^1\.\d{2}$")]
    """Kubernetes minor version, in quotes, e.g. `"1.34"`."""
    support_type: Literal["STANDARD", "EXTENDED"] = "STANDARD"
    """STANDARD: EKS upgrades the cluster when the version's standard support ends. EXTENDED pays to stay."""
    admin_role_arns: Annotated[tuple[RoleArn, ...], Field(min_length=1)]
    """IAM roles that administer the cluster, the one that runs `pulumi up` among them. Nobody else is let in,
    not even the cluster's creator."""
    key_administrators: tuple[RoleArn, ...]
    """IAM roles that administer the encryption keys, the one that runs `pulumi up` among them. They
    cannot decrypt with them."""
    network: EksNetwork
    """VPC and subnets."""
    api: ApiAccess = Field(default_factory=ApiAccess)
    """Access to the Kubernetes API."""
    log_retention_days: LogRetentionDays = 365
    """How long the control plane's logs are kept, audit log included."""
    addons: Addons
    """Pinned versions of the add-ons."""
    system_pool: SystemPool = Field(default_factory=SystemPool)
    """Nodes for everything that needs no accelerator."""
    node_pools: tuple[EksNodePool, ...] = ()
    """Further pools."""
    file_system: FileSystem = Field(default_factory=FileSystem)
    """Shared storage for models."""
    tags: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")], str] = Field(
        default_factory=dict
    )
    """Tags of everything in the account, e.g. for cost allocation."""
