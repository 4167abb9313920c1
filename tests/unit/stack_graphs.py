"""The registered graph of a stack of this repository, from its own settings file."""

from __future__ import annotations

from functools import cache
from typing import Any

from stacks.files import stack_sections
from stacks.plan import PlatformPlan, plan_settings
from stacks.platform import ROOT, build_platform
from stacks.targets.build import build_target
from tests.unit.graph import Registration, record

CLOUD_STACKS = ("prod", "staging")
STACKS = (*CLOUD_STACKS, "onprem")
"""Those that are planned for clusters of one's own."""


def raw_stack(stack: str) -> dict[str, Any]:
    """The sections of `Pulumi.<stack>.yaml`."""
    return stack_sections(stack, ROOT)


def stack_plan(stack: str, raw: dict[str, Any] | None = None) -> PlatformPlan:
    """Plan of the stack, or of `raw` in its place."""
    return plan_settings(raw_stack(stack) if raw is None else raw, stack, f"Pulumi.{stack}.yaml", ROOT)


def graph_of(plan: PlatformPlan, stack: str) -> tuple[list[Registration], dict[str, Any]]:
    """What a preview registers before anything exists: all outputs are unknown."""

    def program() -> dict[str, Any]:
        return build_platform(plan, build_target(plan, ROOT, f"Pulumi.{stack}.yaml")).outputs

    return record(program, preview=True, configured=False)


@cache
def stack_graph(stack: str) -> tuple[list[Registration], dict[str, Any]]:
    """What a preview of the stack registers."""
    return graph_of(stack_plan(stack), stack)
