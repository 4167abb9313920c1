"""Values that the clouds' own API descriptions allow.

Sources: the service models in botocore, from which AWS generates its SDKs, and the discovery documents in
google-api-python-client, from which Google does.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import botocore.loaders
from googleapiclient import discovery_cache  # type: ignore[import-untyped]


class Values(Protocol):
    """An enumeration of an API."""

    @property
    def values(self) -> frozenset[str]:
        """All values; KeyError where the API has no such enumeration."""

    @property
    def name(self) -> str:
        """Where it is described."""


@dataclass(frozen=True)
class Aws:
    """An enumeration of an AWS service."""

    service: str
    shape: str

    @property
    def name(self) -> str:
        return f"botocore {self.service}.{self.shape}"

    @property
    def values(self) -> frozenset[str]:
        return frozenset(aws_model(self.service)["shapes"][self.shape]["enum"])


@dataclass(frozen=True)
class Google:
    """An enumerated property of a Google Cloud API; `api` with its version, such as `container.v1`."""

    api: str
    schema: str
    property: str

    @property
    def name(self) -> str:
        return f"{self.api} {self.schema}.{self.property}"

    @property
    def values(self) -> frozenset[str]:
        described = google_model(self.api)["schemas"][self.schema]["properties"][self.property]
        return frozenset(described["enum"] if "enum" in described else described["items"]["enum"])


@dataclass(frozen=True)
class Written:
    """Values that an API takes but describes in prose only; `source` says where."""

    source: str
    allowed: frozenset[str]

    @property
    def name(self) -> str:
        return self.source

    @property
    def values(self) -> frozenset[str]:
        return self.allowed


@functools.cache
def aws_model(service: str) -> Mapping[str, Any]:
    """The newest model of an AWS service."""
    model: Mapping[str, Any] = botocore.loaders.Loader().load_service_model(service, "service-2")
    return model


@functools.cache
def google_model(api: str) -> Mapping[str, Any]:
    """The discovery document of a Google Cloud API."""
    name, version = api.split(".", 1)
    text = discovery_cache.get_static_doc(name, version)
    if text is None:
        raise KeyError(api)
    model: Mapping[str, Any] = json.loads(text)
    return model


@functools.cache
def enumerated_members(service: str) -> Mapping[str, tuple[str, ...]]:
    """Names of members that some structure of an AWS service enumerates, in lower case, with their shapes."""
    shapes = aws_model(service)["shapes"]
    found: dict[str, set[str]] = {}
    for shape in shapes.values():
        for member, reference in shape.get("members", {}).items():
            target = shapes[reference["shape"]]
            name = reference["shape"]
            if target["type"] == "list":
                name = target["member"]["shape"]
                target = shapes[name]
            if "enum" in target:
                found.setdefault(member.lower(), set()).add(name)
    return {member: tuple(sorted(names)) for member, names in found.items()}


@functools.cache
def enumerated_properties(api: str) -> Mapping[str, tuple[str, ...]]:
    """Names of properties that a schema of a Google Cloud API enumerates, in lower case, and the schemas."""
    found: dict[str, set[str]] = {}
    for schema, description in google_model(api)["schemas"].items():
        for name, described in description.get("properties", {}).items():
            if "enum" in described or "enum" in described.get("items", {}):
                found.setdefault(name.lower(), set()).add(schema)
    return {name: tuple(sorted(schemas)) for name, schemas in found.items()}
