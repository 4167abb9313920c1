"""Pinned versions, from versions.yaml at the root of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from components.common.schema import FrozenModel

Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class Engines(FrozenModel):
    """Versions of inference engines."""

    vllm: Version


class Versions(FrozenModel):
    """What the platform is made for and tested with."""

    kubernetes: Version
    engines: Engines

    @property
    def pod_security(self) -> str:
        """Version of the Pod Security Standards to enforce, e.g. `v1.36`."""
        return "v" + ".".join(self.kubernetes.split(".")[:2])


def load_versions(root: Path) -> Versions:
    """Versions pinned in the project at `root`."""
    return Versions.model_validate(yaml.safe_load((root / "versions.yaml").read_text(encoding="utf-8")))
