"""Certificates that Filebeat and Logstash show each other, from a ClusterIssuer of cert-manager."""

from __future__ import annotations

from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, meta

from components.etcd.cert_manager import API_VERSION
from components.monitoring.durations import DAY, HOUR

LIFETIME: Final = 365 * DAY
RENEW_BEFORE: Final = 120 * DAY
"""Logstash reads its certificate when it starts: time in which it is restarted for some reason or other."""


def certificate(
    name: str,
    metadata: meta.v1.ObjectMetaArgs,
    *,
    secret: str,
    cluster_issuer: str,
    common_name: str,
    usage: str,
    dns_names: tuple[str, ...],
    opts: pulumi.ResourceOptions,
) -> apiextensions.CustomResource:
    """A certificate in a Secret, with the authority's in `ca.crt`.

    Its key is RSA in PKCS 8: Logstash's input reads no other encoding.
    """
    spec: dict[str, Any] = {
        "secretName": secret,
        "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": cluster_issuer},
        "commonName": common_name,
        "dnsNames": list(dns_names),
        "usages": ["digital signature", "key encipherment", usage],
        "duration": f"{LIFETIME // HOUR}h0m0s",
        "renewBefore": f"{RENEW_BEFORE // HOUR}h0m0s",
        "privateKey": {"algorithm": "RSA", "size": 3072, "encoding": "PKCS8", "rotationPolicy": "Always"},
    }
    return apiextensions.CustomResource(
        name, api_version=API_VERSION, kind="Certificate", metadata=metadata, spec=spec, opts=opts
    )
