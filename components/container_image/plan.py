"""References of images, taken apart and checked; tags that follow from sources. No Pulumi in here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.common.accounts import AwsAccount, GcpProject
from components.common.problems import Problem
from components.container_image.settings import ImageBuild, RegistryRepositories

APPS: Final = "apps"
"""Folder of the apps, each with its Dockerfile, below the project's."""
DOCKERFILE: Final = "Dockerfile"
REQUIREMENTS: Final = "requirements.txt"
_TAG_DIGITS: Final = 16


@dataclass(frozen=True)
class Reference:
    """An image in a registry, pinned by digest."""

    repository: str
    """Registry and name, without tag."""
    digest: str
    """`sha256:` and 64 hexadecimal digits."""


def parse_reference(text: str) -> Reference:
    """Parts of `registry/name[:tag]@sha256:…`; raises ValueError if it has no digest."""
    name, at, digest = text.partition("@")
    if not at:
        raise ValueError(f"{text!r} has no digest; write registry/name@sha256:…")
    head, slash, tail = name.rpartition("/")
    return Reference(f"{head}{slash}{tail.partition(':')[0]}", digest)


def context_of(app: str) -> str:
    """Build context, relative to the project: an absolute path would differ from machine to machine."""
    return f"{APPS}/{app}"


def source_files(root: Path, app: str) -> list[Path]:
    """What the app's image is made of, relative to its context, sorted; `.dockerignore` leaves out the
    rest."""
    folder = root / context_of(app)
    code = [path.relative_to(folder) for path in (folder / app).rglob("*.py")]
    return sorted([Path(DOCKERFILE), Path(REQUIREMENTS), *code])


def source_tag(root: Path, app: str, build: ImageBuild) -> str:
    """Tag that changes exactly when the image's sources do: in a registry with immutable tags, none is pushed
    twice with different content.
    """
    folder = root / context_of(app)
    digest = hashlib.sha256(f"{build.base}\0{build.platform}\0".encode())
    for path in source_files(root, app):
        content = (folder / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(content)}\0".encode() + content)
    return f"sources-{digest.hexdigest()[:_TAG_DIGITS]}"


def image_problems(
    references: Mapping[str, str],
    build: ImageBuild | None,
    repositories: RegistryRepositories | None,
    account: AwsAccount | GcpProject | None,
) -> Iterator[Problem]:
    """What keeps images from being built, pushed or found. Paths are relative to the section `images`.

    `references` are pinned (they match IMAGE_REFERENCE).
    """
    for index, app in enumerate(build.apps if build else ()):
        if app not in references:
            yield Problem(
                f"build.apps[{index}]",
                f"{app!r}: not among references, which says where it is pushed; add references.{app}",
            )
    if repositories is None or account is None:
        return
    names = list(repositories.names)
    for index, name in enumerate(names):
        if names.index(name) != index:
            yield Problem(f"repositories.names[{index}]", f"{name!r}: listed twice; remove one")
    for name, text in references.items():
        if name in names:
            found, expected = parse_reference(text).repository, repository_of(repositories, account, name)
            if found != expected:
                yield Problem(
                    f"references.{name}",
                    f"{found!r}: not the repository that the stack makes for it; write "
                    f"{expected}@sha256:…, or remove {name} from repositories.names",
                )


def repository_of(repositories: RegistryRepositories, account: AwsAccount | GcpProject, name: str) -> str:
    """Registry and name of one of the stack's own repositories."""
    if isinstance(account, AwsAccount):
        return f"{account.ecr_host}/{repositories.namespace}/{name}"
    return f"{account.artifact_registry_host}/{account.project}/{repositories.namespace}/{name}"
