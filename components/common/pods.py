"""Pod hardening: the restricted Pod Security Standard, and requests that equal limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pulumi
from pulumi_kubernetes import core, meta

from components.accelerators.shapes import Taint
from components.common.quantities import Resources, format_bytes

NON_ROOT_ID: Final = 65532
"""User and group of every image here; the `nonroot` id of the distroless images."""


def pod_security_context() -> core.v1.PodSecurityContextArgs:
    """Pod level of the restricted standard; volumes are given to the group once, not on every start."""
    return core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=NON_ROOT_ID,
        run_as_group=NON_ROOT_ID,
        fs_group=NON_ROOT_ID,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security_context() -> core.v1.SecurityContextArgs:
    """Container level of the restricted standard, with a read-only root file system."""
    return core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def requirements(resources: Resources, cpu_limit: int | None = None) -> core.v1.ResourceRequirementsArgs:
    """Requests equal to limits, unless more CPU may be used than is set aside (`cpu_limit`, thousandths).

    Whoever is short of CPU waits, and is not killed.
    """
    limits = resources if cpu_limit is None else replace(resources, cpu=cpu_limit)
    return core.v1.ResourceRequirementsArgs(requests=resources.amounts(), limits=limits.amounts())


def container_port(name: str, port: int) -> core.v1.ContainerPortArgs:
    """A TCP port that a container listens on."""
    return core.v1.ContainerPortArgs(name=name, container_port=port, protocol="TCP")


def mount(name: str, path: str) -> core.v1.VolumeMountArgs:
    """Where a container reads a volume."""
    return core.v1.VolumeMountArgs(name=name, mount_path=path, read_only=True)


def spread(
    selector: Mapping[str, pulumi.Input[str]], topology_key: str = "kubernetes.io/hostname"
) -> core.v1.TopologySpreadConstraintArgs:
    """Replicas on different nodes, or in different zones, where there are several."""
    return core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=topology_key,
        when_unsatisfiable="ScheduleAnyway",
        label_selector=meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
    )


def scratch_volume(name: str, size: int, *, in_memory: bool = False) -> core.v1.VolumeArgs:
    """An emptyDir of at most `size` bytes; in memory it counts against the containers' memory limits."""
    return core.v1.VolumeArgs(
        name=name,
        empty_dir=core.v1.EmptyDirVolumeSourceArgs(
            size_limit=format_bytes(size), medium="Memory" if in_memory else None
        ),
    )


def annotation_volume(name: str, annotation: str, file: str) -> core.v1.VolumeArgs:
    """A read-only volume whose only file holds one of the pod's own annotations."""
    return core.v1.VolumeArgs(
        name=name,
        downward_api=core.v1.DownwardAPIVolumeSourceArgs(
            items=[
                core.v1.DownwardAPIVolumeFileArgs(
                    path=file,
                    field_ref=core.v1.ObjectFieldSelectorArgs(
                        field_path=f"metadata.annotations['{annotation}']"
                    ),
                )
            ]
        ),
    )


def toleration(taint: Taint) -> core.v1.TolerationArgs:
    """Lets a pod onto nodes with exactly this taint."""
    return core.v1.TolerationArgs(key=taint.key, operator="Equal", value=taint.value, effect=taint.effect)


def http_probe(
    path: str, port: int | str, *, period: int, failures: int = 3, timeout: int = 3, scheme: str = "HTTP"
) -> core.v1.ProbeArgs:
    """Asks a container by HTTP every `period` seconds, and waits `timeout` seconds for an answer; `failures`
    in a row count."""
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port=port, scheme=scheme),
        period_seconds=period,
        timeout_seconds=timeout,
        failure_threshold=failures,
        success_threshold=1,
    )
