"""The graphs that are checked: the samples, and what the cloud stacks register."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from stacks.platform import build_platform
from stacks.targets.build import build_target
from tests.unit.cloud import samples
from tests.unit.graph import Registration, record
from tests.unit.stack_graphs import STACKS, stack_plan
from toolchain import paths


def stack_program(stack: str) -> dict[str, Any]:
    """What the program builds of a stack's settings file."""
    plan = stack_plan(stack)
    return build_platform(plan, build_target(plan, paths.ROOT, f"Pulumi.{stack}.yaml")).outputs


PROGRAMS: Mapping[str, Callable[[], Any]] = {
    "aws-sample": samples.aws_sample,
    "gcp-sample": samples.gcp_sample,
    "kubernetes-sample": samples.kubernetes_sample,
    **{stack: functools.partial(stack_program, stack) for stack in STACKS},
}


@functools.cache
def graph(name: str) -> tuple[Registration, ...]:
    """What a program registers in a preview: outputs that only a provider could know are unknown."""
    registrations, _ = record(PROGRAMS[name], preview=True)
    return tuple(registrations)
