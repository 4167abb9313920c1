"""The graphs that are checked: the samples, and what the cloud stacks register."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from stacks.images import resolve_images
from stacks.load import load_settings
from stacks.plan import PlatformPlan, plan_platform
from stacks.platform import build_platform
from stacks.targets.build import build_target
from stacks.versions import load_versions
from tests.unit.cloud import samples
from tests.unit.graph import Registration, record
from toolchain import paths

PROJECT = "autoglm-platform"
CLOUD_STACKS = ("prod", "staging")


def stack_plan(stack: str) -> PlatformPlan:
    """The plan of a stack as its settings file has it."""
    file = f"Pulumi.{stack}.yaml"
    config = yaml.safe_load((paths.ROOT / file).read_text(encoding="utf-8"))["config"]
    # Pulumi hands over structured values as JSON.
    raw = {key.removeprefix(f"{PROJECT}:"): json.loads(json.dumps(value)) for key, value in config.items()}
    settings = load_settings(raw, file)
    images, problems = resolve_images(settings.images, paths.ROOT)
    assert not problems
    return plan_platform(settings, load_versions(paths.ROOT), images, stack, file)


def stack_program(stack: str) -> dict[str, Any]:
    """What the program builds of a stack's settings file."""
    plan = stack_plan(stack)
    return build_platform(plan, build_target(plan, paths.ROOT, f"Pulumi.{stack}.yaml")).outputs


PROGRAMS: Mapping[str, Callable[[], Any]] = {
    "aws-sample": samples.aws_sample,
    "gcp-sample": samples.gcp_sample,
    "kubernetes-sample": samples.kubernetes_sample,
    **{stack: functools.partial(stack_program, stack) for stack in CLOUD_STACKS},
}


@functools.cache
def graph(name: str) -> tuple[Registration, ...]:
    """What a program registers in a preview: outputs that only a provider could know are unknown."""
    registrations, _ = record(PROGRAMS[name], preview=True)
    return tuple(registrations)
