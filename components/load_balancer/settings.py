"""The entry section of a stack, as people write it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.cidr import Ipv4Cidr
from components.common.names import DnsLabel
from components.common.schema import FrozenModel

HOSTNAME: Final = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
"""Name of a host (RFC 1123), lower case, with a domain."""
CERTIFICATE_ARN: Final = r"^arn:aws(-cn|-us-gov)?:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}$"
"""Form of what ACM calls CertificateArn."""


class AcmTls(FrozenModel):
    """The load balancer ends TLS with a certificate of AWS Certificate Manager. On EKS only."""

    kind: Literal["acm"]
    certificate_arn: Annotated[str, Field(pattern=CERTIFICATE_ARN)]
    """ARN of the certificate, of the cluster's own region and account."""
    server_secret_name: DnsLabel | None = None
    """A Secret of type kubernetes.io/tls in the tenant's namespace: the load balancer then speaks TLS to the
    servers too, which answer with that certificate (it is not checked: any name will do)."""


class SecretTls(FrozenModel):
    """The servers end TLS themselves; the load balancer passes it through."""

    kind: Literal["secret"]
    secret_name: DnsLabel
    """A Secret of type kubernetes.io/tls in the tenant's namespace with the certificate for `hostname`. Who
    renews it (cert-manager, a pipeline) replaces the Secret; servers take the new one up while they run."""


class Entry(FrozenModel):
    """How clients outside the cluster reach the first model."""

    exposure: Literal["internal", "public"] = "internal"
    """`internal`: an address of the cluster's network. `public`: an address on the Internet, for
    `sourceRanges` only."""
    hostname: Annotated[str, Field(pattern=HOSTNAME, max_length=253)]
    """Name that clients call, e.g. `autoglm.example.com`: the certificate is for it, and a DNS record of
    yours points from it to the stack's output `loadBalancer`."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 443
    """TCP port that clients call."""
    source_ranges: tuple[Ipv4Cidr, ...] = ()
    """Networks of the clients. Internal: without any, the cluster's network and those connected to it.
    Public: required, and never everyone. Pods are no clients from outside: they call the model's Service, if
    their namespace is trusted."""
    tls: Annotated[AcmTls | SecretTls, Field(discriminator="kind")]
    """Where TLS ends. There is no entry without TLS: requests are screenshots."""

    @property
    def server_secret(self) -> str | None:
        """Secret with the certificate that the model servers answer with; None where they speak plain
        HTTP."""
        return self.tls.secret_name if isinstance(self.tls, SecretTls) else self.tls.server_secret_name
