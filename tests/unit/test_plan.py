"""What is well-formed but cannot work is refused before any resource is registered."""

from __future__ import annotations

from typing import Any

import pytest

from components.model_server.rollout import Rollout
from stacks import model_plan as planning
from stacks.images import resolve_images
from stacks.plan import PlatformPlan, plan_platform
from stacks.problems import SettingsError
from tests.unit.examples import CATALOGUE, CUDA, FILE, IMAGES, STACK, VERSIONS, raw, settings


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        planning, "load_catalogue", lambda version: CATALOGUE if version.startswith("0.32.") else None
    )


ALL_IMAGES = IMAGES | {"vllm": f"registry.example/vllm@sha256:{'3' * 64}"}


def plan(changes: dict[str, Any] | None = None) -> PlatformPlan:
    return plan_platform(settings(changes), VERSIONS, ALL_IMAGES, STACK, FILE)


def refused(changes: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as error:
        plan(changes)
    return str(error.value)


HUB = {"kind": "huggingface", "repo": "a/b", "egressCidrs": ["192.0.2.0/24"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"models[0].weights.size": "3Gi", "models[0].storage.size": "8Gi"},
            "models[0].resources.memory: 6Gi: the model needs 8 GiB (weights 3 GiB + KV cache 1 GiB "
            "+ shared memory "
            "2 GiB + runtime 2 GiB); give at least 8Gi",
            id="model larger than the memory",
        ),
        pytest.param(
            {"models[0].engine.flags.mmProcessorCacheGb": None},
            "the model needs 8 GiB",
            id="the picture cache's default of 4 GiB counts",
        ),
        pytest.param(
            {
                "models[0].weights.architecture": {
                    "hiddenLayers": 400,
                    "keyValueHeads": 2,
                    "headDimension": 128,
                }
            },
            "models[0].engine.cpuKvCacheGib: 1: one request of maxModelLen 25480 needs 9.7 GiB",
            id="KV cache smaller than one request",
        ),
        pytest.param(
            {"models[0].engine.cpuKvCacheGib": None},
            "models[0].engine.cpuKvCacheGib: missing",
            id="no KV cache on a CPU",
        ),
        pytest.param(
            {**CUDA, "models[0].accelerator.memory": "16Gi"},
            "models[0].accelerator.memory: 16 GiB: 90% of it is less than the 23 GiB",
            id="model larger than the accelerator",
        ),
        pytest.param(
            {**CUDA, "models[0].accelerator": None}, "models[0].accelerator: missing", id="no accelerator"
        ),
        pytest.param(
            {**CUDA, "models[0].accelerator.count": 2},
            "models[0].engine.flags.tensorParallelSize: 1: accelerator.count is 2",
            id="accelerators that nothing uses",
        ),
        pytest.param(
            {**CUDA, "models[0].engine.cpuKvCacheGib": 1},
            "for device cpu only",
            id="CPU cache on an accelerator",
        ),
        pytest.param(
            {"models[0].accelerator": {"resource": "nvidia.com/gpu", "count": 1, "memory": "80Gi"}},
            "models[0].accelerator: given, but engine.device is cpu",
            id="accelerator on a CPU engine",
        ),
        pytest.param(
            {**CUDA, "tenant.quota.accelerators": {"nvidia.com/gpu": 0}},
            "tenant.quota.accelerators.nvidia.com/gpu: 0: the models need 1",
            id="quota without GPUs",
        ),
        pytest.param(
            {"models[0].weights.size": "500Mi"},
            "models[0].storage.size: 1Gi: 2 versions and the one being fetched need 1.5 GiB",
            id="volume too small",
        ),
        pytest.param(
            {"models[0].weights.size": None},
            "models[0].weights: gives neither size nor parameters",
            id="no size",
        ),
        pytest.param(
            {"models[0].weights.parameters": 9},
            "models[0].weights.parameters: 9: size is given too",
            id="two sizes",
        ),
        pytest.param(
            {"models[0].timing": {"preStopSeconds": 30, "drainSeconds": 45}},
            "models[0].timing.terminationGracePeriodSeconds: 75: preStopSeconds 30 and drainSeconds 45 "
            "need at least 80",
            id="killed while draining",
        ),
        pytest.param(
            {"models[0].startup": {"budgetSeconds": 60}},
            "models[0].startup.budgetSeconds: 60: loading 4 MiB at 100 MiB/s and initialising the "
            "engine may take 302",
            id="killed while loading",
        ),
        pytest.param(
            {"models[0].rollout": {"maxSurge": 1, "maxUnavailable": 0}},
            "models[0].rollout.maxSurge: 1: 1 replicas and the surge do not fit",
            id="surge without room",
        ),
        pytest.param(
            {"models[0].rollout": {"maxSurge": 0, "maxUnavailable": 0}},
            "nothing could ever change",
            id="rollout that cannot move",
        ),
        pytest.param(
            {"models[0].replicas": 2},
            "models[0].replicas: 2: there is room for 1",
            id="more replicas than room",
        ),
        pytest.param(
            {"tenant.quota.pods": 1},
            "tenant.quota.pods: 1: the models, their fetch Jobs and etcd need 2",
            id="pods",
        ),
        pytest.param(
            {"tenant.containerLimits.maximum.memory": "4Gi"},
            "models[0].resources.memory: 6Gi > tenant.containerLimits.maximum.memory 4Gi",
            id="container above the limit range",
        ),
        pytest.param(
            {"models[0].resources.ephemeralStorage": "1Gi"},
            "models[0].resources.ephemeralStorage: 1Gi: /tmp alone may take 1Gi",
            id="no disk beside /tmp",
        ),
        pytest.param({"models[0].revision": "main"}, "'main': a name that moves", id="moving revision"),
        pytest.param(
            {"models[0].source": HUB},
            "models[0].revision: 'v1': not a pinned commit",
            id="hub without commit",
        ),
        pytest.param(
            {"models[0].source": HUB | {"egressCidrs": ["0.0.0.0/0"]}},
            "models[0].source.egressCidrs[0]: '0.0.0.0/0': everything",
            id="F52 egress to everywhere",
        ),
        pytest.param(
            {"models[0].source": HUB | {"egressCidrs": ["192.0.2.1/24"]}},
            "has host bits set",
            id="not a network",
        ),
        pytest.param(
            {"models[0].engine.version": "0.5.0"},
            "models[0].engine.version: 0.5.0: no catalogue",
            id="version",
        ),
        pytest.param(
            {"models[0].engine.flags.extra": {"max-log-lenght": 1}},
            "models[0].engine.flags.extra.max-log-lenght: vLLM 0.32.0 has no flag",
            id="unknown flag",
        ),
        pytest.param(
            {
                "models[0].replicas": 2,
                "cluster.nodes": 2,
                "tenant.quota.cpu": "4",
                "cluster.capacity.cpu": "4",
            },
            "models[0].storage.accessMode: ReadWriteOnce: 2 replicas on 2 nodes need ReadWriteMany",
            id="one node's volume for several",
        ),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refused(changes)


def test_duplicate_names_are_refused() -> None:
    twin = raw()["models"][0]
    told = refused({"models[1]": twin})
    assert "models[1].name: 'phone': already that of models[0]" in told
    assert "models[1].servedModelName: 'phone'" in told


def test_all_problems_are_told_at_once() -> None:
    told = refused(
        {
            "models[0].revision": "main",
            "models[0].timing": {"preStopSeconds": 60},
            "tenant.quota.persistentVolumeClaims": 1,
        }
    )
    assert len(told.splitlines()) == 3


def test_every_problem_names_the_file() -> None:
    assert all(line.startswith(f"{FILE}: ") for line in refused({"models[0].revision": "main"}).splitlines())


def test_an_image_that_is_needed_must_be_there() -> None:
    with pytest.raises(SettingsError, match=r"images.weights: no image of that name"):
        plan_platform(settings(), VERSIONS, {"vllm-cpu": IMAGES["vllm-cpu"]}, STACK, FILE)


def test_parameters_give_the_size() -> None:
    size = {"parameters": 1_000_000, "dtype": "bfloat16"}
    weights = raw()["models"][0]["weights"] | size
    weights.pop("size")
    assert plan({"models[0].weights": weights}).models[0].weights_bytes == 2_000_000


def test_the_example_runs_on_a_gpu_too() -> None:
    planned = plan(dict(CUDA)).models[0]
    assert planned.resources.extended == (("nvidia.com/gpu", 1),)
    assert "VLLM_CPU_KVCACHE_SPACE" not in planned.environment


def test_a_large_model_gets_more_time() -> None:
    large = {
        **CUDA,
        "models[0].weights.size": "60Gi",
        "models[0].storage.size": "200Gi",
        "tenant.quota.storage": "1Ti",
    }
    small, big = plan(dict(CUDA)).models[0], plan(large).models[0]
    assert big.timing.startup_seconds > small.timing.startup_seconds >= 600
    assert big.fetch_deadline_seconds > small.fetch_deadline_seconds


def test_with_room_a_new_server_comes_before_the_old_one_goes() -> None:
    more = {
        "tenant.quota.cpu": "4",
        "tenant.quota.memory": "16Gi",
        "cluster.capacity": {"cpu": "4", "memory": "16Gi"},
    }
    assert plan(more).models[0].rollout == Rollout(1, 0)
    assert plan().models[0].rollout == Rollout(0, 1)


def test_data_protection_decides_protection() -> None:
    assert plan({"dataProtection": "protected"}).protect
    assert not plan().protect


def test_a_missing_list_of_images_says_how_to_build_it(tmp_path: Any) -> None:
    images, problems = resolve_images(settings().images, tmp_path)
    assert images == {}
    assert "python3 -m toolchain images" in problems[0].message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": {"a": 1}}', '{"images": {"a": {"reference": "a:latest"}}}']
)
def test_a_broken_list_of_images_is_refused(tmp_path: Any, text: str) -> None:
    (tmp_path / ".toolchain").mkdir()
    (tmp_path / ".toolchain" / "images.json").write_text(text)
    _, problems = resolve_images(settings().images, tmp_path)
    assert problems
