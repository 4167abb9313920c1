"""References of images, taken apart and checked; tags that follow from sources. No Pulumi in here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.common.accounts import AwsAccount, GcpProject
from components.common.problems import Problem
from components.container_image.settings import App, ImageBuild, RegistryRepositories

APPS: Final = "apps"
"""Folder of the apps, each with its Dockerfile, below the project's."""
FOLDERS: Final[Mapping[App, str]] = {
    "weights": "weights",
    "audit": "audit",
    "alert-relay": "alert_relay",
    "trend-report": "trend_report",
    "log-setup": "log_setup",
    "etcd-tools": "etcd",
    "virtual-ip": "virtual_ip",
}
"""The apps' folders below `apps`, by the name that an image has among the references."""
DOCKERFILE: Final = "Dockerfile"
IGNORED: Final = ".dockerignore"
"""Names what belongs to an image: all but the lines that begin with `!` is left out."""
PROGRAMS_OF: Final[Mapping[App, str]] = {"etcd-tools": "etcd"}
"""Images whose programs another one is built with, in its build argument of that name in capitals."""
LOCKED_PLATFORM: Final[Mapping[App, str]] = {"virtual-ip": "linux/amd64"}
"""Apps whose packages are locked for one platform."""
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


def context_of(app: App) -> str:
    """Build context, relative to the project: an absolute path would differ from machine to machine."""
    return f"{APPS}/{FOLDERS[app]}"


def source_files(root: Path, app: App) -> list[Path]:
    """What the app's image is made of, relative to its context, sorted: what `.dockerignore` lets through.

    Every `.dockerignore` here leaves out everything (`*`), then names files and folders with `!`.
    """
    folder = root / context_of(app)
    lines = (folder / IGNORED).read_text(encoding="utf-8").split()
    found = {Path(DOCKERFILE)}
    for named in (folder / line[1:] for line in lines if line.startswith("!")):
        files = named.rglob("*") if named.is_dir() else [named]
        found |= {path.relative_to(folder) for path in files if path.is_file()}
    return sorted(path for path in found if "__pycache__" not in path.parts)


def build_arguments(app: App, build: ImageBuild, references: Mapping[str, str]) -> dict[str, str]:
    """Docker's build arguments: the images, by digest, that the app's image is built from."""
    arguments = {"BASE": build.base}
    if (other := PROGRAMS_OF.get(app)) is not None:
        arguments[other.upper()] = references[other]
    return arguments


def source_tag(root: Path, app: App, platform: str, arguments: Mapping[str, str]) -> str:
    """Tag that changes exactly when the image's sources do: in a registry with immutable tags, none is pushed
    twice with different content.
    """
    folder = root / context_of(app)
    images = [arguments[name] for name in sorted(arguments)]
    digest = hashlib.sha256("".join(f"{text}\0" for text in (*images, platform)).encode())
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
    if build is not None:
        yield from _build_problems(build, references)
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


def _build_problems(build: ImageBuild, references: Mapping[str, str]) -> Iterator[Problem]:
    for index, app in enumerate(build.apps):
        path = f"build.apps[{index}]"
        if build.apps.index(app) != index:
            yield Problem(path, f"{app!r}: listed twice; remove one")
            continue
        if app not in references:
            yield Problem(
                path, f"{app!r}: not among references, which says where it is pushed; add references.{app}"
            )
        other = PROGRAMS_OF.get(app)
        if other is not None and other not in references:
            yield Problem(
                path,
                f"{app!r}: is built with programs of the image {other}, which is not among references; "
                f"add references.{other}",
            )
        only = LOCKED_PLATFORM.get(app)
        if only is not None and only != build.platform:
            yield Problem(
                path,
                f"{app!r}: its packages are locked for {only}, and build.platform is {build.platform}; "
                "remove it, and push it from elsewhere",
            )


def repository_of(repositories: RegistryRepositories, account: AwsAccount | GcpProject, name: str) -> str:
    """Registry and name of one of the stack's own repositories."""
    if isinstance(account, AwsAccount):
        return f"{account.ecr_host}/{repositories.namespace}/{name}"
    return f"{account.artifact_registry_host}/{account.project}/{repositories.namespace}/{name}"
