"""Certificates of an etcd cluster: who gets which, from which authority.

Two authorities: what proves a client must not make a member. One signs the certificates that members show
each other, the other those that servers show clients and clients show servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.common.problems import Problem
from components.etcd.settings import CertManagerCertificates, EtcdSettings

MAINTENANCE: Final = "maintenance"
"""Client that takes snapshots, defragments and replaces members."""
SERVICE_REGISTRY: Final = "service-registry"
"""Client that keeps the leases of model servers."""
PLATFORM_CLIENTS: Final = (MAINTENANCE, SERVICE_REGISTRY)
MINIMUM_LIFETIME_HOURS: Final = 1
"""cert-manager.io/v1 Certificate: `duration` is at least an hour."""
MINIMUM_RENEWAL_HOURS: Final = 1
"""cert-manager.io/v1 Certificate: `renewBefore` is at least five minutes; settings count in hours."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this cluster alone."""

    name: str
    """Of the Certificate, its Secret and its Issuer."""
    common_name: str


@dataclass(frozen=True)
class LeafCertificate:
    """A certificate of a member or a client."""

    name: str
    """Of the Certificate and its Secret."""
    authority: str
    """Name of the authority that signs it."""
    common_name: str
    usages: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    """etcd compares a member's with the address that its connection comes from. Clients have none."""
    ip_addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Certificates:
    """All certificates of one cluster."""

    issued: bool
    """Whether cert-manager issues them; else somebody else fills the Secrets of the same names."""
    authorities: tuple[Authority, Authority]
    server: LeafCertificate
    peer: LeafCertificate
    clients: tuple[LeafCertificate, ...]
    lifetime_hours: int
    renew_before_hours: int
    authority_lifetime_hours: int

    @property
    def leaves(self) -> tuple[LeafCertificate, ...]:
        """Of members and clients."""
        return (self.server, self.peer, *self.clients)


def client_secret(cluster: str, client: str) -> str:
    """Secret with a client's certificate."""
    return f"{cluster}-client-{client}"


def plan_certificates(settings: EtcdSettings, namespace: str) -> Certificates:
    """The certificates of a cluster whose settings are sound."""
    name = settings.name
    peer_authority = Authority(f"{name}-peer-ca", f"{name} members")
    client_authority = Authority(f"{name}-client-ca", f"{name} clients")
    members = tuple(
        f"{name}-{index}.{name}-peers.{namespace}.svc{suffix}"
        for index in range(settings.members)
        for suffix in ("", ".cluster.local")
    )
    service = (
        name,
        f"{name}.{namespace}",
        f"{name}.{namespace}.svc",
        f"{name}.{namespace}.svc.cluster.local",
    )
    both = ("digital signature", "server auth", "client auth")
    source = settings.certificates
    issued = isinstance(source, CertManagerCertificates)
    times = (
        source
        if isinstance(source, CertManagerCertificates)
        else CertManagerCertificates(kind="cert-manager")
    )
    return Certificates(
        issued=issued,
        authorities=(peer_authority, client_authority),
        server=LeafCertificate(
            f"{name}-server",
            client_authority.name,
            f"{name}-server",
            ("digital signature", "server auth"),
            (*service, *members, "localhost"),
            ("127.0.0.1",),
        ),
        peer=LeafCertificate(f"{name}-peer", peer_authority.name, f"{name}-peer", both, members),
        clients=tuple(
            LeafCertificate(
                client_secret(name, client),
                client_authority.name,
                client,
                ("digital signature", "client auth"),
            )
            for client in (*PLATFORM_CLIENTS, *(client.name for client in settings.clients))
        ),
        lifetime_hours=times.lifetime_hours,
        renew_before_hours=times.renew_before_hours or max(times.lifetime_hours // 3, MINIMUM_RENEWAL_HOURS),
        authority_lifetime_hours=times.authority_lifetime_hours,
    )


def certificate_problems(settings: EtcdSettings) -> list[Problem]:
    """Lifetimes that cannot be, and clients that are named twice."""
    problems: list[Problem] = []
    source = settings.certificates
    if isinstance(source, CertManagerCertificates):
        renew = source.renew_before_hours
        if renew is not None and renew >= source.lifetime_hours:
            problems.append(
                Problem(
                    "certificates.renewBeforeHours",
                    f"{renew}: not less than lifetimeHours {source.lifetime_hours}, so each certificate "
                    f"would be "
                    "renewed at once, for ever; lower it",
                )
            )
        if renew is None and source.lifetime_hours <= MINIMUM_RENEWAL_HOURS:
            problems.append(
                Problem(
                    "certificates.lifetimeHours",
                    f"{source.lifetime_hours}: leaves no time to renew; write at least 2",
                )
            )
        if source.authority_lifetime_hours <= source.lifetime_hours:
            problems.append(
                Problem(
                    "certificates.authorityLifetimeHours",
                    f"{source.authority_lifetime_hours}: an authority has to outlive what it signs "
                    f"(lifetimeHours {source.lifetime_hours}); raise it",
                )
            )
    seen = set(PLATFORM_CLIENTS)
    for index, client in enumerate(settings.clients):
        if client.name in seen:
            whose = "the platform's own" if client.name in PLATFORM_CLIENTS else "named twice"
            problems.append(Problem(f"clients[{index}].name", f"{client.name!r}: {whose}; choose another"))
        seen.add(client.name)
    return problems
