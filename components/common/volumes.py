"""Volumes of pods that are filled by another object or by the node, and claims of new ones."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes import core

from components.common.quantities import format_bytes


def claim_spec(
    size: int,
    storage_class: pulumi.Input[str] | None,
    *,
    access_mode: str = "ReadWriteOnce",
    volume_name: str | None = None,
) -> core.v1.PersistentVolumeClaimSpecArgs:
    """Asks for a volume of `size` bytes; without a class, of the cluster's default.

    :param volume_name: the one that is meant, where it exists already.
    """
    return core.v1.PersistentVolumeClaimSpecArgs(
        access_modes=[access_mode],
        storage_class_name=storage_class,
        volume_name=volume_name,
        resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": format_bytes(size)}),
    )


def claim_volume(name: str, claim: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """The volume that a claim got."""
    source = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim)
    return core.v1.VolumeArgs(name=name, persistent_volume_claim=source)


def secret_volume(
    name: str, secret: pulumi.Input[str], keys: Sequence[str] = (), *, optional: bool | None = None
) -> core.v1.VolumeArgs:
    """A Secret's keys as files that the pod's group may read; all of them where none are named."""
    source = core.v1.SecretVolumeSourceArgs(
        secret_name=secret, optional=optional, default_mode=0o440, items=_files(keys) or None
    )
    return core.v1.VolumeArgs(name=name, secret=source)


def config_map_volume(name: str, config_map: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """A ConfigMap's keys as files."""
    source = core.v1.ConfigMapVolumeSourceArgs(name=config_map, default_mode=0o444)
    return core.v1.VolumeArgs(name=name, config_map=source)


def folder_volume(name: str, path: str) -> core.v1.VolumeArgs:
    """A folder of the node, which must be there."""
    source = core.v1.HostPathVolumeSourceArgs(path=path, type="Directory")
    return core.v1.VolumeArgs(name=name, host_path=source)


def _files(keys: Sequence[str]) -> list[core.v1.KeyToPathArgs]:
    return [core.v1.KeyToPathArgs(key=key, path=key) for key in keys]
