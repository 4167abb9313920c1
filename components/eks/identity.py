"""EKS Pod Identity: one role for each service account that needs anything of AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Statement:
    """One statement of an identity policy that allows something."""

    sid: str
    actions: Sequence[str]
    """Named actions: `*` is refused."""
    resources: Sequence[str]
    """Plain ARNs, so that policies see them in a preview."""
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class PodIdentitySpec:
    """A service account, and what its pods may do."""

    name: str
    namespace: str
    service_account: str
    statements: Sequence[Statement]
