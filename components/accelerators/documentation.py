"""docs/accelerators.md: `python -m components.accelerators.documentation > docs/accelerators.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from components.accelerators.catalogue import (
    ACCELERATORS,
    AUTOGLM,
    DRIVER_MINIMUM,
    Accelerator,
    Cloud,
    support,
)
from components.accelerators.machine_types import MACHINE_TYPES
from components.accelerators.tpu import GENERATIONS, topologies, topology
from components.common.quantities import GIB, human_bytes

_CLOUDS: Final[dict[Cloud, str]] = {"aws": "AWS", "gcp": "Google Cloud"}

_INTRODUCTION: Final = f"""\
# Accelerators

<!-- Made from the catalogue by `python -m components.accelerators.documentation > docs/accelerators.md`;
do not edit. -->

A node pool names a machine type; the catalogue says what accelerators that brings, under which resource name
pods ask for them, and how much memory a plan may reckon with. A machine type or topology that is not here is
refused with the nearest that is.

- **Memory.** Stated is what the cloud or the vendor says. Plans rest on what a process finds, which is less.
- **Driver.** {DRIVER_MINIMUM} at least, whatever a card would do with.
- **Taints and labels.** Nodes with accelerators carry the taint `<resource>=present:NoSchedule`, which GKE
  sets itself, and the label `autoglm-platform/accelerator: <name>`.
- **Sharing.** `exclusive`; `time-slicing` with 2 to 48 pods per device, which isolates neither memory nor
  faults; or `mig` with one profile for all cards of a pool.
- **Proven or not.** A model on an accelerator for which there is no evidence needs
  `accelerator.allowUnproven: true`, and is then an experiment.
"""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cards() -> str:
    def row(card: Accelerator) -> list[str]:
        return [
            card.name,
            card.vendor,
            f"`{card.resource}`",
            human_bytes(card.memory),
            human_bytes(card.usable_memory),
            card.driver_minimum or "",
            card.cuda_minimum or "",
            f"`{card.engine_image}`",
        ]

    head = ("name", "vendor", "resource", "stated", "planned with", "driver ≥", "CUDA ≥", "engine image")
    return _table(head, (row(card) for card in ACCELERATORS.values()))


def _support() -> str:
    verdicts = ((card.name, support(AUTOGLM, card)) for card in ACCELERATORS.values())
    return _table(("accelerator", "verdict", "why"), ((n, v.verdict, v.reason) for n, v in verdicts))


def _profiles() -> str:
    return _table(
        ("card", "profile", "instances", "planned with", "on GKE"),
        (
            (
                card.name,
                profile.name,
                str(profile.max_instances),
                human_bytes(profile.memory),
                "yes" * profile.gke,
            )
            for card in ACCELERATORS.values()
            for profile in card.mig_profiles.values()
        ),
    )


def _machines(cloud: Cloud) -> str:
    def devices(counts: Iterable[tuple[str, str]]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counts)

    rows = []
    for machine in MACHINE_TYPES[cloud].values():
        own = [(machine.accelerator, str(machine.accelerator_count))] if machine.accelerator else []
        added = [(name, " or ".join(map(str, counts))) for name, counts in machine.attachable.items()]
        rows.append(
            [
                f"`{machine.name}`",
                devices(own) or (f"on request: {devices(added)}" if added else ""),
                str(machine.vcpus),
                f"{machine.memory / GIB:g}",
                f"{machine.instance_store / 10**9:,.0f}" if machine.instance_store else "",
                *([str(machine.efa_interfaces or ""), str(machine.max_pods)] if cloud == "aws" else []),
            ]
        )
    head = ["type", "accelerators", "vCPU", "GiB", "local disks, GB"]
    return _table([*head, "EFA", "pods"] if cloud == "aws" else head, rows)


def _slices() -> str:
    rows = []
    for generation in GENERATIONS:
        for text in topologies(generation):
            found = topology(generation, text)
            numbers = (str(found.chips), str(found.hosts), str(found.chips_per_host))
            rows.append((generation, text, *numbers, f"`{found.machine_type}`"))
    return _table(("TPU", "topology", "chips", "hosts", "chips per host", "machine type"), rows)


def markdown() -> str:
    """The page."""
    sections = [
        _INTRODUCTION.rstrip(),
        f"## Accelerators\n\n{_cards()}",
        f"## {AUTOGLM}\n\n{_support()}",
        f"## MIG profiles\n\n{_profiles()}",
        *(f"## Machine types of {name}\n\n{_machines(cloud)}" for cloud, name in _CLOUDS.items()),
        "## TPU slices\n\n"
        "`2x4` of v5e and v6e can also be made up of two hosts with four chips: name that machine type.\n\n"
        + _slices(),
    ]
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
