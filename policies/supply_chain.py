"""Rules on where code comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from policies.kubernetes import Container
from policies.resource import Resource, each_container
from policies.rule import Option, Rule
from policies.values import UNKNOWN, child, elements

_REGISTRY_RULE: Final = "image-registry"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
"""A digest by an algorithm that container runtimes verify (github.com/opencontainers/go-digest)."""
_REFUSED_FLAGS: Final[Mapping[str, str]] = {
    "--trust-remote-code": "runs code that lies beside the weights",
    "--allowed-local-media-path": "lets a request read the server's files",
}
_REFUSED_VARIABLES: Final[Mapping[str, str]] = {
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "unpickles what it is sent",
    "TRUST_REMOTE_CODE": "runs code that lies beside the weights",
    "HF_HUB_TRUST_REMOTE_CODE": "runs code that lies beside the weights",
}


@dataclass(frozen=True)
class Image:
    """The parts of an image reference; empty where they are missing."""

    registry: str
    name: str
    """Registry and path, without tag and digest."""
    tag: str
    digest: str


def image(reference: str) -> Image:
    """Take an image reference apart."""
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.partition("/")
    is_host = bool(slash) and ("." in head or ":" in head or head == "localhost")
    name = tail if is_host else rest
    path, colon, tag = name.rpartition(":")
    path = path if colon else name
    return Image(head if is_host else "", f"{head}/{path}" if is_host else path, tag if colon else "", digest)


def _images(container: Container) -> Iterator[tuple[str, Image | None]]:
    """References to images of a container with their path; None where it is no reference at all."""
    value = container.body.get("image")
    if value is UNKNOWN or (value is None and (container.pod.custom or container.pod.owner.partial)):
        return
    yield ".image", image(value) if isinstance(value, str) and value else None


def _digests(container: Container) -> list[str]:
    return [
        f"{path}: "
        + ("is missing" if image is None else "has no digest" if not image.digest else "has a bad digest")
        for path, image in _images(container)
        if image is None or not DIGEST.fullmatch(image.digest)
    ]


def _tags(container: Container) -> list[str]:
    found: list[str] = []
    for path, image in _images(container):
        if image is None:
            found.append(f"{path}: is missing")
        elif image.digest:
            continue  # decides what runs, whatever the tag
        elif image.tag == "latest":
            found.append(f"{path}: has the tag latest")
        elif not image.tag:
            found.append(f"{path}: has no tag, which means latest")
    return found


def _registries(resource: Resource) -> list[str]:
    allowed = [
        item for _, item in elements(resource.option(_REGISTRY_RULE, "allowed")) if isinstance(item, str)
    ]
    found: list[str] = []
    for container in resource.containers:
        for path, parts in _images(container):
            if parts is not None and not parts.registry:
                found.append(f"{container}{path}: names no registry")
            elif parts is not None and allowed and not any(fnmatchcase(parts.name, one) for one in allowed):
                found.append(f"{container}{path}: is from no registry of this stack")
    return found


def _engine_flags(container: Container) -> list[str]:
    found: list[str] = []
    for key in ("command", "args"):
        for index, item in elements(container.body.get(key)):
            if not isinstance(item, str):
                continue
            for flag, harm in _REFUSED_FLAGS.items():
                # A shell's command line is a single argument; vLLM reads underscores as dashes.
                if flag in item.replace("_", "-"):
                    found.append(f".{key}[{index}]: {flag} {harm}")
    for index, variable in elements(container.body.get("env")):
        name, value = child(variable, "name"), child(variable, "value")
        if isinstance(name, str) and name in _REFUSED_VARIABLES and value not in ("0", "false", "False", ""):
            found.append(f".env[{index}]: {name} {_REFUSED_VARIABLES[name]}")
    return found


_OPAQUE_TYPES: Final = frozenset(
    {
        "command:local:Command",
        "command:local:run",
        "command:remote:Command",
        "command:remote:CopyFile",
        "command:remote:CopyToRemote",
        "pulumi-python:dynamic:Resource",
        "pulumi-nodejs:dynamic:Resource",
        "aws:cloudformation/stack:Stack",
        "aws:cloudformation/stackSet:StackSet",
        "gcp:deploymentmanager/deployment:Deployment",
    }
)
"""What they do lies in a script or a template that no rule reads."""


def _opaque(resource: Resource) -> list[str]:
    return [f"{resource.token.rpartition(':')[2]}: does what no rule can see"]


RULES: Final = (
    Rule(
        id="image-digest",
        severity="high",
        title="Images are named by digest",
        rationale=(
            "A tag can be moved: what was tested is not what runs, and replicas differ from each other."
        ),
        fix="name it <registry>/<name>@sha256:<64 hexadecimal digits>",
        judge=each_container(_digests),
    ),
    Rule(
        id="image-tag",
        severity="high",
        title="No image is the latest",
        rationale="It changes without anybody changing anything, and cannot be rolled back.",
        fix="pin a version and its digest",
        judge=each_container(_tags),
    ),
    Rule(
        id=_REGISTRY_RULE,
        severity="medium",
        title="Images name their registry",
        rationale=(
            "Without one the node's default decides, which is a public registry where anybody can take "
            "the name."
        ),
        fix="begin the reference with the registry's host",
        judge=_registries,
        options={
            "allowed": Option(
                {"type": "array", "items": {"type": "string", "pattern": "[^*].*/.*"}},
                [],
                "Patterns of <registry>/<name>, such as *.dkr.ecr.us-east-1.amazonaws.com/autoglm/*; without "
                "it any registry that is named.",
            )
        },
    ),
    Rule(
        id="engine-flags",
        severity="critical",
        title="No engine runs remote code or reads local files for a request",
        rationale=(
            "A model repository, or a request, would execute or read whatever it likes inside the server."
        ),
        fix="remove the option; clients send pictures as base64",
        judge=each_container(_engine_flags),
    ),
    Rule(
        id="opaque-resource",
        severity="high",
        title="Everything is made by resources that rules can read",
        rationale="A script or a template of its own goes past every rule, and past the preview.",
        fix="use the provider's own resources",
        judge=_opaque,
        types=_OPAQUE_TYPES,
    ),
)
"""Rules on the supply chain."""
