"""What every kind of cluster gives to the components on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes


@dataclass(frozen=True)
class Target:
    """A cluster that the platform's components are deployed to."""

    provider: kubernetes.Provider
    """Explicit, so that nothing lands in whichever cluster is current."""
    images: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """References by name."""
    client_cidrs: tuple[str, ...] = ()
    """Addresses besides those of trusted pods that the first model's servers admit."""
    outputs: dict[str, pulumi.Input[object]] = field(default_factory=dict)
    """What the stack tells about the cluster."""

    @property
    def options(self) -> pulumi.ResourceOptions:
        """Options of the components on top."""
        return pulumi.ResourceOptions(providers=[self.provider])

    def options_after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        """The same, for what has to wait."""
        return pulumi.ResourceOptions(providers=[self.provider], depends_on=list(resources))


def kubernetes_provider(
    kubeconfig: pulumi.Input[str],
    *,
    context: str | None = None,
    after: pulumi.Resource | None = None,
) -> kubernetes.Provider:
    """Provider of the stack's cluster; everything in it waits for `after`."""
    return kubernetes.Provider(
        "cluster",
        kubeconfig=kubeconfig,
        context=context,
        # Without it the cluster is known by its kubeconfig, and a moved file would replace everything.
        cluster_identifier=pulumi.get_stack(),
        enable_server_side_apply=True,
        opts=pulumi.ResourceOptions(depends_on=[after] if after else None),
    )
