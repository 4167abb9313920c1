"""Where container images come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.common.schema import FrozenModel
from components.container_image.settings import ImageBuild, RegistryRepositories

IMAGE_REFERENCE = r"^[a-z0-9][a-z0-9.:/_-]*(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}$"

ImageReference = Annotated[str, Field(pattern=IMAGE_REFERENCE)]


class LocalImages(FrozenModel):
    """Images that the toolchain has built and imported on this machine."""

    kind: Literal["local"]
    file: str = ".toolchain/images.json"
    """List of the images by name, with digest; relative to the project."""


class RegistryImages(FrozenModel):
    """Images in a registry."""

    kind: Literal["registry"]
    references: dict[str, ImageReference]
    """Reference with digest (`registry/name:tag@sha256:…`) by name: `weights`, the engine's (`vllm`,
    `vllm-cpu`, …), and `cluster-autoscaler` and, for pools of NVIDIA GPUs,
    `nvidia-device-plugin` on EKS, `virtual-ip` on bare metal, `etcd` and `etcd-tools` for etcd."""
    repositories: RegistryRepositories | None = None
    """Repositories to make in the cloud's own registry; without it, they are there already."""
    build: ImageBuild | None = None
    """Builds our own apps with Docker and pushes them; without it, somebody else does."""
