"""The cluster section of a stack on Amazon EKS, as people write it.

Enumerations and limits are those of the EC2, EKS, KMS and CloudWatch Logs API models.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Final, Literal

from pydantic import Field

from components.accelerators.settings import EXCLUSIVE, LabelKey, LabelText, Sharing, Taint
from components.common.cidr import Cidr, Ipv4Cidr
from components.common.quantities import GIB, Bytes
from components.common.schema import FrozenModel, NonNegativeInt, PositiveInt

ACCOUNT_ID: Final = r"^\d{12}$"
REGION: Final = r"^[a-z]{2}(-[a-z]+)+-\d$"
ZONE: Final = r"^[a-z]{2}(-[a-z]+)+-\d[a-h]$"
ROLE_ARN: Final = r"^arn:aws(-us-gov)?:iam::\d{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$"
MAX_POOL_NAME: Final = 30
"""Names of instances, launch templates and node groups (63 characters at most) are made from a pool's."""

AccountId = Annotated[str, Field(pattern=ACCOUNT_ID)]
Region = Annotated[str, Field(pattern=REGION)]
Zone = Annotated[str, Field(pattern=ZONE)]
RoleArn = Annotated[str, Field(pattern=ROLE_ARN)]
PoolName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=MAX_POOL_NAME)]
AddonVersion = Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+-eksbuild\.\d+$")]
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""What CloudWatch Logs accepts (PutRetentionPolicy)."""


class EksNat(FrozenModel):
    """NAT gateways, for the networks that nodes and pods must reach on the internet, and no others."""

    gateways: Literal["single", "per-zone"] = "per-zone"
    """`single` saves cost; when its zone fails, nothing gets out."""
    destinations: Annotated[tuple[Ipv4Cidr, ...], Field(min_length=1)]
    """Networks that may be reached, over TCP port 443. There is no route to anything else."""


class EksNetwork(FrozenModel):
    """The VPC. Its subnets are planned from the range and the zones; see `components/eks/cidr.py`."""

    cidr: Ipv4Cidr
    """Range of the VPC, /16 to /20, e.g. `10.40.0.0/16`. An eighth of it goes to each zone."""
    zones: Annotated[tuple[Zone, ...], Field(min_length=3)]
    """Availability zones of the region, three at least, e.g. `eu-central-1a`. The letter decides the zone's
    place in the range, so adding, removing or reordering zones moves no other subnet."""
    zone_ids: dict[Zone, Annotated[str, Field(pattern=r"^[a-z0-9]+-az\d+$")]] = Field(default_factory=dict)
    """Ids of the zones, e.g. `eu-central-1a: euc1-az2`, as `aws ec2 describe-availability-zones` shows them:
    which name means which zone differs from account to account. With them, pools skip zones that are not
    known to offer their instance type."""
    service_cidr: Ipv4Cidr = IPv4Network("172.20.0.0/16")
    """Range of the cluster's Service addresses, /12 to /24. Cannot be changed later."""
    peer_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Ranges that are or will be connected to the VPC, by peering, transit gateway or VPN: nothing may
    overlap them, and whoever reaches the private API endpoint is among them."""
    nat: EksNat | None = None
    """Way out to the internet, e.g. for models from Hugging Face. Without it there is none: everything that
    nodes need comes over interface endpoints."""
    public_subnets: bool = False
    """Subnets for internet-facing load balancers. NAT gateways bring them along."""
    flow_log_retention_days: LogRetentionDays = 365
    """How long VPC flow logs are kept."""


class EksApiAccess(FrozenModel):
    """Who reaches the Kubernetes API endpoint. It is always reachable from within the VPC."""

    private_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Ranges among `network.peerCidrs` that may reach the private endpoint, e.g. of a VPN or a CI runner."""
    public_cidrs: tuple[Cidr, ...] = ()
    """Public ranges that may reach a public endpoint; without any there is no public endpoint.
    All addresses are refused."""


class EksAddonVersions(FrozenModel):
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


class EksOnDemand(FrozenModel):
    """Instances at the list price, while there are any."""

    kind: Literal["on-demand"]


