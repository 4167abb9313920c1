"""What AWS and Google say of their machines, as packages that are not ours have recorded it."""

from __future__ import annotations

import functools
import gzip
import importlib.resources
import json
from importlib.resources.abc import Traversable
from typing import Any


def _json(package: str, *path: str) -> Any:
    """A JSON file of an installed package, compressed or not."""
    folder: Traversable = importlib.resources.files(package).joinpath(*path[:-1])
    for name, opened in ((f"{path[-1]}.gz", gzip.decompress), (path[-1], bytes)):
        if (file := folder / name).is_file():
            return json.loads(opened(file.read_bytes()))
    raise FileNotFoundError(f"{package} has no {'/'.join(path)}; its layout has changed, change this reader")


@functools.cache
def ec2_instance_types() -> dict[str, dict[str, Any]]:
    """EC2's DescribeInstanceTypes, as moto has recorded it."""
    types: dict[str, dict[str, Any]] = _json("moto", "ec2", "resources", "instance_types.json")
    return types


@functools.cache
def ec2_enumeration(shape: str) -> frozenset[str]:
    """Values of an enumeration of the EC2 API model in botocore."""
    model = _json("botocore", "data", "ec2", "2016-11-15", "service-2.json")
    return frozenset(model["shapes"][shape]["enum"])


@functools.cache
def google_schemas(api: str) -> dict[str, dict[str, Any]]:
    """Schemas of a Google API by its discovery document, e.g. `container.v1`."""
    document = _json("googleapiclient", "discovery_cache", "documents", f"{api}.json")
    schemas: dict[str, dict[str, Any]] = document["schemas"]
    return schemas
