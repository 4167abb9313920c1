"""A small, complete example of everything that the program reads; tests change one thing in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.model_server.vllm import Catalogue, catalogue_from
from stacks.load import load_settings
from stacks.settings import Settings
from stacks.versions import Versions
from tests.unit.changes import changed
from toolchain.images import definitions

STACK = "test"
FILE = f"Pulumi.{STACK}.yaml"

SUMS = f"{'a' * 64}  config.json\n{'b' * 64}  model.safetensors\n"

IMAGES = {
    name: f"autoglm.local/{name}@sha256:{digit * 64}"
    for name, digit in {
        **dict.fromkeys(definitions.IMAGES, "5"),
        "vllm-cpu": "1",
        "weights": "2",
        "etcd": "3",
        "etcd-tools": "4",
    }.items()
}
"""Those that the embedded cluster has."""

VERSIONS = Versions.model_validate({"kubernetes": "1.36.3", "engines": {"vllm": "0.32.0"}})

_RAW: dict[str, Any] = {
    "cluster": {"kind": "embedded", "capacity": {"cpu": "1650m", "memory": "8Gi"}},
    "dataProtection": "none",
    "images": {"kind": "local"},
    "tenant": {
        "namespace": "autoglm",
        "quota": {
            "cpu": "1500m",
            "memory": "7Gi",
            "ephemeralStorage": "6Gi",
            "storage": "8Gi",
            "persistentVolumeClaims": 4,
            "pods": 10,
        },
        "containerLimits": {
            "default": {"cpu": "100m", "memory": "128Mi", "ephemeralStorage": "128Mi"},
            "maximum": {"cpu": "1500m", "memory": "6Gi", "ephemeralStorage": "4Gi"},
        },
    },
    "models": [
        {
            "name": "phone",
            "revision": "v1",
            "source": {"kind": "file", "storageClass": "published-models", "path": "phone"},
            "sha256Sums": SUMS,
            "weights": {
                "size": "4Mi",
                "architecture": {"hiddenLayers": 2, "keyValueHeads": 2, "headDimension": 32},
            },
            "storage": {"size": "1Gi"},
            "engine": {
                "kind": "vllm",
                "device": "cpu",
                "cpuKvCacheGib": 1,
                "flags": {"maxModelLen": 25480, "mmProcessorCacheType": "shm", "mmProcessorCacheGb": 1},
            },
            "resources": {"cpu": "1200m", "memory": "6Gi", "ephemeralStorage": "2Gi"},
        }
    ],
}

CUDA: Mapping[str, Any] = {
    "models[0].engine.device": "cuda",
    "models[0].engine.cpuKvCacheGib": None,
    "models[0].accelerator": {"resource": "nvidia.com/gpu", "count": 1, "memory": "80Gi"},
    "cluster.capacity.accelerators": {"nvidia.com/gpu": 1},
    "tenant.quota.accelerators": {"nvidia.com/gpu": 1},
    "models[0].weights.size": "20Gi",
    "models[0].weights.architecture": {"hiddenLayers": 40, "keyValueHeads": 2, "headDimension": 128},
    "models[0].storage.size": "60Gi",
    "tenant.quota.storage": "100Gi",
}
"""Changes that put the example's model on a GPU, with AutoGLM-Phone-9B's size."""


def raw(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The example as Pulumi hands it over, changed."""
    return changed(_RAW, changes)


def settings(changes: Mapping[str, Any] | None = None) -> Settings:
    """The example, validated."""
    return load_settings(raw(changes), FILE)


CATALOGUE: Catalogue = catalogue_from(
    {
        "version": "0.32.0",
        "flags": {
            "--max-model-len": {"type": "int"},
            "--dtype": {"type": "choice", "choices": ["auto", "bfloat16", "float16", "float32"]},
            "--enforce-eager": {"type": "bool", "aliases": ["--no-enforce-eager"]},
            "--mm-processor-cache-type": {"type": "choice", "choices": ["lru", "shm"]},
            "--mm-processor-cache-gb": {"type": "float"},
            "--mm-processor-kwargs": {"type": "json"},
            "--limit-mm-per-prompt": {"type": "json"},
            "--max-log-len": {"type": "int"},
            "--middleware": {"type": "str", "nargs": "*"},
            "--allowed-local-media-path": {"type": "str"},
            "--api-key": {"type": "str", "nargs": "*"},
            "--port": {"type": "int"},
            "--shutdown-timeout": {"type": "int"},
            "--tensor-parallel-size": {"type": "int", "aliases": ["-tp"]},
        },
    }
)
