"""Memory, time and room: the pure planners of the model server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.quantities import GIB
from components.model_server.memory import (
    Architecture,
    accelerator_demand,
    accelerator_host_demand,
    cpu_demand,
    shared_memory_bytes,
)
from components.model_server.rollout import Rollout, plan_rollout, pods_that_fit
from components.model_server.timing import (
    ServerTiming,
    planned_startup_seconds,
    read_seconds,
    required_grace_seconds,
    required_startup_seconds,
)

ROOT = Path(__file__).resolve().parents[2]

GLM_9B = Architecture.model_validate({"hiddenLayers": 40, "keyValueHeads": 2, "headDimension": 128})

sizes = st.integers(min_value=0, max_value=2**45)
rates = st.integers(min_value=1, max_value=100_000)


def test_kv_cache_of_a_full_length_autoglm_request_is_about_one_gib() -> None:
    # 2 × 40 layers × 2 heads × 128 × 2 bytes = 40 KiB a token.
    assert GLM_9B.kv_cache_bytes(1, "bfloat16") == 40 * 1024
    assert GLM_9B.kv_cache_bytes(25480, "bfloat16") == pytest.approx(GIB, rel=0.03)


def test_fp8_halves_the_kv_cache() -> None:
    assert GLM_9B.kv_cache_bytes(8, "fp8") * 2 == GLM_9B.kv_cache_bytes(8, "auto")


def test_the_picture_cache_counts_only_in_shared_memory() -> None:
    assert shared_memory_bytes("shm", 4) == 5 * GIB
    assert shared_memory_bytes("lru", 4) == shared_memory_bytes(None, 0) == GIB


@given(sizes, sizes, sizes)
def test_cpu_demand_is_the_sum_of_its_parts(weights: int, kv_cache: int, shared: int) -> None:
    assert cpu_demand(weights, kv_cache, shared).total == weights + kv_cache + shared + 2 * GIB


@given(sizes, sizes, st.integers(min_value=1, max_value=64))
def test_more_accelerators_need_less_each(weights: int, kv_cache: int, count: int) -> None:
    assert (
        accelerator_demand(weights, kv_cache, count + 1).total
        <= accelerator_demand(weights, kv_cache, count).total
    )


def test_demand_is_told_by_purpose() -> None:
    assert str(cpu_demand(GIB, 0, GIB)) == "4 GiB (weights 1 GiB + shared memory 1 GiB + runtime 2 GiB)"
    assert accelerator_host_demand(GIB).total == 5 * GIB


@given(sizes, rates)
def test_startup_budget_covers_loading_and_never_falls_below_ten_minutes(size: int, rate: int) -> None:
    planned = planned_startup_seconds(size, rate)
    assert planned >= 600
    assert planned >= required_startup_seconds(size, rate) > read_seconds(size, rate)


@given(sizes, sizes, rates)
def test_larger_models_get_no_less_time(size: int, more: int, rate: int) -> None:
    assert required_startup_seconds(size + more, rate) >= required_startup_seconds(size, rate)


@given(st.integers(min_value=1, max_value=10_000), st.integers(min_value=0, max_value=1000))
def test_the_startup_probe_never_gives_up_early(startup: int, verify: int) -> None:
    timing = ServerTiming(startup, verify, 15, 45, 75)
    assert timing.startup_failure_threshold * 10 >= startup
    assert timing.progress_deadline_seconds > startup + verify


@given(st.integers(min_value=1, max_value=600), st.integers(min_value=1, max_value=600))
def test_grace_exceeds_pre_stop_and_drain(pre_stop: int, drain: int) -> None:
    assert required_grace_seconds(pre_stop, drain) > pre_stop + drain


room = st.dictionaries(st.sampled_from(["cpu", "memory", "gpu"]), st.integers(min_value=0, max_value=1000))
one = st.dictionaries(
    st.sampled_from(["cpu", "memory", "gpu"]), st.integers(min_value=1, max_value=100), min_size=1
)


@given(room, one)
def test_what_fits_fits_and_one_more_does_not(space: dict[str, int], pod: dict[str, int]) -> None:
    count = pods_that_fit(space, pod)
    limited = [name for name in pod if name in space]
    assert all(pod[name] * count <= space[name] for name in limited)
    assert not limited or any(pod[name] * (count + 1) > space[name] for name in limited)


@given(st.integers(min_value=1, max_value=100), st.integers(min_value=0, max_value=200))
def test_a_rollout_always_moves_and_never_needs_room_that_is_not_there(replicas: int, fitting: int) -> None:
    rollout = plan_rollout(replicas, fitting)
    assert rollout.max_surge + rollout.max_unavailable == 1
    assert rollout.max_surge == 0 or replicas + rollout.max_surge <= fitting


def test_without_room_the_old_server_goes_first() -> None:
    assert plan_rollout(1, 1) == Rollout(0, 1)
    assert plan_rollout(1, 2) == Rollout(1, 0)


def test_settings_and_plans_are_pure() -> None:
    code = "import sys, stacks.plan, stacks.load, stacks.images; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
