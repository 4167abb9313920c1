"""Settings of a virtual IP address, as people write them.

Limits of VRRP are RFC 5798's (version 3) and RFC 3768's (version 2). Where a value is only out of range, the
planner says so together with everything else; see plan.py.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.cidr import Ipv4Cidr
from components.common.quantities import MIB, Bytes
from components.common.schema import FrozenModel, PositiveInt

NODE_NAME: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""RFC 1123 subdomain: what names of nodes and Secrets are."""
ADDRESS_WITH_PREFIX: Final = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"

NodeName = Annotated[str, Field(pattern=NODE_NAME, max_length=253)]
InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$")]
"""IFNAMSIZ of linux/if.h is 16, the terminating zero included."""
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


class EntryNode(FrozenModel):
    """A node that can hold the address."""

    name: NodeName
    """Name of the Kubernetes node."""
    address: IPv4Address
    """Its own address on `interface`."""
    priority: Annotated[int, Field(strict=True)] | None = None
    """VRRP priority, 1 to 254; the highest of those that are well takes over. Without one, 100 for the first
    node and evenly downwards: 100, 67, 34 for three. Priorities that are close let two take over at once."""


class ModelApi(FrozenModel):
    """HTTP to the model servers. Only `/v1/…` and `/health` pass: an engine's other paths need no key."""

    kind: Literal["model-api"]
    port: Port = 8443
    """Port on the virtual address; above 1023, so that the proxy needs no privilege."""
    tls_secret_name: NodeName | None = None
    """Secret of type kubernetes.io/tls in the entry's namespace."""
    plain_http: bool = False
    """Serve without TLS: screenshots and API keys then cross the network readable."""
    max_body: Bytes = 64 * MIB
    """Largest request body. Ten screenshots of five megapixels as base64 PNG are about 40 MiB."""
    stream_timeout_seconds: PositiveInt = 600
    """Longest silence of a server: queueing and the prompt of a long request come before the first token."""
    max_connections: PositiveInt = 2000
    """Clients at once."""


class KubernetesApi(FrozenModel):
    """TCP to the API servers, for a control plane of several nodes."""

    kind: Literal["kubernetes-api"]
    port: Port = 8443
    """Port on the virtual address. Not 6443, which the API server of the same node takes on all addresses."""
    server_port: Port = 6443
    """Port of the API servers."""
    max_connections: PositiveInt = 4000
    """Clients at once; every kubelet and controller holds some for good."""


Frontend = Annotated[ModelApi | KubernetesApi, Field(discriminator="kind")]


class VirtualIp(FrozenModel):
    """An IPv4 address that is on one of several nodes at any time (VRRP, keepalived)."""

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "VI_1"
    """Name of the VRRP instance."""
    interface: InterfaceName = "eth0"
    """Interface of the nodes that carries the address."""
    address: Annotated[str, Field(pattern=ADDRESS_WITH_PREFIX)] = "192.168.1.100/24"
    """The address with the prefix length of the nodes' network."""
    router_id: Annotated[int, Field(strict=True)] = 51
    """Virtual router id, 1 to 255; unique on the network segment, other people's routers included."""
    foreign_router_ids: tuple[Annotated[int, Field(strict=True)], ...] = ()
    """Router ids that others use on the segment."""
    vrrp_version: Literal[2, 3] = 3
    """Version of VRRP. Version 2 advertises in whole seconds."""
    advert_interval_ms: Annotated[int, Field(strict=True)] = 300
    """Milliseconds between advertisements, in steps of 10. A crash is noticed after three of them and a
    fraction of one."""
    nodes: Annotated[tuple[EntryNode, ...], Field(min_length=1)]
    """The entry nodes; three, so that a majority can be told from a minority."""
    frontend: Frontend
    """What is behind the address."""
    quorum: bool = True
    """From three nodes on: a node holds the address only while it reaches the proxies of most entry nodes,
    itself included. Without it a divided network gets a holder on each side."""
    health_port: Port = 8404
    """Port on the node's loopback where the proxy tells how it is."""
    peer_port: Port = 8405
    """Port at the node's own address where the proxy answers the other entry nodes, and nobody else."""
    metrics_cidrs: tuple[Ipv4Cidr, ...] = ()
    """Networks that may read the proxy's metrics on `peerPort`, at /metrics."""
