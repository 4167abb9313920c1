"""Containers of monitoring."""

from __future__ import annotations

from pulumi_kubernetes import core

from components.monitoring.share import Share


def requirements(share: Share) -> core.v1.ResourceRequirementsArgs:
    """What a container asks for, and what it is held to."""
    return core.v1.ResourceRequirementsArgs(**share.document())
