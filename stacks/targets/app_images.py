"""Images of our own apps, built and pushed where the settings say so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.container_image.component import AppImage, AppImageArgs
from stacks.plan import PlatformPlan
from stacks.settings.images import RegistryImages


def app_images(
    plan: PlatformPlan, root: Path, *, after: pulumi.Resource | None
) -> Mapping[str, pulumi.Input[str]]:
    """References by name; those that are built are given out only once they have been pushed."""
    images = plan.settings.images
    if not isinstance(images, RegistryImages) or images.build is None:
        return plan.images
    options = pulumi.ResourceOptions(
        providers=[docker.Provider("docker", disable_docker_daemon_check=True)],
        depends_on=[after] if after else None,
    )
    built: dict[str, pulumi.Input[str]] = {
        app: AppImage(
            f"{app}-image",
            AppImageArgs(app=app, references=plan.images, build=images.build, root=root),
            options,
        ).reference
        for app in images.build.apps
    }
    return {**plan.images, **built}