class EksSpot(FrozenModel):
    """Spare instances, taken back with two minutes' notice."""

    kind: Literal["spot"]


class EksReservation(FrozenModel):
    """An On-Demand Capacity Reservation of the account."""

    kind: Literal["reservation"]
    id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")]
    """Id of the reservation."""
    zone: Zone
    """Zone that it is in."""


class EksCapacityBlock(FrozenModel):
    """A Capacity Block for ML: accelerators bought for a period."""

    kind: Literal["capacity-block"]
    id: Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$")]
    """Id of the capacity reservation that the block is."""
    zone: Zone
    """Zone that it is in."""


CapacitySource = Annotated[
    EksOnDemand | EksSpot | EksReservation | EksCapacityBlock, Field(discriminator="kind")
]


class EksSystemPool(FrozenModel):
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
    """Zones among `network.zones`; without any, those of them that are known to offer the instance type."""
    capacity: CapacitySource = EksOnDemand(kind="on-demand")
    """Where the instances come from."""
    disk: Bytes = 200 * GIB
    """Root volume: images, logs and, where the instance has no disks of its own, scratch space of pods."""
    max_pods: Annotated[int, Field(strict=True, ge=8, le=250)] = 30
    """Most pods on a node. Decides how many addresses each node takes from its subnet."""
    sharing: Sharing = EXCLUSIVE
    """Whether several containers share an accelerator."""
    efa: bool = False
    """Elastic Fabric Adapters and a cluster placement group, for engines that span nodes; a group of nodes is
    then made in each zone. Pods use the adapters through AWS's EFA device plugin, which is not installed
    here."""
    labels: dict[LabelKey, LabelText] = Field(default_factory=dict)
    """Labels of the nodes, besides those that the platform sets."""
    taints: tuple[Taint, ...] = ()
    """Taints of the nodes, besides the one that keeps other pods away from accelerators."""
    release_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+-\d{8}$")] | None = None
    """Release of the EKS-optimised image; without it, EKS takes the newest when the pool is created."""


class EksFileSystem(FrozenModel):
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
    """Region, e.g. `eu-central-1`. Those of AWS China are not supported."""
    account_id: AccountId
    """The account, 12 digits, in quotes. Other accounts are refused at `pulumi up`."""
    version: Annotated[str, Field(pattern=r"^1\.\d{2}$")]
    """Kubernetes minor version, in quotes, e.g. `"1.34"`."""
    support_type: Literal["STANDARD", "EXTENDED"] = "STANDARD"
    """STANDARD: EKS upgrades the cluster when the version's standard support ends. EXTENDED pays to stay."""
    admin_role_arns: Annotated[tuple[RoleArn, ...], Field(min_length=1)]
    """IAM roles that administer the cluster, the one that runs `pulumi up` among them. Nobody else is let in,
    not even the cluster's creator."""
    key_administrators: tuple[RoleArn, ...]
    """IAM roles of the account that administer the encryption keys, the one that runs `pulumi up` among them.
    The key policies let them manage the keys, not decrypt with them."""
    network: EksNetwork
    """VPC and subnets."""
    api: EksApiAccess = Field(default_factory=EksApiAccess)
    """Access to the Kubernetes API."""
    log_retention_days: LogRetentionDays = 365
    """How long the control plane's logs are kept, audit log included."""
    addons: EksAddonVersions
    """Pinned versions of the add-ons."""
    system_pool: EksSystemPool = Field(default_factory=EksSystemPool)
    """Nodes for everything that needs no accelerator."""
    node_pools: tuple[EksNodePool, ...] = ()
    """Further pools."""
    file_system: EksFileSystem = Field(default_factory=EksFileSystem)
    """Shared storage for models."""
    tags: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")],
        Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{0,256}$")],
    ] = Field(default_factory=dict)
    """Tags of everything in the account, e.g. for cost allocation."""

    @property
    def partition(self) -> str:
        """Partition of the region: `aws` or `aws-us-gov` (endpoints.json of botocore)."""
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"
