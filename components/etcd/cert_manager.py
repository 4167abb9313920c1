"""cert-manager's Issuer and Certificate (cert-manager.io/v1) with typed arguments."""

from __future__ import annotations

from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, meta

API_VERSION: Final = "cert-manager.io/v1"


def issuer(
    name: str, metadata: meta.v1.ObjectMetaArgs, *, authority: str | None, opts: pulumi.ResourceOptions
) -> apiextensions.CustomResource:
    """An issuer of the namespace: signs with the key in the Secret `authority`, or lets certificates sign
    themselves."""
    spec: dict[str, Any] = {"selfSigned": {}} if authority is None else {"ca": {"secretName": authority}}
    return apiextensions.CustomResource(
        name, api_version=API_VERSION, kind="Issuer", metadata=metadata, spec=spec, opts=opts
    )


def certificate(
    name: str,
    metadata: meta.v1.ObjectMetaArgs,
    *,
    secret: str,
    issuer_name: str,
    common_name: str,
    usages: tuple[str, ...],
    lifetime_hours: int,
    renew_before_hours: int,
    dns_names: tuple[str, ...] = (),
    ip_addresses: tuple[str, ...] = (),
    is_authority: bool = False,
    opts: pulumi.ResourceOptions,
) -> apiextensions.CustomResource:
    """A certificate that an issuer of the namespace keeps valid in a Secret.

    Each renewal makes a new key, except for an authority: what it has signed must stay valid.
    """
    spec: dict[str, Any] = {
        "secretName": secret,
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": issuer_name},
        "commonName": common_name,
        "usages": list(usages),
        "duration": f"{lifetime_hours}h0m0s",
        "renewBefore": f"{renew_before_hours}h0m0s",
        "privateKey": {
            "algorithm": "ECDSA",
            "size": 256,
            "rotationPolicy": "Never" if is_authority else "Always",
        },
    }
    if dns_names:
        spec["dnsNames"] = list(dns_names)
    if ip_addresses:
        spec["ipAddresses"] = list(ip_addresses)
    if is_authority:
        spec["isCA"] = True
    return apiextensions.CustomResource(
        name, api_version=API_VERSION, kind="Certificate", metadata=metadata, spec=spec, opts=opts
    )
