"""From the settings of the entry to a Service. No Pulumi in here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from components.common.accounts import AwsAccount, GcpProject
from components.common.cidr import NamedRange, Network, anyone_problems, overlaps
from components.common.problems import Problem
from components.load_balancer.settings import AcmTls, Entry

EXPOSURE: Final = "autoglm-platform/exposure"
"""Annotation that says what was asked for: `internal` or `public`."""
PORT_NAME: Final = "https"

_NOT_ON_THE_INTERNET: Final = tuple(
    ipaddress.ip_network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""RFC 1918, RFC 6598."""

# Annotations that the cloud controller manager reads for a Network Load Balancer
# (kubernetes/cloud-provider-aws, pkg/providers/v1/aws.go and docs/service_controller.md).
_AWS: Final = "service.beta.kubernetes.io/aws-load-balancer-"
TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.3 and 1.2 with forward secrecy only (Elastic Load Balancing, "Security policies")."""

# Annotations that GKE reads (kubernetes/cloud-provider-gcp, providers/gce/gce_annotations.go).
_GKE_TYPE: Final = "networking.gke.io/load-balancer-type"
_GKE_BACKEND_SERVICE: Final = "cloud.google.com/l4-rbs"


@dataclass(frozen=True)
class IpBlock:
    """Addresses that are let in."""

    cidr: str
    excluded: tuple[str, ...]
    """Parts of it that are not."""


@dataclass(frozen=True)
class EntryPlan:
    """What the load balancer is made of."""

    settings: Entry
    source_ranges: tuple[str, ...]
    """What the load balancer's own filter lets in; never empty, which would mean everyone."""
    clients: tuple[IpBlock, ...]
    """What the servers' NetworkPolicy lets in: the same without pods."""
    annotations: Mapping[str, str]
    """For the cloud's controller."""
    node_ports: int
    """Ports of every node that the load balancer takes; counts against the namespace's quota."""

    @property
    def endpoint(self) -> str:
        """Base URL of the API."""
        port = "" if self.settings.port == 443 else f":{self.settings.port}"
        return f"https://{self.settings.hostname}{port}"


def plan_entry(
    settings: Entry,
    *,
    account: AwsAccount | GcpProject,
    network: Sequence[NamedRange],
    pods: Sequence[NamedRange],
) -> tuple[EntryPlan | None, list[Problem]]:
    """The entry of a cluster, or what is wrong with its settings. Paths are relative to the section.

    `network` is what an internal load balancer may be called from: the cluster's network and those connected
    to it. `pods` is where pods have their addresses.
    """
    given = [NamedRange(f"sourceRanges[{index}]", cidr) for index, cidr in enumerate(settings.source_ranges)]
    problems = [*_range_problems(settings, given, pods), *_tls_problems(settings, account)]
    pod_networks = _disjoint(item.network for item in pods)
    ranges = [
        item
        for item in _disjoint(item.network for item in (given or network))
        if not any(item.subnet_of(pod) for pod in pod_networks)
    ]
    if not given and not ranges and settings.exposure == "internal":
        problems.append(
            Problem("sourceRanges", "[]: and no network but the pods' is known; name those of the clients")
        )
    if problems:
        return None, problems
    return (
        EntryPlan(
            settings=settings,
            source_ranges=tuple(str(item) for item in ranges),
            clients=tuple(
                IpBlock(str(item), tuple(str(pod) for pod in pod_networks if pod.subnet_of(item)))
                for item in ranges
            ),
            annotations={EXPOSURE: settings.exposure}
            | (_aws_annotations(settings) if isinstance(account, AwsAccount) else _gke_annotations(settings)),
            # The cloud controller manager ignores ports without one (aws.go, EnsureLoadBalancer); Google's
            # passthrough load balancers deliver to the Service's own address and port.
            node_ports=1 if isinstance(account, AwsAccount) else 0,
        ),
        [],
    )


def _disjoint(networks: Iterable[Network]) -> list[IPv4Network]:
    """IPv4 ranges, without those that others contain; neighbours stay apart, as they were written."""
    wanted = sorted({item for item in networks if isinstance(item, IPv4Network)})
    return [item for item in wanted if not any(item != other and item.subnet_of(other) for other in wanted)]


def _within(inner: Network, outer: Network) -> bool:
    return isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network) and inner.subnet_of(outer)


def _range_problems(
    settings: Entry, given: Sequence[NamedRange], pods: Sequence[NamedRange]
) -> Iterator[Problem]:
    if settings.exposure == "public" and not given:
        yield Problem(
            "sourceRanges", "[]: required for a public load balancer; name the networks of the clients"
        )
    yield from anyone_problems(given)
    yield from overlaps(given)
    for item in given:
        for pod in pods:
            if _within(item.network, pod.network):
                yield Problem(
                    item.key,
                    f"{item.network}: addresses of pods, {pod.key} {pod.network}; pods call the model's "
                    "Service, let in by the labels of their namespace (tenant.trustedClients); remove it",
                )
        if settings.exposure == "public" and any(_within(item.network, own) for own in _NOT_ON_THE_INTERNET):
            yield Problem(
                item.key,
                f"{item.network}: private addresses, which nobody on the Internet has; name public ones, or "
                "make exposure internal",
            )


def _tls_problems(settings: Entry, account: AwsAccount | GcpProject) -> Iterator[Problem]:
    tls = settings.tls
    if not isinstance(tls, AcmTls):
        return
    if not isinstance(account, AwsAccount):
        yield Problem(
            "tls.kind",
            "'acm': Google's passthrough load balancers end no TLS; write kind: secret, and the servers do",
        )
        return
    _, partition, _, region, owner, _ = tls.certificate_arn.split(":", 5)
    for part, found, needed in (
        ("partition", partition, account.partition),
        ("region", region, account.region),
        ("account", owner, account.account_id),
    ):
        if found != needed:
            yield Problem(
                "tls.certificateArn",
                f"{tls.certificate_arn!r}: of {part} {found}, the cluster is in {needed}; name a certificate "
                "from there",
            )


def _aws_annotations(settings: Entry) -> dict[str, str]:
    annotations = {
        "type": "nlb",
        "internal": "true" if settings.exposure == "internal" else "false",
        "cross-zone-load-balancing-enabled": "true",
        "target-group-attributes": "preserve_client_ip.enabled=true",
        # Protocol, path and port stay the controller's: with externalTrafficPolicy Local it asks kube-proxy
        # whether a ready pod is on the node.
        "healthcheck-interval": "10",
        "healthcheck-healthy-threshold": "2",
        "healthcheck-unhealthy-threshold": "2",
    }
    if isinstance(settings.tls, AcmTls):
        annotations |= {
            "ssl-cert": settings.tls.certificate_arn,
            "ssl-ports": PORT_NAME,
            "ssl-negotiation-policy": TLS_POLICY,
            "backend-protocol": "ssl" if settings.tls.server_secret_name else "tcp",
        }
    return {f"{_AWS}{key}": value for key, value in annotations.items()}


def _gke_annotations(settings: Entry) -> dict[str, str]:
    if settings.exposure == "internal":
        return {_GKE_TYPE: "Internal"}
    return {_GKE_TYPE: "External", _GKE_BACKEND_SERVICE: "enabled"}
