"""How images of our own apps are built, as people write it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from components.common.names import DnsLabel
from components.common.schema import FrozenModel, PositiveInt

PINNED: Final = r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}$"

App = Literal["weights", "audit", "alert-relay", "trend-report", "log-setup", "etcd-tools", "virtual-ip"]
"""Our own apps that have a Dockerfile, by the name of their image."""


class ImageBuild(FrozenModel):
    """Builds our own apps with the Docker of the machine that runs `pulumi up`, and pushes them.

    The registry's password comes from that machine's Docker credential helper (for Amazon ECR
    `docker-credential-ecr-login`, for Artifact Registry `gcloud auth configure-docker`); it is never part of
    the settings or of the state.
    """

    apps: Annotated[tuple[App, ...], Field(min_length=1)] = ("weights",)
    """Which apps, by the name that they have in `references`. `etcd-tools` takes etcd's client programs from
    the image `etcd` among the references: etcd's own, mirrored."""
    base: Annotated[str, Field(pattern=PINNED)]
    """Image that they build on, by digest: one with Python 3.11, which the apps' requirements are locked for,
    as `python3` with pip, and no compilers, e.g. `python:3.11-slim-bookworm@sha256:…`. `virtual-ip` needs
    Debian 12 with apt, which that one is."""
    platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64"
    """What the nodes are that run them."""


class RegistryRepositories(FrozenModel):
    """Repositories in the cloud's own registry, made by the stack: Amazon ECR or Artifact Registry."""

    names: Annotated[tuple[DnsLabel, ...], Field(min_length=1)] = ("weights", "vllm")
    """One for each image."""
    namespace: DnsLabel = "autoglm"
    """First part of the repositories' names on ECR; name of the repository on Artifact Registry."""
    untagged_days: PositiveInt = 14
    """When an image without a tag is deleted. Tagged ones stay: a digest that is pinned somewhere must
    remain."""
