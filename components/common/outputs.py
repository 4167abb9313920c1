"""Outputs whose value the program decides, not a provider."""

from __future__ import annotations

from typing import TypeVar

import pulumi

T = TypeVar("T")


def known_after(value: T, *resources: pulumi.Resource) -> pulumi.Output[T]:
    """A known value for those who may use it only once the resources exist.

    Taken from a resource's outputs, a name would be unknown wherever the provider is not configured yet, and
    a policy that reads an unknown value cannot block: a plan without a cluster would get no verdict.
    """
    return pulumi.Output(
        resources=_awaitable(set(resources)), future=_awaitable(value), is_known=_awaitable(True)
    )


def unknown_output() -> pulumi.Output[str]:
    """A value that is known only after an update."""
    return pulumi.Output(resources=_awaitable(set()), future=_awaitable(""), is_known=_awaitable(False))


async def _awaitable(value: T) -> T:
    return value
