"""The AppImage component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pulumi
import pulumi_docker as docker

from components.container_image.plan import (
    DOCKERFILE,
    build_arguments,
    context_of,
    parse_reference,
    source_tag,
)
from components.container_image.settings import App, ImageBuild

T = TypeVar("T")


@dataclass(frozen=True)
class AppImageArgs:
    """Inputs of an AppImage."""

    app: App
    """Name of the app: its key among the references."""
    references: Mapping[str, str]
    """Images by name: where the app's is pushed, and the digest that is expected (`registry/name@sha256:…`);
    those that it is built with."""
    build: ImageBuild
    root: Path
    """Folder of the project."""

    @property
    def reference(self) -> str:
        """The app's own."""
        return self.references[self.app]

    @property
    def arguments(self) -> dict[str, str]:
        """Docker's build arguments."""
        return build_arguments(self.app, self.build, self.references)

    @property
    def tag(self) -> str:
        """The tag that it is pushed under."""
        return source_tag(self.root, self.app, self.build.platform, self.arguments)


class AppImage(pulumi.ComponentResource):
    """Image of one of our own apps: built by Docker, pushed, and compared with the digest in the settings.

    Workloads use the digest of the settings, never that of a build nobody has looked at. After a push of
    anything else the update fails and says which line to write. A preview builds nothing and needs no Docker.

    The registry's credentials are those of the machine: the provider reads Docker's own configuration and its
    credential helpers (pulumi-docker, provider/image.go). They do not pass through here, so they are in no
    state file. Images stay in the registry when the resource is deleted.
    """

    reference: pulumi.Output[str]
    """The expected reference: known at once, for dependents only once that very image has been pushed."""

    def __init__(self, name: str, args: AppImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:container_image:AppImage", name, None, opts)
        expected = parse_reference(args.reference)
        image = docker.Image(
            name,
            image_name=f"{expected.repository}:{args.tag}",
            build=docker.DockerBuildArgs(
                context=context_of(args.app),
                dockerfile=f"{context_of(args.app)}/{DOCKERFILE}",
                platform=args.build.platform,
                args=args.arguments,
                builder_version=docker.BuilderVersion.BUILDER_BUILD_KIT,
            ),
            build_on_preview=False,
            skip_push=False,
            # The repository may have to be made first.
            opts=pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None),
        )
        self.reference = pulumi.Output(
            resources=_settled({image}),
            future=_compared(image.repo_digest, args),
            is_known=_settled(True),
        )
        self.register_outputs({"reference": self.reference})


class UnexpectedDigestError(pulumi.RunError):
    """What was pushed is not what the settings pin; the message is the line to write."""


def check_digest(pushed: str, args: AppImageArgs) -> None:
    """Raises UnexpectedDigestError if `pushed`, a repository with digest, is not what `args` expects."""
    expected, found = parse_reference(args.reference), parse_reference(pushed)
    if found.digest != expected.digest:
        raise UnexpectedDigestError(
            f"images.references.{args.app}: {expected.digest} is pinned, but the build has been pushed as "
            f"{found.digest}. If it is what you want to run, write\n"
            f"    {args.app}: {found.repository}:{args.tag}@{found.digest}"
        )


async def _compared(pushed: pulumi.Output[str], args: AppImageArgs) -> str:
    # Unknown in a preview, where nothing is pushed.
    if await pushed.is_known():
        digest = await pushed.future()
        if digest is None:
            raise UnexpectedDigestError(
                f"images.references.{args.app}: the push reported no digest; push again"
            )
        check_digest(digest, args)
    return args.reference


async def _settled(value: T) -> T:
    return value
