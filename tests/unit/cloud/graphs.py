"""The graphs that are checked: the samples, and what the cloud stacks register."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.cloud import samples
from tests.unit.graph import Registration, record

PROGRAMS: Mapping[str, Callable[[], Any]] = {
    "aws-sample": samples.aws_sample,
    "gcp-sample": samples.gcp_sample,
    "kubernetes-sample": samples.kubernetes_sample,
}


@functools.cache
def graph(name: str) -> tuple[Registration, ...]:
    """What a program registers in a preview: outputs that only a provider could know are unknown."""
    registrations, _ = record(PROGRAMS[name], preview=True)
    return tuple(registrations)
