"""The summary as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.eks.settings import EksCluster
from components.onprem.plan import OnpremPlan
from stacks.connectivity.report import Connectivity, connectivity
from stacks.cost.ceiling import CostCeiling
from stacks.cost.estimate import CostEstimate
from stacks.plan import PlatformPlan, plan_settings
from stacks.problems import SettingsError
from stacks.summary.accelerators import AcceleratorPool, accelerator_pools
from stacks.summary.changes import Changes, changes
from stacks.summary.costs import cost
from stacks.summary.events import Preview
from stacks.summary.exposure import EVERYONE, Exposure, exposures
from stacks.summary.images import Image, images
from stacks.summary.policies import Verdict, verdict
from stacks.summary.pools import pools

PROJECT: Final = "autoglm-platform"


@dataclass(frozen=True)
class Chart:
    """A Helm chart that is installed."""

    release: str
    version: str
    reference: str
    """With digest."""


@dataclass(frozen=True)
class Summary:
    """What a reviewer wants to know."""

    stack: str
    complete: bool
    """Whether the engine came to the end of its preview without an error."""
    errors: tuple[str, ...]
    changes: Changes
    accelerators: tuple[AcceleratorPool, ...]
    cost: CostEstimate | None
    """None outside the clouds, and where settings were refused."""
    cost_ceiling: CostCeiling | None
    """What the settings allow; a plan that could cost more is refused."""
    images: tuple[Image, ...]
    charts: tuple[Chart, ...]
    """Of the plan: a preview without a registry does not know what is in them."""
    exposures: tuple[Exposure, ...]
    connectivity: Connectivity
    """Who reaches whom by the NetworkPolicies."""
    verdict: Verdict


def summarize(stack: str, preview: Preview, root: Path) -> Summary:
    """The summary of a preview; settings that were refused leave out what only a plan knows."""
    plan = plan_of(stack, preview.config, root)
    return Summary(
        stack=stack,
        complete=preview.complete,
        errors=preview.errors,
        changes=changes(preview.resources),
        accelerators=_accelerators(plan) if plan else (),
        cost=cost(plan) if plan else None,
        cost_ceiling=plan.settings.cost_ceiling if plan else None,
        images=images(preview.resources),
        charts=_charts(plan) if plan else (),
        exposures=(*exposures(preview.resources, _private_api(plan)), *_virtual_ip(plan)),
        connectivity=connectivity(
            [
                (one.name, one.inputs)
                for one in preview.resources
                if one.type.startswith("kubernetes:") and one.operation != "delete"
            ],
            plan,
        ),
        verdict=verdict(preview),
    )


def _accelerators(plan: PlatformPlan) -> tuple[AcceleratorPool, ...]:
    sharing = {pool.shape.name: pool.sharing for pool in pools(plan.cluster)}
    return accelerator_pools(plan.cluster.pools, sharing)


def _charts(plan: PlatformPlan) -> tuple[Chart, ...]:
    installed = plan.operators.installed if plan.operators else ()
    return tuple(
        Chart(chart.release, chart.version, chart.reference)
        for operator in installed
        for chart in operator.charts
    )


def _private_api(plan: PlatformPlan | None) -> tuple[str, ...]:
    cluster = plan.settings.cluster if plan else None
    return tuple(map(str, cluster.api.private_cidrs)) if isinstance(cluster, EksCluster) else ()


def _virtual_ip(plan: PlatformPlan | None) -> tuple[Exposure, ...]:
    """The address of a cluster without a cloud: nothing in the cluster says whom the network lets through."""
    below = plan.cluster.below if plan else None
    if not isinstance(below, OnpremPlan):
        return ()
    settings = below.settings.virtual_ip
    address = settings.address.partition("/")[0]
    return (Exposure(f"virtual IP {address}", "internal", (EVERYONE,), (f"{settings.frontend.port}/TCP",)),)


def plan_of(stack: str, config: Mapping[str, str], root: Path) -> PlatformPlan | None:
    """The plan of a stack's configuration as the engine reports it; None if its settings are refused."""
    prefix = f"{PROJECT}:"
    raw = {key.removeprefix(prefix): _parsed(text) for key, text in config.items() if key.startswith(prefix)}
    file = f"Pulumi.{stack}.yaml"
    try:
        return plan_settings(raw, stack, file, root)
    except SettingsError:
        return None  # the program has told every problem, and the engine shows them


def _parsed(text: str) -> Any:
    """Structured values are reported as JSON, everything else as text."""
    return json.loads(text) if text[:1] in ("{", "[") else text
