"""Names of Kubernetes objects."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

from pydantic import Field

DNS_LABEL: Final = r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
"""RFC 1035 label: what a Service name must be."""
MAX_NAME: Final = 63
"""Names that become label values or host names are limited to 63 characters (RFC 1123)."""
SHORT_DIGEST: Final = 10
"""Hex digits of a digest in names: 40 bits, ample for the few versions that live side by side."""
AGENTS_NAMESPACE: Final = "node-agents"
"""Of what monitoring, logging and audit run on every node, with the node's paths or network."""

DnsLabel = Annotated[str, Field(pattern=DNS_LABEL, max_length=MAX_NAME)]
LabelValue = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", max_length=MAX_NAME)
]


def bounded_name(*parts: str, limit: int = MAX_NAME) -> str:
    """The parts joined with dashes; cut, with a digest of the whole, where that would exceed `limit`."""
    name = "-".join(parts)
    if len(name) <= limit:
        return name
    suffix = hashlib.sha256(name.encode()).hexdigest()[:SHORT_DIGEST]
    return f"{name[: limit - len(suffix) - 1].rstrip('-')}-{suffix}"


def label_value(text: str) -> str:
    """The text as a label value: other characters become dashes, cut to 63."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:MAX_NAME].strip("-_.")
